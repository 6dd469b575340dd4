// vks.threads/1 of the CPU plugin.
#pragma once
#include "backend/abi/draft/threads.h"

namespace vks::cpu {

extern const vks_threads_api kThreadsApi;

}  // namespace vks::cpu
