// One line per check on stdout, and what they add up to.
#pragma once
#include <fmt/format.h>

#include <string>
#include <utility>
#include <vector>

namespace vks::conformance {

// Not thread-safe. A check is called "<group>: <name>".
class Report {
public:
    // `skip`: beginnings of checks' names that are known gaps of the plugin.
    explicit Report(std::vector<std::string> skip) : skip_(std::move(skip)) {}

    void group(std::string name) { group_ = std::move(name); }
    // Prints the outcome; `detail` (wanted, found) only of a failure. Returns `ok`.
    bool check(const std::string& name, bool ok, const std::string& detail = "");
    // A check that the plugin's answer makes pointless, and why.
    void skip(const std::string& name, const std::string& why);
    // Whether `name` is on the list of known gaps; prints it as skipped then.
    bool skipped(const std::string& name);

    int failed() const { return failed_; }
    std::string summary() const {
        return fmt::format("{} checks passed, {} failed, {} skipped", passed_, failed_, skipped_);
    }

private:
    std::vector<std::string> skip_;
    std::string group_;
    int passed_ = 0, failed_ = 0, skipped_ = 0;
};

}  // namespace vks::conformance
