// What a stranger's code does when it is first run, tried out in a child process: it may end the process, or never
// return.
#pragma once
#include <chrono>
#include <functional>

#include "backend/base/result.h"

namespace vks {

// Runs `step` in a child that has nothing to read or to write, and ends the child. Errors: it crashed, it ended the
// process, or it took longer than `most`. Fine where no child can be had. For a process with one thread: others aren't
// in the child.
Status rehearse(const std::function<void()>& step, std::chrono::milliseconds most = std::chrono::seconds(10));

}  // namespace vks
