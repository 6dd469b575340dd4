// What is never given back, because a device that hangs may still use it.
#pragma once

namespace vks {

// Notes it, so that leak checkers find it reachable. Thread-safe.
void leave_behind(const void* memory);

}  // namespace vks
