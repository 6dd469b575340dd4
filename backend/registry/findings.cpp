#include "backend/registry/findings.h"

#include <algorithm>

#include "backend/registry/device.h"
#include "backend/registry/loader.h"

namespace vks {
namespace {

constexpr uint32_t kMaxFindings = 64;

}  // namespace

const char* grade_name(uint64_t grade) {
    constexpr const char* kNames[] = {"ok", "note", "warning", "fault"};
    return kNames[std::min<uint64_t>(grade, VKS_FINDING_FAULT)];
}

std::vector<Finding> plugin_findings(const vks_plugin& plugin, uint32_t device) {
    std::vector<Finding> list;
    const auto* api =
        static_cast<const vks_findings_api*>(find_extension(plugin, VKS_FINDINGS_ID, sizeof(vks_findings_api)));
    for (uint32_t i = 0; api && i < kMaxFindings; ++i) {
        vks_finding raw{};
        raw.size = sizeof raw;
        vks_error error{};
        if (abi::guard(&error, [&] { return api->get(device, i, &raw, &error); }) != VKS_OK) break;
        list.push_back({std::min<uint64_t>(raw.grade, VKS_FINDING_FAULT), plugin_text(raw.topic, sizeof raw.topic),
                        plugin_text(raw.text, sizeof raw.text), plugin_text(raw.advice, sizeof raw.advice)});
    }
    return list;
}

}  // namespace vks
