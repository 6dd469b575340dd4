// Devices that fail while text is generated: the ids are those of a run on the CPU plugin, whatever fails and when.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>

#include "frontend/gen/generator.h"
#include "tests/unit/gen/test_engine.h"

namespace vks {
namespace {

const std::vector<int32_t> kPrompt = {3, 1, 4, 1, 5, 9, 2, 6, 5, 35, 8};
constexpr int64_t kTokens = 24;

struct Scenario {
    std::string fault;  // of $VKSEEK_FAULT
    Placement placement = {{"fault", "cpu"}, {}, {}};
    int64_t drafts = 0;
    int64_t tokens = kTokens;
    int64_t check = 0;
    bool half = false, w8a8 = false;
    std::vector<PlannedSwap> swaps = {};
    conformance::CheckAction action = conformance::CheckAction::kWarn;
    std::vector<int32_t> prompt = kPrompt;
};

struct Outcome {
    std::string error;  // empty: it went well
    Generation out;
    std::map<std::string, std::string> where;  // at the end
    std::vector<conformance::Disagreement> disagreements;
    int64_t checked = 0;
    std::vector<int32_t> drafted;
};

// Every run has plugins and devices of its own: what failed in one is well again in the next.
class Recovering : public testing::Test {
protected:
    static Outcome run(const Scenario& wanted, const char* model = "nano-fp8/checkpoint") {
        ::setenv("VKSEEK_FAULT", wanted.fault.c_str(), 1);
        static std::map<std::string, std::shared_ptr<const Checkpoint>> open;
        auto& checkpoint = open[model];
        if (!checkpoint) {
            auto opened = Checkpoint::open(test::data(model));
            CHECK(opened, "{}", opened.error().text);
            checkpoint = std::make_shared<const Checkpoint>(*std::move(opened));
        }
        EngineOptions options;
        options.placement = wanted.placement;
        options.half = wanted.half;
        options.w8a8 = wanted.w8a8;
        options.threads = 1;
        options.context = 128;
        options.chunk = 8;  // the prompt takes two steps
        options.draft = wanted.drafts;
        options.mtp = int(std::min<int64_t>(wanted.drafts, checkpoint->config().num_nextn_predict_layers));
        options.watchdog = 0.001;
        options.check = wanted.check;
        options.check_action = wanted.action;
        Registry registry({test::cpu_dir(), test::null_dir()});
        Outcome outcome;
        auto engine = Engine::create(checkpoint, registry, options, nullptr);
        if (!engine) {
            outcome.error = engine.error().text;
            return outcome;
        }
        SpeculationOptions speculation;
        speculation.most = wanted.drafts;
        speculation.replace = [&](int64_t, int32_t drafted) {
            outcome.drafted.push_back(drafted);
            return drafted;
        };
        GenerateOptions generate;
        generate.max_tokens = wanted.tokens;
        generate.swaps = wanted.swaps;
        auto out = Generator(**engine, nullptr, speculation).run(wanted.prompt, generate, {});
        if (out) {
            outcome.out = *std::move(out);
        } else {
            outcome.error = out.error().text;
        }
        outcome.where = (*engine)->where();
        if (const auto* checker = (*engine)->checker()) {
            outcome.disagreements = checker->disagreements();
            outcome.checked = checker->checked();
        }
        return outcome;
    }
    // What the CPU plugin alone gives.
    static const Generation& expected(int64_t drafts = 0, int64_t tokens = kTokens) {
        static std::map<std::pair<int64_t, int64_t>, Generation> known;
        const auto [it, fresh] = known.try_emplace({drafts, tokens});
        if (fresh) {
            Outcome outcome = run({"", {{"cpu"}, {}, {}}, drafts, tokens});
            CHECK(outcome.error.empty(), "{}", outcome.error);
            it->second = outcome.out;
        }
        return it->second;
    }
    static void expect_right(const Outcome& outcome, const Scenario& wanted) {
        ASSERT_EQ(outcome.error, "");
        EXPECT_EQ(outcome.out.ids, expected(wanted.drafts, wanted.tokens).ids);
        EXPECT_EQ(outcome.out.logits_hash, expected(wanted.drafts, wanted.tokens).logits_hash);
    }
};

const char* const kErrors[] = {"error=device_lost",       "error=device_lost;in=await",
                               "error=out_of_memory",     "error=internal",
                               "error=internal;in=await", "error=throw",
                               "error=throw;in=await",    "error=hang"};
const char* const kPhases[] = {";step=0", ";step=1", ";step=7", ";op=mtp_merge;at=5", ";op=mla_attention;at=9"};

TEST_F(Recovering, TheIdsStayTheSame) {
    for (const int64_t drafts : {0, 3})
        for (const std::string error : kErrors)
            for (const std::string phase : kPhases) {
                if (drafts == 0 && phase.find("mtp") != std::string::npos) continue;
                const Scenario wanted{.fault = error + phase, .drafts = drafts};
                SCOPED_TRACE(wanted.fault + (drafts > 0 ? ", with drafts" : ""));
                const Outcome outcome = run(wanted);
                expect_right(outcome, wanted);
                ASSERT_EQ(outcome.out.swaps.size(), 1u);
                const SwapEvent& left = outcome.out.swaps[0];
                EXPECT_NE(left.reason.find("(fault): "), std::string::npos) << left.reason;
                EXPECT_NE(left.reason.find("told to "), std::string::npos) << left.reason;
                // Memory that can still be read goes over; of a lost device it is made again.
                const bool gone = error.find("lost") != std::string::npos || error.find("hang") != std::string::npos;
                EXPECT_EQ(left.recomputed_tokens > 0, gone && phase != ";step=0") << left.recomputed_tokens;
                for (const auto& [op, device] : outcome.where) EXPECT_EQ(device, "cpu") << op;
            }
}

// The device dies at each step in turn.
TEST_F(Recovering, AtEveryStep) {
    for (int step = 0; step < 64; ++step) {
        SCOPED_TRACE(step);
        Scenario wanted{.fault = "error=device_lost;step=" + std::to_string(step), .tokens = 64};
        const Outcome outcome = run(wanted);
        expect_right(outcome, wanted);
        ASSERT_EQ(outcome.out.swaps.size(), 1u);
        // Two steps of the prompt, then one for each id after the first.
        const int64_t rows = step == 0 ? 0 : step == 1 ? 8 : int64_t(kPrompt.size()) + step - 2;
        EXPECT_EQ(outcome.out.swaps[0].recomputed_tokens, rows);
    }
}

TEST_F(Recovering, BeforeItRuns) {
    for (const char* fault : {"error=out_of_memory;in=prepare;op=gemm", "error=device_lost;in=prepare;op=mla_attention",
                              "error=throw;in=prepare;at=3", "error=out_of_memory;in=buffer",
                              "error=out_of_memory;in=buffer;at=1", "error=out_of_memory;in=buffer;at=2",
                              "error=device_lost;in=buffer;at=3", "error=internal;in=query;op=embed"}) {
        SCOPED_TRACE(fault);
        const Scenario wanted{.fault = fault};
        const Outcome outcome = run(wanted);
        expect_right(outcome, wanted);
        EXPECT_TRUE(outcome.out.swaps.empty());
        EXPECT_NE(outcome.where.at("gemm").find("cpu"), std::string::npos);
    }
}

// One module makes three drafts: the rows of the first two of a step are needed for the third.
TEST_F(Recovering, TheDraftsStayTheSame) {
    const Outcome right = run({"", {{"cpu"}, {}, {}}, 3});
    ASSERT_GT(right.drafted.size(), 12u);
    for (int at = 0; at < 12; ++at) {
        const Scenario wanted{.fault = "error=device_lost;op=mtp_merge;at=" + std::to_string(at), .drafts = 3};
        SCOPED_TRACE(wanted.fault);
        const Outcome outcome = run(wanted);
        expect_right(outcome, wanted);
        EXPECT_EQ(outcome.out.swaps.size(), 1u);
        EXPECT_EQ(outcome.drafted, right.drafted);
    }
}

// While the run waits for the plans of a swap: no step has failed, but rows are gone.
TEST_F(Recovering, WhilePlansAreMade) {
    PlannedSwap swap;
    swap.change.op = {"embed", "cpu"};
    for (const int64_t drafts : {0, 3}) {
        int lost = 0;
        for (int at = 60; at < 480; at += 20) {
            Scenario wanted{.fault = "error=device_lost;in=prepare;at=" + std::to_string(at), .drafts = drafts};
            wanted.swaps = {swap};
            SCOPED_TRACE(wanted.fault + (drafts > 0 ? ", with drafts" : ""));
            const Outcome outcome = run(wanted);
            expect_right(outcome, wanted);
            ASSERT_GE(outcome.out.swaps.size(), 1u);
            EXPECT_EQ(outcome.out.swaps[0].error, "");
            if (outcome.out.swaps[0].recomputed_tokens == 0) continue;
            ++lost;
            EXPECT_EQ(outcome.out.swaps[0].recomputed_tokens, std::ssize(kPrompt));
        }
        EXPECT_GE(lost, 2);
    }
}

// Where only one operator is on the device, all rows of the caches are elsewhere, too.
TEST_F(Recovering, OfADeviceThatHasOneOperator) {
    for (const char* op : {"mla_rope_append", "mla_attention", "gemm"})
        for (const char* fault : {"error=device_lost;at=30", "error=hang;at=30", "error=internal;at=30"}) {
            SCOPED_TRACE(testing::Message() << op << ", " << fault);
            const Scenario wanted{.fault = fault, .placement = {{"cpu"}, {{op, "fault"}}, {}}};
            const Outcome outcome = run(wanted);
            expect_right(outcome, wanted);
            ASSERT_EQ(outcome.out.swaps.size(), 1u);
            EXPECT_EQ(outcome.out.swaps[0].recomputed_tokens, 0);
            EXPECT_EQ(outcome.where.at(op), "cpu");
        }
}

PlannedSwap swap_of(std::vector<std::string> backends, std::pair<std::string, std::string> op = {}) {
    PlannedSwap swap;
    swap.step = 12;
    swap.change.backends = std::move(backends);
    swap.change.op = std::move(op);
    return swap;
}

// A swap that is made, or begun, after the device was lost brings back nothing that was placed there.
TEST_F(Recovering, LaterSwapsDoWithoutTheDevice) {
    const Placement one_operator = {{"cpu"}, {{"mla_attention", "fault"}}, {}};
    const Placement prompt = {{"fault", "cpu"}, {}, {"fault"}};
    const struct {
        Placement placement;
        const char* waiting;  // a step of the device while the swap waits for its own
        PlannedSwap swap;
        Placement to;
    } cases[] = {
        {one_operator, "20", swap_of({"cpu"}), {{"cpu"}, {}, {}}},
        {one_operator, "20", swap_of({}, {"rms_norm", "cpu"}), {{"cpu"}, {{"rms_norm", "cpu"}}, {}}},
        {prompt, "5", swap_of({"cpu:0"}), {{"cpu:0"}, {}, {}}},
        {prompt, "5", swap_of({}, {"rms_norm", "cpu"}), {{"cpu"}, {{"rms_norm", "cpu"}}, {}}},
    };
    for (const auto& c : cases)
        for (const bool begun : {false, true}) {
            const std::string when = begun ? c.waiting : "0";
            Scenario wanted{.fault = "error=device_lost;step=" + when, .placement = c.placement};
            wanted.swaps = {c.swap};
            SCOPED_TRACE(c.to.text() + ", lost at " + when);
            const Outcome outcome = run(wanted);
            expect_right(outcome, wanted);
            ASSERT_EQ(outcome.out.swaps.size(), 2u);
            EXPECT_EQ(outcome.out.swaps[0].step > 0, begun);
            const SwapEvent& swap = outcome.out.swaps[1];
            EXPECT_EQ(swap.error, "");
            EXPECT_EQ(swap.step, 12);
            EXPECT_EQ(swap.swap.to.text(), c.to.text());
            for (const auto& [op, device] : outcome.where) EXPECT_EQ(device, "cpu") << op;
        }
}

TEST_F(Recovering, ASwapToTheDeviceIsRefused) {
    for (const PlannedSwap& swap : {swap_of({"fault"}), swap_of({}, {"mla_attention", "fault"})})
        for (const char* when : {"0", "20"}) {
            Scenario wanted{.fault = std::string("error=device_lost;step=") + when};
            wanted.placement = {{"cpu"}, {{"mla_attention", "fault"}}, {}};
            wanted.swaps = {swap};
            SCOPED_TRACE(std::string("lost at ") + when);
            const Outcome outcome = run(wanted);
            expect_right(outcome, wanted);
            ASSERT_EQ(outcome.out.swaps.size(), 2u);
            EXPECT_NE(outcome.out.swaps[1].error.find("told to be lost"), std::string::npos)
                << outcome.out.swaps[1].error;
        }
}

TEST_F(Recovering, WhereNothingElseIsAllowedOneLineSaysWhatIsMissing) {
    for (const std::string error : kErrors) {
        SCOPED_TRACE(error);
        const Outcome outcome = run({.fault = error + ";step=4", .placement = {{"fault"}, {}, {}}});
        EXPECT_EQ(outcome.error.rfind("operator embed (", 0), 0u) << outcome.error;
        EXPECT_NE(outcome.error.find("wanted a backend that supports it, found none (fault: "), std::string::npos)
            << outcome.error;
        EXPECT_NE(outcome.error.find("told to "), std::string::npos) << outcome.error;
        EXPECT_EQ(outcome.error.find('\n'), std::string::npos);
    }
}

// Each operator of the model in turn gives wrong numbers.
TEST_F(Recovering, WrongNumbersAreFound) {
    for (const bool quantised : {false, true}) {
        Scenario right{.fault = "", .drafts = 1, .check = 1, .w8a8 = quantised};
        const Outcome all = run(right);
        ASSERT_EQ(all.error, "");
        EXPECT_TRUE(all.disagreements.empty()) << all.disagreements[0].text();
        EXPECT_GT(all.checked, kTokens);
        for (const auto& [op, device] : all.where) {
            SCOPED_TRACE(op);
            Scenario wrong = right;
            wrong.fault = "error=wrong;op=" + op;
            wrong.tokens = int64_t(all.where.size());
            const Outcome outcome = run(wrong);
            ASSERT_EQ(outcome.error, "");
            ASSERT_FALSE(outcome.disagreements.empty());
            for (const auto& found : outcome.disagreements) EXPECT_EQ(found.op, op) << found.text();
        }
    }
}

// Rows that the device computed lie on the CPU, too, where attention is: none of them stays.
TEST_F(Recovering, WrongNumbersElsewhereAreComputedAgain) {
    for (const std::string elsewhere : {"", "mla_attention"}) {
        SCOPED_TRACE(elsewhere);
        Scenario wanted{.fault = "error=wrong;op=mla_rope_append", .tokens = 48, .check = 3};
        wanted.action = conformance::CheckAction::kSwap;
        if (!elsewhere.empty()) wanted.placement.op_backend[elsewhere] = "cpu";
        const Outcome outcome = run(wanted);
        ASSERT_EQ(outcome.error, "");
        ASSERT_EQ(outcome.out.swaps.size(), 1u);
        const SwapEvent& left = outcome.out.swaps[0];
        ASSERT_GT(left.step, 0);
        EXPECT_EQ(left.recomputed_tokens, std::ssize(kPrompt) + left.step - 1);

        // From there on it is a run on the CPU over what was printed.
        const std::vector<int32_t>& ids = outcome.out.ids;
        Scenario right{.fault = "", .placement = {{"cpu"}, {}, {}}};
        right.prompt.insert(right.prompt.end(), ids.begin(), ids.begin() + left.step);
        right.tokens = wanted.tokens - left.step;
        const Outcome goes_on = run(right);
        EXPECT_EQ(goes_on.out.ids, std::vector<int32_t>(ids.begin() + left.step, ids.end()));
        EXPECT_EQ(goes_on.out.logits_hash, outcome.out.logits_hash);
    }
}

// Whoever reads an operator's inputs for a check hears of it first when one before it failed.
TEST_F(Recovering, ErrorsThatACheckMeets) {
    for (int step = 0; step < 16; ++step) {
        Scenario wanted{.fault = "error=out_of_memory;in=await;op=rms_norm;times=1;step=" + std::to_string(step),
                        .check = 1};
        wanted.action = conformance::CheckAction::kSwap;
        SCOPED_TRACE(wanted.fault);
        const Outcome outcome = run(wanted);
        expect_right(outcome, wanted);
        EXPECT_EQ(outcome.out.swaps.size(), 1u);
        EXPECT_TRUE(outcome.disagreements.empty());
    }
}

// Found before an id was printed: all ids are right, also the first, whose logits the device had given already.
TEST_F(Recovering, WrongNumbersFoundInThePromptGiveNoId) {
    const char* const model = "micro-mtp2/checkpoint";
    const Outcome right = run({.fault = "", .placement = {{"cpu"}, {}, {}}, .drafts = 2}, model);
    ASSERT_EQ(right.error, "");
    int after_its_logits = 0;
    for (const auto& [op, device] : right.where) {
        SCOPED_TRACE(op);
        Scenario wanted{.fault = "error=wrong;op=" + op, .drafts = 2, .check = 1};
        wanted.action = conformance::CheckAction::kSwap;
        const Outcome outcome = run(wanted, model);
        ASSERT_EQ(outcome.error, "");
        ASSERT_EQ(outcome.out.swaps.size(), 1u);
        if (outcome.out.swaps[0].step > 0) continue;
        after_its_logits += outcome.out.swaps[0].recomputed_tokens == std::ssize(kPrompt) ? 1 : 0;
        EXPECT_EQ(outcome.out.ids, right.out.ids);
        EXPECT_EQ(outcome.out.logits_hash, right.out.logits_hash);
    }
    EXPECT_GE(after_its_logits, 1);
}

TEST_F(Recovering, HalfArithmeticIsNotWrong) {
    const Outcome outcome = run({.fault = "", .drafts = 2, .check = 1, .half = true});
    ASSERT_EQ(outcome.error, "");
    EXPECT_TRUE(outcome.disagreements.empty()) << outcome.disagreements[0].text();
}

}  // namespace
}  // namespace vks
