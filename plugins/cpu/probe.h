// vks.probe/1: what this machine's cores can do at best.
#pragma once
#include "backend/abi/draft/probe.h"

namespace vks::cpu {

extern const vks_probe_api kProbeApi;

}  // namespace vks::cpu
