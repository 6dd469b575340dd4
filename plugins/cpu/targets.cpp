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

std::mutex mutex;
int holders = 0;  // devices that are open

std::string lowest_bit_name(int64_t targets) {
    return lower(hwy::TargetName(targets & -targets));
}

}  // namespace

std::string best_target() {
    return lowest_bit_name(hwy::SupportedTargets());
}

vks_status hold_target(const std::string& name, vks_error* error) {
    const std::lock_guard lock(mutex);
    static const int64_t machine = hwy::SupportedTargets();  // before any was disabled
    int64_t disabled = 0;
    if (!name.empty()) {
        std::string known;
        int64_t left = machine;
        for (; left != 0 && lowest_bit_name(left) != name; left &= left - 1) known += ' ' + lowest_bit_name(left);
        if (left == 0) {
            return abi::fail(error, VKS_INVALID, "target: wanted one of%s, found %.64s", known.c_str(), name.c_str());
        }
        disabled = (left & -left) - 1;
    }
    if (holders == 0) {
        hwy::DisableTargets(disabled);
        hwy::GetChosenTarget().Update(hwy::SupportedTargets());  // else the next kernel to be chosen would
    } else if (!name.empty() && name != best_target()) {
        return abi::fail(error, VKS_INVALID, "target: wanted %s, which devices that are open have, found %.64s",
                         best_target().c_str(), name.c_str());
    }
    ++holders;
    return VKS_OK;
}

void release_target() {
    const std::lock_guard lock(mutex);
    --holders;
}

}  // namespace vks::cpu
