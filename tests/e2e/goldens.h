// Golden files of whole models, and what `vkseek logits` wrote, as arrays to compare.
#pragma once
#include <cstdint>
#include <filesystem>
#include <iosfwd>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "frontend/io/safetensors.h"

namespace vks::test {

// A safetensors file in memory, by name. Missing tensors and wrong types are empty arrays, so that a test fails where
// it looks.
class TensorFile {
public:
    static std::optional<TensorFile> open(const std::filesystem::path& path);
    std::vector<std::string> names(std::string_view prefix) const;  // without the prefix
    bool has(const std::string& name) const { return file_.find(name) != nullptr; }
    int64_t width(const std::string& name) const;  // the last dimension; 0 if there is no such tensor
    std::vector<float> floats(const std::string& name) const;
    std::vector<int64_t> integers(const std::string& name) const;  // i32 and i64

private:
    explicit TensorFile(SafetensorsFile file) : file_(std::move(file)) {}
    SafetensorsFile file_;
};

// ||a - b|| / ||b||, in double; infinity if the sizes differ or anything is not finite.
double relative(const std::vector<float>& a, const std::vector<float>& b);
// The rows of `all` [T, width] that a golden file keeps.
std::vector<float> keep_rows(const std::vector<float>& all, int64_t width, const std::vector<int64_t>& rows);

struct GoldenModel {
    std::string name;
    std::string expected;               // file name of the reference for exact activations
    std::vector<double> w8a8_distance;  // by prompt, of the reference; empty if the weights aren't FP8
    std::filesystem::path checkpoint() const;
    std::filesystem::path expected_path() const;
};
const std::vector<GoldenModel>& golden_models();
void PrintTo(const GoldenModel& model, std::ostream* out);
inline constexpr int kPrompts = 4;

// "1,2,3"
std::string join(const std::vector<int64_t>& ids);

}  // namespace vks::test
