// Checker: a device with wrong numbers is found within as many steps as there are operators, a right one never.
#include "backend/conformance/checker.h"

#include <gtest/gtest.h>

#include "backend/registry/registry.h"
#include "tests/support/plugins.h"
#include "tests/unit/exec/tiny_model.h"

namespace vks::conformance {
namespace {

using test::Session;
using test::TinyModel;

const char* const kOps[] = {"embed",        "rms_norm",     "gemm", "mla_rope_append", "head_gemm", "mla_attention",
                            "add_rms_norm", "swiglu_quant", "add"};

// Steps of the model on one device, watched.
struct Watched {
    Registry registry{{test::cpu_dir(), test::null_dir()}};
    TinyModel model;
    Device& trusted;
    Checker checker;
    Session session;
    Device& device;
    std::shared_ptr<const Plan> plan;

    explicit Watched(const std::string& name, const std::string& options, const CheckOptions& check = {})
        : trusted(open("cpu", "threads=1")),
          checker(trusted, check),
          session(nullptr, &checker),
          device(open(name, options)) {
        Preference preference;
        preference.order = {&device};
        preference.general = 1;
        auto made = session.plan(model, 4, preference);
        CHECK(made, "{}", made.error().text);
        plan = *std::move(made);
    }
    Device& open(const std::string& name, const std::string& options) {
        auto found = registry.select(name);
        CHECK(found, "{}", found.error().text);
        auto opened = registry.open(*found->front(), options);
        CHECK(opened, "{}", opened.error().text);
        return **opened;
    }
    // How many of `most` steps run, three tokens first and then one each.
    int steps(int most, std::string* error = nullptr) {
        for (int i = 0; i < most; ++i) {
            const auto ran = i == 0 ? session.step(*plan, {1, 2, 3}, 0) : session.step(*plan, {int32_t(i)}, 2 + i);
            if (ran) continue;
            if (error) *error = ran.error().text;
            return i;
        }
        return most;
    }
};

TEST(Checker, FindsNothingWrongWithWhatIsRight) {
    Watched watched("fault", "");
    EXPECT_EQ(watched.steps(20), 20);
    EXPECT_EQ(watched.checker.checked(), 20);
    EXPECT_TRUE(watched.checker.disagreements().empty());
}

TEST(Checker, LooksEveryNthStep) {
    Watched watched("fault", "", {.every = 3});
    EXPECT_EQ(watched.steps(10), 10);
    EXPECT_EQ(watched.checker.checked(), 4);
}

TEST(Checker, LooksAtNothingOfItsOwnPlugin) {
    Watched watched("cpu", "threads=1");
    EXPECT_EQ(watched.steps(3), 3);
    EXPECT_EQ(watched.checker.checked(), 0);
}

TEST(Checker, FindsEachOperatorThatIsWrong) {
    std::vector<std::string> faults;
    for (const std::string op : kOps)
        for (const char* error : {"wrong", "nan"}) faults.push_back(std::string("error=") + error + ";op=" + op);
    faults.emplace_back("error=wrong;op=mla_rope_append;arg=1");  // the cache
    faults.emplace_back("error=wrong;op=add_rms_norm;arg=1");     // the sum
    for (const std::string& fault : faults) {
        SCOPED_TRACE(fault);
        Watched watched("fault", fault);
        const int ops = int(std::size(kOps));
        EXPECT_EQ(watched.steps(ops), ops);
        ASSERT_EQ(watched.checker.disagreements().size(), 1u);
        const Disagreement& found = watched.checker.disagreements()[0];
        EXPECT_NE(fault.find("op=" + found.op), std::string::npos) << found.text();
        EXPECT_EQ(found.device, "fault");
        EXPECT_FALSE(found.variant.empty());
    }
}

TEST(Checker, SaysBothValues) {
    Watched watched("fault", "error=wrong;op=add");
    watched.steps(1);
    ASSERT_EQ(watched.checker.disagreements().size(), 1u);
    const Disagreement& found = watched.checker.disagreements()[0];
    EXPECT_NE(found.driver.find("fault around "), std::string::npos) << found.driver;
    double theirs = 0, ours = 0;
    const size_t at = found.problem.find("column ");
    ASSERT_NE(at, std::string::npos) << found.problem;
    int column = 0;
    ASSERT_EQ(std::sscanf(found.problem.c_str() + at, "column %d: %lf, on cpu %lf", &column, &theirs, &ours), 3)
        << found.problem;
    EXPECT_EQ(theirs, -ours);
    EXPECT_NE(ours, 0);
}

TEST(Checker, WhatIsDoneAboutIt) {
    std::string error;
    Watched stop("fault", "error=wrong;op=add", {.action = CheckAction::kStop});
    EXPECT_EQ(stop.steps(2, &error), 0);
    EXPECT_EQ(error.rfind("check add add (fault, variant ", 0), 0u) << error;
    EXPECT_EQ(stop.device.health(), Health::kOk);
    Watched swap("fault", "error=wrong;op=add", {.action = CheckAction::kSwap});
    EXPECT_EQ(swap.steps(2, &error), 0);
    EXPECT_EQ(swap.device.health(), Health::kWrong);
    EXPECT_EQ(swap.device.health_reason(), error);
    EXPECT_EQ(swap.trusted.health(), Health::kOk);
}

}  // namespace
}  // namespace vks::conformance
