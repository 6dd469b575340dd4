// Runs the program (or another) as a child and waits for it: what it wrote, how it ended. The environment variable
// VKSEEK_RUN_PREFIX puts another command in front of every one, such as valgrind with its options.
#pragma once
#include <sys/types.h>

#include <chrono>
#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace vks::test {

struct RunOptions {
    std::filesystem::path program;  // empty: vkseek as built
    std::string input;              // all of standard input
    // Added to the caller's, without VKSEEK_*. What isn't here of XDG_CACHE_HOME is in the build's folder: a test
    // leaves the user's caches alone.
    std::map<std::string, std::string> env;
    std::chrono::seconds timeout{1100};  // the child is killed then; less than what a test has (CMakePresets.json)
    unsigned cpu_seconds = 0;  // or when it has computed for so long, whatever else the machine does; 0: never
    // Called with the child and all of its stdout so far, whenever there is more.
    std::function<void(pid_t, std::string_view)> on_output;
    int pipe_bytes = 0;  // how much the child may be ahead of that, a page at least; 0: what pipes hold, 64 KiB
};

struct Ran {
    int status = -1;  // exit status; 128 + signal if it was killed; -1 if it didn't start
    std::string out, err;
};

// The child sees file descriptors 0 to 2 only.
Ran run_program(const std::vector<std::string>& arguments, const RunOptions& options = {});

}  // namespace vks::test
