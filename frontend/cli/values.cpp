#include "frontend/cli/values.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <charconv>
#include <cmath>
#include <memory>

#include "backend/base/bad_input.h"

namespace vks {
namespace {

// How errors of `apply` get through CLI11.
struct WrongValue : CLI::ParseError {
    explicit WrongValue(const vks::Error& error) : ParseError("WrongValue", error.text, static_cast<int>(error.code)) {}
};

void throw_if(const Status& status) {
    if (!status) throw WrongValue(status.error());
}

template <class T>
std::optional<T> parse(std::string_view text) {
    T value{};
    const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (text.empty() || problem != std::errc{} || end != text.data() + text.size()) return {};
    return value;
}

// "-n,--predict" is called by its short name in messages, as most people write it.
std::string shown(const std::string& names) {
    return names.substr(0, names.find(','));
}

// "Seed: the same seed..." is called "seed" in messages; "MTP modules" keeps its capitals.
std::string purpose(const std::string& help) {
    std::string what = help.substr(0, help.find_first_of(",;:(."));
    const auto is_upper = [](char c) { return c >= 'A' && c <= 'Z'; };
    if (what.size() > 1 && is_upper(what[0]) && !is_upper(what[1])) what[0] = static_cast<char>(what[0] - 'A' + 'a');
    return what;
}

}  // namespace

Error usage_error(std::string_view what, std::string_view option, std::string_view wanted, std::string_view found) {
    return {Code::kUsage, one_line(fmt::format("{} ({}): wanted {}, found {}", what, option, wanted, found))};
}

Error usage_error(const CLI::ParseError& error, const std::string& command, const std::vector<std::string>& unknown) {
    if (dynamic_cast<const WrongValue*>(&error)) {
        return {static_cast<Code>(error.get_exit_code()), one_line(error.what())};
    }
    const std::string text = one_line(error.what());
    const std::string where = command.empty() ? "vkseek --help" : fmt::format("vkseek {} --help", command);
    if (dynamic_cast<const CLI::ExtrasError*>(&error))
        return usage_error("argument", where, "one that is known", fmt::format("{}", fmt::join(unknown, " ")));
    return {Code::kUsage, fmt::format("command line ({}): wanted complete options, found: {}", where, text)};
}

void add_value(CLI::App& app, const std::string& names, const std::string& type, const std::string& help,
               std::function<Status(const std::string&)> apply) {
    const auto call = [apply = std::move(apply)](const std::string& text) { throw_if(apply(text)); };
    app.add_option_function<std::string>(names, call, help)
        ->type_name(type)
        ->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
}

void add_values(CLI::App& app, const std::string& names, const std::string& type, const std::string& help,
                std::function<Status(const std::string&)> apply) {
    const auto call = [apply = std::move(apply)](const std::vector<std::string>& texts) {
        for (const std::string& text : texts) throw_if(apply(text));
    };
    app.add_option_function<std::vector<std::string>>(names, call, help)
        ->type_name(type)
        ->type_size(1)
        ->expected(1)
        ->allow_extra_args(false)
        ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
}

CLI::App& add_subcommand(CLI::App& program, const std::string& name, const std::string& help,
                         std::function<void()> chosen) {
    CLI::App* command = program.add_subcommand(name, help);
    command->callback(std::move(chosen));
    return *command;
}

void add_footer(CLI::App& app, const std::string& text) {
    app.footer(text);
}

void add_flag(CLI::App& app, const std::string& names, const std::string& help, std::function<void()> apply) {
    app.add_flag_callback(names, std::move(apply), help);
}

void add_flag(CLI::App& app, const std::string& names, const std::string& help, bool& target) {
    app.add_flag(names, target, help);
}

void add_argument(CLI::App& app, const std::string& name, const std::string& type, const std::string& help,
                  std::string& target, bool needed) {
    app.add_option(name, target, help)->type_name(type)->required(needed);
}

void add_arguments(CLI::App& app, const std::string& name, const std::string& type, const std::string& help,
                   std::vector<std::string>& target) {
    app.add_option(name, target, help)->type_name(type)->required();
}

void add_text(CLI::App& app, const std::string& names, const std::string& type, const std::string& help,
              std::optional<std::string>& target) {
    add_value(app, names, type, help, [&target](const std::string& text) -> Status {
        target = text;
        return {};
    });
}

void add_path(CLI::App& app, const std::string& names, const std::string& help, std::filesystem::path& target) {
    const std::string option = shown(names), what = purpose(help);
    add_value(app, names, "PATH", help, [&target, option, what](const std::string& text) -> Status {
        if (text.empty() || text.find('\0') != std::string::npos) return usage_error(what, option, "a path", "nothing");
        target = text;
        return {};
    });
}

void add_integer(CLI::App& app, const std::string& names, const std::string& help, std::optional<int64_t>& target,
                 int64_t low, int64_t high) {
    const std::string option = shown(names), what = purpose(help);
    const std::string wanted =
        low == high ? fmt::format("{}", low) : fmt::format("an integer from {} to {}", low, high);
    add_value(app, names, "N", help, [=, &target](const std::string& text) -> Status {
        const auto value = parse<int64_t>(text);
        if (!value || *value < low || *value > high) return usage_error(what, option, wanted, text);
        target = *value;
        return {};
    });
}

void add_number(CLI::App& app, const std::string& names, const std::string& help, std::optional<double>& target,
                double low, double high, bool open_low) {
    const std::string option = shown(names), what = purpose(help);
    std::string wanted = fmt::format("a number {} {}", open_low ? "above" : "from", low);
    if (std::isfinite(high)) wanted += fmt::format("{}{}", open_low ? ", at most " : " to ", high);
    add_value(app, names, "X", help, [=, &target](const std::string& text) -> Status {
        const auto value = parse<double>(text);
        const bool fits = value && std::isfinite(*value) && *value >= low && *value <= high;
        if (!fits || (open_low && *value == low)) return usage_error(what, option, wanted, text);
        target = *value;
        return {};
    });
}

Result<std::vector<int32_t>> parse_ids(const std::string& text, std::string_view option, std::string_view what) {
    std::vector<int32_t> ids;
    std::string_view rest = text;
    for (bool more = true; more;) {
        const size_t comma = std::min(rest.find(','), rest.size());
        std::string_view item = rest.substr(0, comma);
        while (!item.empty() && item.front() == ' ') item.remove_prefix(1);
        while (!item.empty() && item.back() == ' ') item.remove_suffix(1);
        const auto id = parse<int32_t>(item);
        if (!id || *id < 0) {
            return usage_error(what, option, "integers from 0 to 2147483647, separated by commas", quote(item, 40));
        }
        ids.push_back(*id);
        more = comma < rest.size();
        rest.remove_prefix(std::min(comma + 1, rest.size()));
    }
    return ids;
}

Result<std::vector<std::string>> parse_list(const std::string& text, std::string_view option) {
    std::vector<std::string> items;
    for (size_t at = 0; at <= text.size();) {
        const size_t comma = std::min(text.find(',', at), text.size());
        if (comma == at) return usage_error("list", option, "names separated by commas", quote(text, 80));
        items.push_back(text.substr(at, comma - at));
        at = comma + 1;
    }
    return items;
}

Result<uint64_t> parse_size(const std::string& text, std::string_view option) {
    constexpr std::string_view kSuffixes = "kmgt";
    constexpr double kMost = 1e18;
    std::string_view digits = text;
    const auto ends_with = [&](char c) { return !digits.empty() && (digits.back() | 0x20) == c; };
    if (ends_with('b')) digits.remove_suffix(1);
    const bool binary = ends_with('i');
    if (binary) digits.remove_suffix(1);
    double factor = 1;
    const size_t power =
        digits.empty() ? std::string_view::npos : kSuffixes.find(static_cast<char>(digits.back() | 0x20));
    if (power != std::string_view::npos) {
        digits.remove_suffix(1);
        for (size_t i = 0; i <= power; ++i) factor *= binary ? 1024 : 1000;
    } else if (binary) {
        digits = {};  // 8i
    }
    const auto value = parse<double>(digits);
    if (!value || !(*value * factor >= 1 && *value * factor <= kMost)) {
        return usage_error("size", option, "a number of bytes, or of k, M, G or T, such as 2G or 2GiB",
                           quote(text, 40));
    }
    return static_cast<uint64_t>(*value * factor);
}

Result<double> parse_positive(const std::string& text, std::string_view option) {
    const auto value = parse<double>(text);
    if (!value || !std::isfinite(*value) || !(*value > 0)) {
        return usage_error("rate", option, "a number above 0", quote(text, 40));
    }
    return *value;
}

Result<std::pair<std::string, std::string>> parse_assignment(const std::string& text, std::string_view what,
                                                             std::string_view option, std::string_view wanted) {
    const size_t equals = text.find('=');
    if (equals == std::string::npos || equals == 0 || equals + 1 == text.size()) {
        return usage_error(what, option, wanted, quote(text, 80));
    }
    return std::pair(text.substr(0, equals), text.substr(equals + 1));
}

std::string_view plain_name(std::string_view device) {
    return device.ends_with(":0") ? device.substr(0, device.size() - 2) : device;
}

Result<std::pair<std::string, uint64_t>> parse_memory(const std::string& text) {
    VKS_ASSIGN(const auto pair, parse_assignment(text, "memory", "--memory", "DEV=SIZE"));
    const std::string& name = pair.first;
    const size_t colon = std::min(name.find(':'), name.size());
    const auto plain = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_'; };
    const bool whole = colon > 0 && std::all_of(name.begin(), name.begin() + static_cast<std::ptrdiff_t>(colon), plain);
    const bool indexed = colon == name.size() || parse<uint32_t>(std::string_view(name).substr(colon + 1));
    if (!whole || !indexed || name == "link" || name == "disk" || name == "file") {
        return usage_error("device", "--memory", "cpu, vulkan:0 or the like", quote(name, 40));
    }
    VKS_ASSIGN(const uint64_t bytes, parse_size(pair.second, "--memory"));
    return std::pair(name, bytes);
}

}  // namespace vks
