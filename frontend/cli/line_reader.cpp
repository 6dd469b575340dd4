#include "frontend/cli/line_reader.h"

#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <memory>

// After <cstdio>: readline's headers use FILE without declaring it.
#include <readline/history.h>
#include <readline/readline.h>

#include "frontend/cli/input.h"
#include "frontend/text/chat.h"

namespace vks {
namespace {

// NOLINTNEXTLINE(*-non-const-global-variables): for readline's hook, which takes no argument
InterruptFlag* g_interrupt = nullptr;

std::optional<std::string> edited_line(const char* prompt) {
    const std::unique_ptr<char, void (*)(void*)> line(readline(prompt), std::free);
    if (!line) return {};
    if (*line != 0) add_history(line.get());
    return line.get();
}

int discard_line() {
    if (!g_interrupt || !g_interrupt->is_set()) return 0;
    g_interrupt->clear();
    rl_replace_line("", 1);
    rl_crlf();
    rl_on_new_line();
    rl_redisplay();
    return 0;
}

}  // namespace

LineReader::LineReader(InterruptFlag& interrupt) : interrupt_(interrupt), terminal_(isatty(STDIN_FILENO) == 1) {
    g_interrupt = &interrupt;
    rl_signal_event_hook = discard_line;
    rl_bind_key('\t', rl_insert);  // file names are of no use here
}

LineReader::~LineReader() {
    rl_signal_event_hook = nullptr;
    g_interrupt = nullptr;
}

Result<std::optional<std::string>> LineReader::next(const char* prompt) {
    interrupt_.clear();  // it was meant for the answer before
    auto line = terminal_ ? Result(edited_line(prompt)) : read_line(kMaxChatDocument);
    interrupt_.clear();  // and this one for the line
    return line;
}

}  // namespace vks
