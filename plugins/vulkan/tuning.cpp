#include "plugins/vulkan/tuning.h"

#include <bit>

namespace vks::vulkan {
namespace {

// "gemm" of "gemm.subgroup"
std::string base(const std::string& shader) {
    return shader.substr(0, shader.find('.'));
}

}  // namespace

void Tuning::set(const std::string& name, uint32_t value) {
    if (value == 0) {
        numbers_.erase(name);
    } else {
        numbers_[name] = value;
    }
}

uint32_t Tuning::get(const std::string& shader, const std::string& way, const char* constant,
                     uint32_t otherwise) const {
    if (numbers_.empty()) return otherwise;
    for (const std::string& place : {base(shader) + '.' + way, base(shader)})
        if (const auto found = numbers_.find(place + '.' + constant); found != numbers_.end()) return found->second;
    return otherwise;
}

uint32_t Tuning::power_of_two(const std::string& shader, const std::string& way, const char* constant, uint32_t least,
                              uint32_t most, uint32_t otherwise) const {
    const uint32_t value = get(shader, way, constant, otherwise);
    return std::has_single_bit(value) && value >= least && value <= most ? value : otherwise;
}

std::vector<std::pair<std::string, uint32_t>> Tuning::all(const std::string& shader) const {
    const std::string prefix = base(shader) + '.';
    std::vector<std::pair<std::string, uint32_t>> list;
    for (auto it = numbers_.lower_bound(prefix); it != numbers_.end() && it->first.starts_with(prefix); ++it) {
        const std::string rest = it->first.substr(prefix.size());
        if (rest.find('.') == std::string::npos) list.emplace_back(rest, it->second);
    }
    return list;
}

}  // namespace vks::vulkan
