// Trials in a child process: how each can end, and that nothing of it is left.
#include "backend/registry/rehearsal.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>

namespace vks {
namespace {

std::string found(const std::function<void()>& step, std::chrono::milliseconds most = std::chrono::minutes(1)) {
    const Status status = rehearse(step, most);
    EXPECT_EQ(waitpid(-1, nullptr, WNOHANG), -1) << "a child is left";
    EXPECT_EQ(errno, ECHILD);
    if (status) return "";
    const std::string& text = status.error().text;
    return text.substr(text.find("found ") + 6);
}

TEST(Rehearsal, WhatReturnsIsFineAndChangesNothing) {
    int value = 1;
    EXPECT_EQ(found([&] { value = 2; }), "");
    EXPECT_EQ(value, 1);
}

TEST(Rehearsal, WhatEndsTheProcess) {
    EXPECT_EQ(found([] { std::_Exit(0); }), "the process ended with status 0");
    EXPECT_EQ(found([] { std::_Exit(3); }), "the process ended with status 3");
    EXPECT_EQ(found([] { raise(SIGKILL); }), "the process ended by signal 9");
    EXPECT_EQ(found([] { raise(SIGABRT); }), "the process ended by signal 6");
}

TEST(Rehearsal, WhatNeverReturns) {
    const auto wait = [] {
        for (;;) pause();
    };
    EXPECT_EQ(found(wait, std::chrono::milliseconds(20)), "it still running after 20 ms");
}

TEST(Rehearsal, WhatItPrintsIsNotSeen) {
    testing::internal::CaptureStdout();
    EXPECT_EQ(found([] {
                  std::puts("hello");
                  std::fflush(stdout);
              }),
              "");
    EXPECT_EQ(testing::internal::GetCapturedStdout(), "");
}

}  // namespace
}  // namespace vks
