// Options with values on top of CLI11: every wrong value gives one line that says what was wanted, whatever the option.
#pragma once
#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "backend/base/result.h"

// The subcommands declare their options through what is below: only three files see CLI11, which takes seconds to
// compile.
namespace CLI {
class App;
class ParseError;
}  // namespace CLI

namespace vks {

// "<what> (<option>): wanted <wanted>, found <found>", exit status 2.
Error usage_error(std::string_view what, std::string_view option, std::string_view wanted, std::string_view found);

// One line for what CLI11 found wrong; `command` is the subcommand, empty if there is none yet, `unknown` the words
// that no option or argument took.
Error usage_error(const CLI::ParseError& error, const std::string& command, const std::vector<std::string>& unknown);

// An option with one value; the last one given counts. `apply` is called after the whole line was read. `names` as in
// CLI11: "-n,--predict". `type` stands for the value in --help.
void add_value(CLI::App& app, const std::string& names, const std::string& type, const std::string& help,
               std::function<Status(const std::string&)> apply);
// The same for an option that may be given several times, one value each.
void add_values(CLI::App& app, const std::string& names, const std::string& type, const std::string& help,
                std::function<Status(const std::string&)> apply);

// A subcommand; `chosen` is called after the whole line was read.
CLI::App& add_subcommand(CLI::App& program, const std::string& name, const std::string& help,
                         std::function<void()> chosen);
// A text below the options of --help.
void add_footer(CLI::App& app, const std::string& text);

// An option without a value, and what it does or sets.
void add_flag(CLI::App& app, const std::string& names, const std::string& help, std::function<void()> apply);
void add_flag(CLI::App& app, const std::string& names, const std::string& help, bool& target);
// Arguments without a dash, in the order of their declaration. `type` stands for them in --help. `needed`: one at
// least.
void add_argument(CLI::App& app, const std::string& name, const std::string& type, const std::string& help,
                  std::string& target, bool needed = false);
void add_arguments(CLI::App& app, const std::string& name, const std::string& type, const std::string& help,
                   std::vector<std::string>& target);

// Values of common kinds; the target keeps what it holds if the option isn't given. Bounds are inclusive.
void add_text(CLI::App& app, const std::string& names, const std::string& type, const std::string& help,
              std::optional<std::string>& target);
void add_path(CLI::App& app, const std::string& names, const std::string& help, std::filesystem::path& target);
void add_integer(CLI::App& app, const std::string& names, const std::string& help, std::optional<int64_t>& target,
                 int64_t low, int64_t high);
// `open_low`: the lower bound itself is not allowed.
void add_number(CLI::App& app, const std::string& names, const std::string& help, std::optional<double>& target,
                double low, double high, bool open_low = false);

// "1,2,3": decimal numbers from 0 on separated by commas, at least one. `option` and `what` are for the message.
Result<std::vector<int32_t>> parse_ids(const std::string& text, std::string_view option, std::string_view what = "ids");
// "vulkan:0,cpu": names separated by commas, none empty.
Result<std::vector<std::string>> parse_list(const std::string& text, std::string_view option);

// "2G": bytes; k, M, G and T are decimal. At least 1.
Result<uint64_t> parse_size(const std::string& text, std::string_view option);
// A finite number above 0.
Result<double> parse_positive(const std::string& text, std::string_view option);
// "NAME=VALUE", neither empty. `what` and `wanted` are for the message.
Result<std::pair<std::string, std::string>> parse_assignment(const std::string& text, std::string_view what,
                                                             std::string_view option, std::string_view wanted);
// --memory: "vulkan:0=24G", a device's name and bytes.
Result<std::pair<std::string, uint64_t>> parse_memory(const std::string& text);
// "vulkan:0" is "vulkan", the first of its plugin.
std::string_view plain_name(std::string_view device);

}  // namespace vks
