// What a plugin says about the machine it is on (vks.findings/1), for people.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "backend/abi/draft/findings.h"

namespace vks {

struct Finding {
    uint64_t grade = VKS_FINDING_GOOD;
    std::string topic, text, advice;  // one line each; advice is a sentence, empty where all is well
};

// "ok", "note", "warning" or "fault".
const char* grade_name(uint64_t grade);

// About a device of the plugin, or VKS_FINDINGS_MACHINE. Empty when the plugin has nothing to say.
std::vector<Finding> plugin_findings(const vks_plugin& plugin, uint32_t device);

}  // namespace vks
