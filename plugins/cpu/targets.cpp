// Highway's targets by name. In its bit masks a better target has a lower bit.
#include "plugins/cpu/targets.h"

#include <hwy/targets.h>
#include <cctype>
#include <mutex>

namespace vks::cpu {
namespace {

std::string lower(std::string text) {
    for (char& c : text) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    return text;
}

std::string lowest_bit_name(int64_t targets) {
    return lower(hwy::TargetName(targets & -targets));
}

}  // namespace

std::string best_target() {
    return lowest_bit_name(hwy::SupportedTargets());
}

vks_status limit_target(const std::string& name, vks_error* error) {
    static std::mutex mutex;
    static bool limited = false;
    const std::lock_guard lock(mutex);
    if (name.empty() && !limited) return VKS_OK;
    hwy::DisableTargets(0);
    limited = false;
    std::string known;
    for (int64_t left = hwy::SupportedTargets(); left != 0 && !name.empty(); left &= left - 1) {
        known.append(1, ' ').append(lowest_bit_name(left));
        if (lowest_bit_name(left) != name) continue;
        hwy::DisableTargets((left & -left) - 1);
        limited = true;
    }
    hwy::GetChosenTarget().Update(hwy::SupportedTargets());
    if (limited || name.empty()) return VKS_OK;
    return abi::fail(error, VKS_INVALID, "target: wanted one of%s, found %.64s", known.c_str(), name.c_str());
}

}  // namespace vks::cpu
