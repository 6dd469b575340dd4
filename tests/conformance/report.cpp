#include "tests/conformance/report.h"

#include <cstdio>

#include "backend/base/bad_input.h"

namespace vks::conformance {
namespace {

void print(const char* outcome, const std::string& group, const std::string& name, const std::string& detail) {
    const std::string line =
        fmt::format("{:<4} {}: {}{}{}\n", outcome, group, name, detail.empty() ? "" : ": ", one_line(detail));
    std::fputs(line.c_str(), stdout);
    std::fflush(stdout);  // a plugin that ends the process leaves its last check behind
}

}  // namespace

bool Report::skipped(const std::string& name) {
    for (const std::string& prefix : skip_) {
        if (!(group_ + ": " + name).starts_with(prefix)) continue;
        skip(name, "a known gap");
        return true;
    }
    return false;
}

bool Report::check(const std::string& name, bool ok, const std::string& detail) {
    if (skipped(name)) return ok;
    ++(ok ? passed_ : failed_);
    print(ok ? "ok" : "FAIL", group_, name, ok ? "" : detail);
    return ok;
}

void Report::skip(const std::string& name, const std::string& why) {
    ++skipped_;
    print("skip", group_, name, why);
}

}  // namespace vks::conformance
