#include "backend/registry/rehearsal.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>

namespace vks {
namespace {

// In the child. Its end is the parent's doing: no exit handler runs, and no sanitizer looks for leaks. What a library's
// constructor throws ends the child here: dlopen promises not to throw, so whether it would get further is the
// compiler's choice, and the frames above are the parent's.
[[noreturn]] void perform(const std::function<void()>& step, int done) noexcept {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    const rlimit none{0, 0};
    setrlimit(RLIMIT_CORE, &none);
    for (const int number : {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGINT, SIGTERM}) signal(number, SIG_DFL);
    const int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    for (const int standard : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) dup2(null, standard);
    step();
    while (write(done, "", 1) < 0 && errno == EINTR) {
    }
    for (;;) pause();
}

enum class Outcome { kReturned, kEnded, kBusy };

Outcome await(int done, std::chrono::milliseconds most) {
    const auto end = std::chrono::steady_clock::now() + most;
    for (;;) {
        const auto left = std::chrono::ceil<std::chrono::milliseconds>(end - std::chrono::steady_clock::now());
        pollfd waited{done, POLLIN, 0};
        const int ready = poll(&waited, 1, left.count() > 0 ? static_cast<int>(left.count()) : 0);
        if (ready == 0) return Outcome::kBusy;
        if (ready < 0) continue;  // a signal came
        char byte = 0;
        return read(done, &byte, 1) == 1 ? Outcome::kReturned : Outcome::kEnded;
    }
}

}  // namespace

Status rehearse(const std::function<void()>& step, std::chrono::milliseconds most) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) return {};
    const pid_t child = fork();
    if (child == 0) perform(step, ends[1]);
    close(ends[1]);
    const Outcome outcome = child < 0 ? Outcome::kReturned : await(ends[0], most);
    close(ends[0]);
    if (child < 0) return {};
    kill(child, SIGKILL);
    int status = 0;
    while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    if (outcome == Outcome::kReturned) return {};
    const std::string found = outcome == Outcome::kBusy ? fmt::format("it still running after {} ms", most.count())
                              : WIFSIGNALED(status)
                                  ? fmt::format("the process ended by signal {}", WTERMSIG(status))
                                  : fmt::format("the process ended with status {}", WEXITSTATUS(status));
    return Error{Code::kNoBackend, "a trial in another process: wanted it to return, found " + found};
}

}  // namespace vks
