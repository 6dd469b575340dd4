// The groups of checks. Each prints through the report and leaves nothing behind on the device.
#pragma once
#include <filesystem>
#include <string>

#include "tests/conformance/report.h"
#include "backend/conformance/target.h"

namespace vks::conformance {

struct Settings {
    std::filesystem::path plugin, reference;
    std::string options;  // of open
    uint32_t device = 0;
    bool require_all = false;  // an operator of abi/ops.h that isn't supported is a failure
    uint64_t seed = 1;
};

// The table that the core would use, or null after a failed check.
const vks_plugin* check_handshake(const Settings& settings, Report& report);
void check_memory(Target& target, Report& report);
void check_stream(Target& target, Report& report);
void check_query(Target& target, Report& report, const Settings& settings);
// `reference` may be null: then results are checked for guard zones, NaN and determinism only.
void check_ops(Target& target, Target* reference, Report& report, const Settings& settings);

}  // namespace vks::conformance
