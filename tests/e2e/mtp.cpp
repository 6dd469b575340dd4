// Speculative decoding through the program: the same ids, the drafts that `logits --mtp` foretells, statistics.
#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "tests/e2e/goldens.h"
#include "tests/support/paths.h"
#include "tests/support/plugins.h"
#include "tests/support/run_program.h"
#include "tests/support/temp_dir.h"

namespace vks::test {
namespace {

struct Model {
    std::string dir;
    int modules;
};
const Model kMicro = {data("micro-mtp2/checkpoint"), 2}, kNano = {data("nano-fp8/checkpoint"), 1},
            kDemo = {VKS_DEMO_MODEL, 1};

nlohmann::json generate(const std::string& dir, std::vector<std::string> options) {
    options.insert(options.begin(), {"generate", "-m", dir, "--math", "f32", "--json"});
    const Ran ran = run_program(options);
    EXPECT_EQ(ran.status, 0) << ran.err;
    return nlohmann::json::parse(ran.out, nullptr, false);
}

std::vector<std::string> joined(std::vector<std::string> a, const std::vector<std::string>& b) {
    a.insert(a.end(), b.begin(), b.end());
    return a;
}

TEST(Mtp, IdsAndLogitsAreTheSameWithAndWithout) {
    for (const Model& model : {kMicro, kNano, kDemo}) {
        int64_t drafted = 0, accepted = 0;
        for (const char* temperature : {"0", "0.8"}) {
            const std::vector<std::string> options = {"--ids",     "0,5,17,3,99", "-n", "40",          "--temp",
                                                      temperature, "--seed",      "3",  "--ignore-eos"};
            const auto plain = generate(model.dir, joined(options, {"--mtp", "0"}));
            for (const char* drafts : {"1", "2", "4", "auto"}) {
                SCOPED_TRACE(testing::Message() << model.dir << " " << temperature << " " << drafts);
                const auto json = generate(model.dir, joined(options, {"--mtp", drafts}));
                EXPECT_EQ(json["ids"], plain["ids"]);
                EXPECT_EQ(json["text"], plain["text"]);
                EXPECT_EQ(json["logits_hash"], plain["logits_hash"]);
                drafted += json["mtp"]["drafted"].get<int64_t>();
                accepted += json["mtp"]["accepted"].get<int64_t>();
            }
        }
        EXPECT_LT(accepted, drafted);
        if (model.dir != kNano.dir) {  // whose modules know nothing
            EXPECT_GT(accepted, 0) << model.dir;
        }
    }
}

// Under the default arithmetic, too, the CPU plugin gives a row the same bits among others and alone.
TEST(Mtp, HalfIsTheSameWithAndWithout) {
    for (const Model& model : {kMicro, kNano, kDemo}) {
        const std::vector<std::string> options = {"generate", "-m",     model.dir, "--ids", "0,5,17,3,99",
                                                  "-n",       "40",     "--temp",  "0.8",   "--seed",
                                                  "3",        "--json", "--mtp",   "0",     "--ignore-eos"};
        std::string plain;
        for (const char* drafts : {"0", "1", "4", "auto"}) {
            std::vector<std::string> with = options;
            *(std::find(with.begin(), with.end(), "--mtp") + 1) = drafts;
            const auto json = nlohmann::json::parse(run_program(with).out, nullptr, false);
            const std::string found = json["ids"].dump() + json["logits_hash"].dump();
            if (plain.empty()) plain = found;
            EXPECT_EQ(found, plain) << model.dir << " " << drafts;
        }
    }
}

TEST(Mtp, AutoIsTheDefaultWhereItChangesNoBit) {
    const std::vector<std::string> options = {"--ids", "0,5,17", "-n", "40", "--temp", "0.8", "--ignore-eos"};
    const auto plain = generate(kDemo.dir, joined(options, {"--mtp", "0"}));
    EXPECT_EQ(plain["mtp"]["k"], 0);
    EXPECT_EQ(plain["mtp"]["adaptive"], false);
    const auto with = generate(kDemo.dir, options);
    EXPECT_EQ(with["mtp"]["k"], 4);
    EXPECT_EQ(with["mtp"]["adaptive"], true);
    EXPECT_EQ(with["ids"], plain["ids"]);
    EXPECT_EQ(with["logits_hash"], plain["logits_hash"]);
    const std::vector<std::vector<std::string>> off = {{"--memory", "cpu=1G"},
                                                       {"--mtp-accept", "rejection"},
                                                       {"--plugin-dir", test_dir(), "--backend", "remote,cpu"},
                                                       {"--plugin-dir", test_dir(), "--op", "rms_norm=remote"}};
    for (const auto& more : off) EXPECT_EQ(generate(kDemo.dir, joined(options, more))["mtp"]["k"], 0) << more.front();
    EXPECT_EQ(generate(kDemo.dir, {"--ids", "0,5,17", "-n", "8"})["mtp"]["k"], 0);
    // What the model doesn't use changes nothing, what it does counts.
    const auto on_remote = [&](const std::string& op) {
        return generate(kDemo.dir, joined(options, {"--plugin-dir", test_dir(), "--backend", "cpu", "--op", op}));
    };
    EXPECT_EQ(on_remote("topk=remote")["mtp"]["k"], 4);
    EXPECT_EQ(on_remote("rms_norm=remote")["mtp"]["k"], 0);
}

// The default leaves off where operators come to run where no such promise is made.
TEST(Mtp, TheDefaultDraftsNothingAfterASwapElsewhere) {
    const auto json = generate(kMicro.dir, {"--ids", "0,5,17", "-n", "60", "--temp", "0", "--ignore-eos",
                                            "--plugin-dir", test_dir(), "--backend", "cpu", "--swap", "0=remote,cpu"});
    EXPECT_EQ(json["mtp"]["k"], 4);
    EXPECT_EQ(json["mtp"]["drafted"], 0);
    EXPECT_EQ(json["swaps"].size(), 1U);
}

// Whatever else a run is asked for. "remote" has memory of its own.
TEST(Mtp, WithWhatElseThereIs) {
    for (const Model& model : {kMicro, kNano}) {
        const std::vector<std::string> base = {"--ids",   "0,5,17,3,99,7,7", "-n", "24",           "--temp",
                                               "0.8",     "--seed",          "5",  "--ignore-eos", "--plugin-dir",
                                               test_dir()};
        const auto plain = generate(model.dir, joined(base, {"--mtp", "0"}));
        const std::vector<std::vector<std::string>> others = {
            {"--chunk", "2"},
            {"--check", "1"},
            {"--prefill", "remote,cpu", "--chunk", "3"},
            {"--swap", "6=remote,cpu", "--swap", "11=cpu", "--swap", "17:rms_norm=remote"},
            {"--memory", "cpu=1G"}};
        for (const auto& other : others)
            for (const char* drafts : {"1", "2", "4", "auto"}) {
                SCOPED_TRACE(testing::Message() << model.dir << " " << other.front() << " " << drafts);
                const auto json = generate(model.dir, joined(joined(base, other), {"--mtp", drafts}));
                EXPECT_EQ(json["ids"], plain["ids"]);
                EXPECT_EQ(json["refused_swaps"], nlohmann::json::array());
                if (other.front() == "--check") {
                    EXPECT_EQ(json["checks"]["disagreements"], nlohmann::json::array());
                }
            }
    }
}

// A run that drafts K <= modules ids a step accepts what the modules' logits of the finished text say it does: module k
// at row i speaks of position i + k + 1.
void expect_foretold(const Model& model, const std::vector<std::string>& prompt, int drafts) {
    SCOPED_TRACE(testing::Message() << model.dir << " " << prompt.back() << ", drafts " << drafts);
    const auto json = generate(
        model.dir, joined(prompt, {"-n", "120", "--temp", "0", "--ignore-eos", "--mtp", std::to_string(drafts)}));
    auto ids = json["prompt_ids"].get<std::vector<int64_t>>();
    const size_t start = ids.size();
    for (const auto& id : json["ids"]) ids.push_back(id);
    const TempDir dir;
    const Ran ran = run_program(
        {"logits", "-m", model.dir, "--math", "f32", "--mtp", "--ids", join(ids), "-o", dir / "logits.safetensors"});
    ASSERT_EQ(ran.status, 0) << ran.err;
    const auto file = TensorFile::open(dir / "logits.safetensors");
    ASSERT_TRUE(file);
    const auto width = static_cast<size_t>(file->width("logits"));
    std::vector<std::vector<float>> rows;
    for (int k = 1; k <= drafts; ++k) rows.push_back(file->floats("mtp" + std::to_string(k) + ".logits"));
    const auto drafted = [&](size_t row, size_t k) {
        const auto first = rows[k - 1].begin() + static_cast<ptrdiff_t>(row * width);
        return std::max_element(first, first + static_cast<ptrdiff_t>(width)) - first;
    };

    int64_t steps = 0;
    std::vector<int64_t> drafted_at(static_cast<size_t>(drafts)), accepted_at(static_cast<size_t>(drafts));
    for (size_t last = start; last + 1 < ids.size();) {  // position of the last id that is known
        ++steps;
        const size_t count = std::min(static_cast<size_t>(drafts), ids.size() - last - 2);
        for (size_t k = 1; k <= count; ++k) ++drafted_at[k - 1];
        size_t right = 0;
        while (right < count && drafted(last - 1, right + 1) == ids[last + right + 1]) ++accepted_at[right++];
        last += right + 1;
    }
    while (!drafted_at.empty() && drafted_at.back() == 0) {
        drafted_at.pop_back();
        accepted_at.pop_back();
    }
    EXPECT_EQ(json["mtp"]["steps"], steps);
    EXPECT_EQ(json["mtp"]["drafted_at"], drafted_at);
    EXPECT_EQ(json["mtp"]["accepted_at"], accepted_at);
}

TEST(Mtp, AcceptsWhatTheModulesLogitsForetell) {
    expect_foretold(kDemo, {"-p", "libsound-dev: "}, 1);
    expect_foretold(kDemo, {"-p", "python3-yaml: "}, 1);
    expect_foretold(kMicro, {"--ids", "0,5,17,3,99"}, 1);
    expect_foretold(kMicro, {"--ids", "0,5,17,3,99"}, 2);
    expect_foretold(kMicro, {"--ids", "0,411,2"}, 2);
}

TEST(Mtp, StatisticsAddUp) {
    const auto json =
        generate(kMicro.dir, {"--ids", "0,5,17", "-n", "60", "--temp", "0", "--ignore-eos", "--mtp", "3"});
    const auto& mtp = json["mtp"];
    EXPECT_EQ(mtp["k"], 3);
    EXPECT_EQ(mtp["steps"].get<int64_t>() + mtp["accepted"].get<int64_t>(), 59);
    EXPECT_DOUBLE_EQ(mtp["tokens_per_step"], 59.0 / mtp["steps"].get<double>());
    EXPECT_DOUBLE_EQ(mtp["acceptance"], mtp["accepted"].get<double>() / mtp["drafted"].get<double>());
    for (const auto& [sum, parts] : {std::pair{"drafted", "drafted_at"}, {"accepted", "accepted_at"}}) {
        const auto at = mtp[parts].get<std::vector<int64_t>>();
        ASSERT_EQ(at.size(), 3U);
        EXPECT_EQ(mtp[sum], at[0] + at[1] + at[2]);
        EXPECT_GE(at[0], at[1]);
        EXPECT_GE(at[1], at[2]);
    }
    for (const char* phase : {"draft", "verify", "rollback"})
        EXPECT_GT(mtp["seconds"][phase].get<double>(), 0) << phase;
    const Ran ran = run_program({"generate", "-m", kMicro.dir, "--ids", "0,5", "-n", "9", "--mtp", "2"});
    EXPECT_NE(ran.err.find("\ndrafts:    "), std::string::npos) << ran.err;
}

TEST(Mtp, RejectionSamplingIsRepeatableAndGreedyStaysGreedy) {
    const std::vector<std::string> options = {"--ids", "0,5,17", "-n", "40", "--ignore-eos", "--seed", "5"};
    const std::vector<std::string> rejection = joined(options, {"--mtp", "2", "--mtp-accept", "rejection"});
    const auto once = generate(kMicro.dir, joined(rejection, {"--temp", "0.8"}));
    EXPECT_EQ(generate(kMicro.dir, joined(rejection, {"--temp", "0.8"}))["ids"], once["ids"]);
    EXPECT_GT(once["mtp"]["accepted"], 0);
    EXPECT_NE(generate(kMicro.dir, joined(options, {"--temp", "0.8"}))["ids"], once["ids"]);
    EXPECT_EQ(generate(kMicro.dir, joined(rejection, {"--temp", "0"}))["ids"],
              generate(kMicro.dir, joined(options, {"--temp", "0"}))["ids"]);
}

TEST(Mtp, ModelsWithoutModulesDraftNothing) {
    const std::string dir = data("nano-noqlora/checkpoint");
    const Ran ran = run_program({"generate", "-m", dir, "--ids", "0,1", "--mtp", "1"});
    EXPECT_EQ(ran.status, 3);
    EXPECT_EQ(ran.err, "vkseek: drafts (--mtp): wanted a model with MTP modules, found none in " + dir + "\n");
    const auto json = generate(dir, {"--ids", "0,1", "-n", "5", "--mtp", "auto"});
    EXPECT_EQ(json["ids"].size(), 5U);
    EXPECT_EQ(json["mtp"]["k"], 0);
    EXPECT_EQ(json["mtp"]["tokens_per_step"], 1.0);
}

TEST(Mtp, ChatAnswersAreTheSame) {
    const auto chat = [](const std::vector<std::string>& options) {
        RunOptions run;
        run.input = "Hello\nAnd now?\nWhy?\n/reset\nHello\n/stats\n";
        const Ran ran = run_program(
            joined({"chat", "-m", data("nano-bf16/checkpoint"), "--math", "f32", "--temp", "0.7", "-n", "12"}, options),
            run);
        EXPECT_EQ(ran.status, 0) << ran.err;
        return ran;
    };
    const std::string plain = chat({"--mtp", "0"}).out;
    EXPECT_EQ(chat({}).out, plain);
    for (const char* drafts : {"1", "3", "auto"}) EXPECT_EQ(chat({"--mtp", drafts}).out, plain) << drafts;
    EXPECT_NE(chat({"--mtp", "2"}).err.find("drafts: "), std::string::npos);
}

TEST(Mtp, InterruptEndsCleanly) {
    RunOptions run;
    bool sent = false;
    run.on_output = [&](pid_t child, std::string_view out) {
        if (!sent && out.size() > 20) {
            kill(child, SIGINT);
            sent = true;
        }
    };
    const Ran ran = run_program(
        {"generate", "-m", kDemo.dir, "-p", "libsound-dev: ", "-n", "-1", "--ignore-eos", "--mtp", "2"}, run);
    EXPECT_TRUE(sent);
    EXPECT_EQ(ran.status, 0) << ran.err;
    EXPECT_TRUE(ran.err.starts_with("interrupted\n")) << ran.err;
}

}  // namespace
}  // namespace vks::test
