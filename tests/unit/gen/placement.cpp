// Which devices a run may use, by the names of the command line.
#include "frontend/gen/placement.h"

#include <gtest/gtest.h>

#include <cstdlib>

#include "tests/unit/gen/test_engine.h"

namespace vks {
namespace {

// One of the remote plugin's two devices can't be opened.
class Resolving : public testing::Test {
protected:
    Resolving() { ::setenv("REMOTE_OPTIONS", "fail_open=0", 1); }
    ~Resolving() override { ::unsetenv("REMOTE_OPTIONS"); }

    // "remote:1 cpu cnorm", or the error.
    std::string devices(const std::vector<std::string>& backends, const std::map<std::string, std::string>& ops = {}) {
        left_out_.clear();
        const auto preference = resolve(registry_, backends, ops, "threads=1", "embed", "--backend", left_out_);
        if (!preference) return preference.error().text;
        std::string text;
        for (const Device* device : preference->order) text += (text.empty() ? "" : " ") + device->id();
        return text;
    }

    Registry registry_{{test::cpu_dir(), test::test_dir()}};
    std::vector<std::string> left_out_;
};

constexpr const char* kError = "open (remote:0): internal error: remote: told not to open";

TEST_F(Resolving, AutoGoesWithoutWhatCannotBeOpened) {
    EXPECT_EQ(devices({"auto"}), "remote:1 cpu cnorm");
    EXPECT_EQ(left_out_, std::vector<std::string>{std::string("left out of auto: ") + kError});
}

TEST_F(Resolving, WhatIsNamedMustOpen) {
    EXPECT_EQ(devices({"remote", "cpu"}), kError);
    EXPECT_EQ(devices({"cpu", "remote:0"}), kError);
    EXPECT_EQ(devices({"cpu"}, {{"rms_norm", "remote:0"}}), kError);
    EXPECT_TRUE(left_out_.empty());
    EXPECT_EQ(devices({"remote:1", "cpu"}), "remote:1 cpu");
}

TEST_F(Resolving, TheEngineSaysItOnce) {
    EngineOptions options;
    options.context = 32;
    options.placement.prefill = {"auto"};
    options.placement.op_backend = {{"embed", "cpu"}};
    const auto made =
        test::test_engine(test::data("nano-fp8/checkpoint"), options, {test::cpu_dir(), test::test_dir()});
    const std::vector<int32_t> prompt{5, 9, 2, 7};
    ASSERT_TRUE(made.engine->step(prompt, 0));
    EXPECT_EQ(made.engine->warnings(), std::vector<std::string>{std::string("left out of auto: ") + kError});
    ASSERT_TRUE(made.engine->prepare({{"cpu"}, {}, {"auto"}}));
    ASSERT_TRUE(made.engine->commit());
    EXPECT_EQ(made.engine->warnings().size(), 1u);
}

}  // namespace
}  // namespace vks
