// vks.findings/1: what there is to say about this machine's Vulkan.
#pragma once
#include "backend/abi/draft/findings.h"

namespace vks::vulkan {

extern const vks_findings_api kFindingsApi;

}  // namespace vks::vulkan
