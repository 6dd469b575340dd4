// The program's ends: standard output with its errors, Ctrl-C, and a progress bar on the terminal. Input: input.h.
#pragma once
#include <atomic>
#include <chrono>
#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

#include "backend/base/clock.h"
#include "backend/base/result.h"

namespace vks {

// Takes the place of standard streams that the caller closed, so that no file the program opens becomes one of them:
// reading and writing such a stream fails as on a closed one. To be called before anything is opened.
void hold_standard_streams();

// Writes and flushes; a full disk is an Error.
Status write_stdout(std::string_view text);
// The same for what a model says. On a terminal, control characters other than line break and tab are written as \\xNN:
// a model's text must not move the cursor, set a title or answer for the keyboard. In a pipe or file it stays as it is.
Status write_answer(std::string_view text);
// One JSON document and a line break.
Status write_json(const nlohmann::ordered_json& document);
// A line of statistics or the like, for people.
void write_stderr(std::string_view text);
bool stderr_is_terminal();

// What ends a program by itself: Ctrl-C; also a request to end (SIGTERM) and a terminal that is gone (SIGHUP).
enum class Interrupts : uint8_t { kCtrlC, kAll };

// An interrupt sets a flag instead of ending the program, as long as the object lives; a second one while the flag is
// set ends it at once. SIGTERM and SIGHUP stay ignored where they were (nohup). With kAll, writing where nobody reads
// any more is an error instead of the end (SIGPIPE). One object at a time.
class InterruptFlag {
public:
    // kAll: for work that leaves files behind unless it is ended in order.
    explicit InterruptFlag(Interrupts which = Interrupts::kCtrlC);
    ~InterruptFlag();
    InterruptFlag(const InterruptFlag&) = delete;
    InterruptFlag& operator=(const InterruptFlag&) = delete;
    const std::atomic<bool>& flag() const;
    bool is_set() const { return flag().load(); }
    void clear();

private:
    const Interrupts which_;
};

// A line on the terminal that is redrawn, once work has lasted a second; nothing when stderr is no terminal. The line
// is gone when the object is.
class Progress {
public:
    explicit Progress(std::string what) : what_(std::move(what)) {}
    ~Progress() { clear(); }
    Progress(const Progress&) = delete;
    Progress& operator=(const Progress&) = delete;
    void update(int64_t done, int64_t total);
    void clear();

private:
    std::string what_;
    Clock::time_point next_ = Clock::now() + std::chrono::seconds(1);
    bool drawn_ = false;
};

}  // namespace vks
