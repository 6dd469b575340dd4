#include "plugins/vulkan/options.h"

#include <algorithm>
#include <charconv>
#include <string_view>

#include "plugins/args/options.h"
#include "plugins/vulkan/vk.h"

namespace vks::vulkan {
namespace {

constexpr const char* kEnvironment = "VKSEEK_VULKAN_OPTIONS";

[[noreturn]] void wrong(const std::string& key, const std::string& wanted, const std::string& found) {
    throw Failure(VKS_INVALID, "Vulkan option " + key + ": wanted " + wanted + ", found " + found);
}

uint64_t number(const std::string& key, const std::string& text, uint64_t most) {
    uint64_t value = 0;
    const char* end = text.data() + text.size();
    const auto [stop, status] = std::from_chars(text.data(), end, value);
    if (status != std::errc() || stop != end || value > most)
        wrong(key, "a number" + (most == UINT64_MAX ? "" : " up to " + std::to_string(most)), text);
    return value;
}

// Which of two words.
bool second(const std::string& key, const std::string& text, const char* first, const char* other) {
    if (text != first && text != other) wrong(key, std::string(first) + " or " + other, text);
    return text == other;
}

// False: no such option.
bool read(Options& out, const std::string& key, const std::string& text) {
    const auto on = [&] { return second(key, text, "0", "1"); };
    if (key == "tier") {
        out.tier = number(key, text, 9);
    } else if (key == "tune") {
        out.software = second(key, text, "gpu", "cpu");
    } else if (key == "addresses") {
        out.addresses = on();
    } else if (key == "numbers") {
        out.numbers = on();
    } else if (key == "budget") {
        out.budget = on();
    } else if (key == "statistics") {
        out.statistics = on();
    } else if (key == "import") {
        out.import = on();
    } else if (key == "fp8") {
        out.fp8_by_half = second(key, text, "integer", "half");
    } else if (key == "binding") {
        out.binding = number(key, text, UINT64_MAX);
    } else if (key == "buffers") {
        out.buffers = number(key, text, UINT64_MAX);
    } else if (key == "refuse") {
        out.refuse = text;
    } else if (key == "submission") {
        out.submission = number(key, text, UINT64_MAX);
    } else {
        return false;
    }
    return true;
}

// parse_options() leaves out what is no pair.
void check_pairs(std::string_view text) {
    while (!text.empty()) {
        const std::string_view item = text.substr(0, text.find(';'));
        if (!item.empty() && item.find('=') == std::string_view::npos)
            throw Failure(VKS_INVALID, std::string(kEnvironment) + ": wanted key=value, found " + std::string(item));
        text.remove_prefix(std::min(text.size(), item.size() + 1));
    }
}

}  // namespace

Options read_options(const std::string& given, const std::string& environment) {
    Options options;
    for (const auto& [key, value] : args::parse_options(given.c_str())) read(options, key, value);
    check_pairs(environment);
    for (const auto& [key, value] : args::parse_options(environment.c_str()))
        if (!read(options, key, value))
            throw Failure(VKS_INVALID,
                          std::string(kEnvironment) + ": wanted an option of docs/vulkan.md, found " + key);
    return options;
}

}  // namespace vks::vulkan
