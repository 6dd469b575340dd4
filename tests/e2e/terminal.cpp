// What a model says on a terminal: no control characters but line breaks and tabs. In a pipe: as it is.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <pty.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <string>
#include <vector>

#include "tests/support/paths.h"
#include "tests/support/run_program.h"

namespace vks::test {
namespace {

// Standard output of the program when that is a terminal.
std::string on_terminal(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), VKS_PROGRAM);
    std::vector<char*> argv;
    for (std::string& argument : arguments) argv.push_back(argument.data());
    argv.push_back(nullptr);
    int master = -1;
    const pid_t child = forkpty(&master, nullptr, nullptr, nullptr);
    if (child == 0) {
        const int null = open("/dev/null", O_WRONLY);
        if (null >= 0) dup2(null, STDERR_FILENO);
        for (const char* variable : {"VKSEEK_MODEL", "VKSEEK_PLUGIN_PATH", "VKSEEK_VULKAN_OPTIONS"}) unsetenv(variable);
        execv(VKS_PROGRAM, argv.data());
        _exit(127);
    }
    EXPECT_GT(child, 0);
    std::string text;
    std::array<char, 4096> piece;
    for (ssize_t got; (got = read(master, piece.data(), piece.size())) > 0;) {  // EIO at the end
        text.append(piece.data(), static_cast<size_t>(got));
    }
    close(master);
    int status = 0;
    EXPECT_EQ(waitpid(child, &status, 0), child);
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
    std::erase(text, '\r');  // the terminal's own, before each line break
    return text;
}

size_t controls(const std::string& text) {
    return static_cast<size_t>(std::ranges::count_if(text, [](char c) {
        const auto byte = static_cast<unsigned char>(c);
        return (byte < 0x20 && c != '\n' && c != '\t') || byte == 0x7f;
    }));
}

TEST(Terminal, ModelsCannotSendControlCharacters) {
    // A model of random weights, sampled hot: any token may come, those of single bytes too.
    const std::vector<std::string> arguments = {"generate",
                                                "-m",
                                                test::data("nano-bf16/checkpoint"),
                                                "--ids",
                                                "0",
                                                "-n",
                                                "3000",
                                                "--temp",
                                                "100",
                                                "--top-p",
                                                "1",
                                                "--seed",
                                                "3",
                                                "--ignore-eos",
                                                "--backend",
                                                "cpu"};
    const Ran piped = run_program(arguments);
    ASSERT_EQ(piped.status, 0) << piped.err;
    EXPECT_GT(controls(piped.out), 20u);
    EXPECT_NE(piped.out.find('\x1b'), std::string::npos);
    const std::string shown = on_terminal(arguments);
    EXPECT_EQ(controls(shown), 0u);
    EXPECT_NE(shown.find("\\x1b"), std::string::npos);
    EXPECT_EQ(std::ranges::count(shown, '\n'), std::ranges::count(piped.out, '\n'));
}

}  // namespace
}  // namespace vks::test
