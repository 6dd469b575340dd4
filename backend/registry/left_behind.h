// What is never given back, because a device that hangs may still use it.
#pragma once

namespace vks {

// Notes it, so that leak checkers find it reachable. Thread-safe.
void leave_behind(const void* memory);

// Then the process has to end at once (_Exit): the device's threads may be anywhere in its driver, whose libraries
// exit() would clean up around them.
bool anything_left_behind();

}  // namespace vks
