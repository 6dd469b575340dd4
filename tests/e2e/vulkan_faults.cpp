// The program with faults around the Vulkan plugin: what can't be read from the host, and runs when it likes.
#include <array>
#include <cstdlib>

#include "tests/e2e/faults.h"
#include "tests/support/temp_dir.h"

namespace vks::test {
namespace {

constexpr const char* kErrors[] = {
    "device_lost", "device_lost;in=await", "out_of_memory", "internal", "internal;in=await",
    "throw",       "throw;in=await",       "hang"};

nlohmann::json ids_on_cpu(const std::vector<std::string>& options) {
    auto document = document_of(generate_with_fault("", options));
    EXPECT_FALSE(document["ids"].empty());
    return document["ids"];
}

// Long enough to compile in; what hangs comes last, when all is compiled, and need not take as long.
const char* watchdog(std::string_view error) {
    return error == "hang" ? "3" : "20";
}

// In the prompt's step, in one that gives an id, in a draft.
class VulkanFaults : public testing::TestWithParam<const char*> {};

TEST_P(VulkanFaults, TheProgramGoesOn) {
    const auto ids = ids_on_cpu({"--backend", "cpu"});
    for (const char* error : kErrors) {
        const std::string fault = std::string("plugin=vulkan;error=") + error + ";" + GetParam();
        SCOPED_TRACE(fault);
        expect_survived(
            generate_with_fault(fault, {"--backend", "fault,cpu", "--mtp", "1", "--watchdog", watchdog(error)}), ids);
    }
}

std::string phase_name(const testing::TestParamInfo<const char*>& phase) {
    const std::array names = {"Prefill", "Decode", "Draft"};
    return names.at(phase.index);
}

INSTANTIATE_TEST_SUITE_P(Phases, VulkanFaults, testing::Values("step=0", "step=6", "op=mtp_merge;at=3"), phase_name);

// At one step in eight of 64; $VKSEEK_TEST_LONG: at each.
TEST(VulkanFault, WheneverItDies) {
    const auto ids = ids_on_cpu({"--backend", "cpu", "-n", "64"});
    for (int step = 0; step < 64; step += std::getenv("VKSEEK_TEST_LONG") ? 1 : 8) {
        SCOPED_TRACE(step);
        expect_survived(generate_with_fault("plugin=vulkan;error=device_lost;step=" + std::to_string(step),
                                            {"--backend", "fault,cpu", "-n", "64"}),
                        ids);
    }
}

// Before the step it had run on, whose rows are then the other device's, all was right.
TEST(VulkanFault, TheOtherWayRound) {
    const auto ids = ids_on_cpu({"--backend", "cpu"});
    const auto document = document_of(generate_with_fault("error=device_lost;step=5", {"--backend", "fault,vulkan"}));
    EXPECT_EQ(document["ids"], ids);
    EXPECT_EQ(document["swaps"].size(), 1U);
}

TEST(VulkanFault, AloneItEndsWithOneLine) {
    for (const char* error : kErrors) {
        SCOPED_TRACE(error);
        expect_one_line(generate_with_fault(std::string("plugin=vulkan;step=3;error=") + error,
                                            {"--backend", "fault", "--watchdog", watchdog(error)}));
    }
}

// A device that is slow, not hanging: when the program ends it is still at work, compiling for the first time.
TEST(VulkanFault, GivenUpWhileItWorksItEndsWithOneLine) {
    for (const char* seconds : {"0.001", "0.1", "0.3", "0.5", "1"}) {
        SCOPED_TRACE(seconds);
        const TempDir cache;
        RunOptions options;
        options.env["XDG_CACHE_HOME"] = cache.path();
        const Ran ran =
            run_program({"generate", "-m", data("nano-fp8/checkpoint").string(), "--backend", "vulkan", "--ids",
                         "3,1,4,1,5,9,2,6,5,3,5,8,9,7", "-n", "2", "--temp", "0", "--watchdog", seconds},
                        options);
        if (ran.status == 0) continue;  // fast enough
        EXPECT_EQ(ran.status, 4) << ran.err;
        EXPECT_EQ(ran.err.find('\n'), ran.err.size() - 1) << ran.err;
    }
}

// A shader that the driver's compiler refuses: its operator runs elsewhere, all others stay, no row is computed again.
// The plans of a prompt and of single tokens have programs of their own of some operators.
class VulkanRefusal : public testing::TestWithParam<const char*> {
protected:
    static Ran run(const std::string& shader, const std::vector<std::string>& options) {
        std::vector<std::string> arguments = {"generate",    "-m",          data("nano-fp8/checkpoint").string(),
                                              "--ids",       "3,1,4,1,5,9", "-n",
                                              "8",           "--temp",      "0",
                                              "--math",      "f32",         "--json",
                                              "--ignore-eos"};
        arguments.insert(arguments.end(), options.begin(), options.end());
        RunOptions with;
        with.env["VKSEEK_VULKAN_OPTIONS"] = shader.empty() ? "" : "refuse=" + shader;
        return run_program(arguments, with);
    }
};

TEST_P(VulkanRefusal, OneOperatorRunsElsewhere) {
    const std::string op = GetParam();
    for (const bool drafts : {false, true}) {
        SCOPED_TRACE(drafts);
        const std::vector<std::string> with = {"--mtp", drafts ? "1" : "0"};
        const auto on = [&](const std::string& shader, const std::string& backends) {
            std::vector<std::string> options = with;
            options.insert(options.end(), {"--backend", backends});
            return document_of(run(shader, options));
        };
        const auto whole = on("", "vulkan"), document = on(op, "vulkan,cpu");
        ASSERT_TRUE(whole.is_object() && document.is_object());
        EXPECT_EQ(document["ids"], whole["ids"]);
        for (const auto& [name, device] : document["placement"].items())
            EXPECT_EQ(device, name == op ? "cpu" : "vulkan") << name;
        ASSERT_GE(document["swaps"].size(), 1U);
        for (const auto& swap : document["swaps"]) {
            const std::string reason = swap["reason"];
            EXPECT_EQ(reason.rfind("prepare " + op + " ", 0), 0U) << reason;
            EXPECT_NE(reason.find(": " + op), std::string::npos) << reason;
            EXPECT_EQ(swap["recomputed_tokens"], 0) << swap;
        }
    }
}

INSTANTIATE_TEST_SUITE_P(Ops, VulkanRefusal, testing::Values("moe_combine", "mla_attention", "grouped_gemm"),
                         [](const testing::TestParamInfo<const char*>& op) { return std::string(op.param); });

TEST_F(VulkanRefusal, AloneItEndsWithOneLine) {
    const Ran ran = run("moe_combine", {"--backend", "vulkan"});
    EXPECT_EQ(ran.status, 4);
    EXPECT_EQ(ran.err.rfind("vkseek: prepare moe_combine ", 0), 0U) << ran.err;
    EXPECT_NE(ran.err.find("vkCreateComputePipelines: an error (-13): moe_combine/"), std::string::npos) << ran.err;
    EXPECT_EQ(ran.err.find('\n'), ran.err.size() - 1) << ran.err;
}

// What a plan on other devices left is brought to the device before its first step there: nothing of that is lost.
TEST_F(VulkanRefusal, AfterASwap) {
    const std::vector<std::string> swap = {"--backend", "cpu", "--swap", "3=vulkan,cpu", "--mtp", "0"};
    const auto whole = document_of(run("", swap)), document = document_of(run("moe_combine", swap));
    ASSERT_TRUE(whole.is_object() && document.is_object());
    EXPECT_EQ(document["ids"], whole["ids"]);
    EXPECT_EQ(document["placement"]["moe_combine"], "cpu");
    EXPECT_EQ(document["placement"]["mla_attention"], "vulkan");
}

TEST(VulkanFault, RightNumbersAreNotFoundWrong) {
    for (const char* math : {"f32", "half"}) {
        const auto document =
            document_of(generate_with_fault("", {"--backend", "vulkan", "--check", "1", "--math", math, "--mtp", "1"}));
        EXPECT_EQ(document["checks"]["disagreements"].size(), 0U) << document["checks"];
        EXPECT_GE(document["checks"]["operators"].get<int>(), 16) << math;
    }
}

}  // namespace
}  // namespace vks::test
