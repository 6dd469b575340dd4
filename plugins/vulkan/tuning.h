// Numbers that take the place of operators' own choices: found by measurement for a device (bench tune), or tried out
// (bench shader). Both halves of an operator, its programs and its dispatches, must ask for the same.
#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace vks::vulkan {

class Tuning {
public:
    // "gemm.few4.ROWS" or "gemm.ROWS"; 0 takes it away.
    void set(const std::string& name, uint32_t value);
    // `shader` with or without variant; `way`: which of its uses, "few4". What is narrower counts first.
    uint32_t get(const std::string& shader, const std::string& way, const char* constant, uint32_t otherwise) const;
    // The same if it is a power of two in [least, most].
    uint32_t power_of_two(const std::string& shader, const std::string& way, const char* constant, uint32_t least,
                          uint32_t most, uint32_t otherwise) const;
    // Every constant that is set for a shader whatever the way.
    std::vector<std::pair<std::string, uint32_t>> all(const std::string& shader) const;
    bool empty() const { return numbers_.empty(); }

private:
    std::map<std::string, uint32_t> numbers_;
};

}  // namespace vks::vulkan
