#include "frontend/cli/console.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <nlohmann/json.hpp>

#include "backend/base/bad_input.h"

namespace vks {
namespace {

std::atomic<bool> g_interrupted{false};  // NOLINT(*-non-const-global-variables): for the signal handler
static_assert(std::atomic<bool>::is_always_lock_free, "the signal handler uses it");

void on_interrupt(int number) {
    if (!g_interrupted.exchange(true)) return;
    signal(number, SIG_DFL);
    raise(number);
}

void handle(int number, void (*handler)(int)) {
    struct sigaction action = {};
    action.sa_handler = handler;
    sigemptyset(&action.sa_mask);
    action.sa_flags = SA_RESTART;  // what is being written is written
    sigaction(number, &action, nullptr);
}

void handle_interrupts(Interrupts which, void (*handler)(int)) {
    handle(SIGINT, handler);
    if (which != Interrupts::kAll) return;
    handle(SIGPIPE, handler == SIG_DFL ? SIG_DFL : SIG_IGN);  // nobody reads on: that is an error, which cleans up
    for (const int number : {SIGTERM, SIGHUP}) {
        struct sigaction before = {};
        if (sigaction(number, nullptr, &before) == 0 && before.sa_handler != SIG_IGN) handle(number, handler);
    }
}

// Text without control characters, but with its lines and tabs.
std::string masked(std::string_view text) {
    std::string out;
    while (!text.empty()) {
        const size_t end = std::min(text.find_first_of("\n\t"), text.size());
        out += one_line(text.substr(0, end));
        if (end < text.size()) out += text[end];
        text.remove_prefix(std::min(end + 1, text.size()));
    }
    return out;
}

}  // namespace

void hold_standard_streams() {
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; ++fd) {
        if (fcntl(fd, F_GETFD) != -1) continue;
        // open() gives the lowest that is free: this one.
        const int opened = open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY);
        if (opened != fd && opened >= 0) close(opened);
    }
}

Status write_stdout(std::string_view text) {
    if (std::fwrite(text.data(), 1, text.size(), stdout) == text.size() && std::fflush(stdout) == 0) return {};
    return bad_input("output (stdout): wanted to write {} bytes, found: {}", text.size(), std::strerror(errno));
}

Status write_answer(std::string_view text) {
    static const bool terminal = isatty(STDOUT_FILENO) == 1;
    return terminal ? write_stdout(masked(text)) : write_stdout(text);
}

Status write_json(const nlohmann::ordered_json& document) {
    return write_stdout(document.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n");
}

void write_stderr(std::string_view text) {
    std::fwrite(text.data(), 1, text.size(), stderr);
}

bool stderr_is_terminal() {
    static const bool is = isatty(STDERR_FILENO) == 1;
    return is;
}

InterruptFlag::InterruptFlag(Interrupts which) : which_(which) {
    g_interrupted = false;
    handle_interrupts(which_, on_interrupt);
}

InterruptFlag::~InterruptFlag() {
    handle_interrupts(which_, SIG_DFL);
}

const std::atomic<bool>& InterruptFlag::flag() const {
    return g_interrupted;
}

void InterruptFlag::clear() {
    g_interrupted = false;
}

void Progress::update(int64_t done, int64_t total) {
    if (!stderr_is_terminal() || Clock::now() < next_ || total <= 0) return;
    next_ = Clock::now() + std::chrono::milliseconds(200);
    constexpr int kWidth = 30;
    const int filled = static_cast<int>(kWidth * done / total);
    write_stderr(fmt::format("\r{} [{:#>{}}{:.>{}}] {}/{}\033[K", what_, "", filled, "", kWidth - filled, done, total));
    drawn_ = true;
}

void Progress::clear() {
    if (drawn_) write_stderr("\r\033[K");
    drawn_ = false;
}

}  // namespace vks
