// Operators that move while the program generates: the ids stay, and so does the memory. Without a GPU: the other
// device is "remote", which has memory of its own and knows some operators.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "tests/e2e/random_swaps.h"
#include "tests/support/paths.h"
#include "tests/support/plugins.h"
#include "tests/support/run_program.h"
#include "tests/support/temp_dir.h"

namespace vks::test {
namespace {

using Options = std::vector<std::string>;

Options joined(Options a, const Options& b) {
    a.insert(a.end(), b.begin(), b.end());
    return a;
}

const Options kNano = {"-m", data("nano-fp8/checkpoint"), "--ids", "5,9,2,7,7,1,30,4", "--mtp", "0"};
const Options kDemo = {"-m", VKS_DEMO_MODEL, "-p", "libsound-dev: "};
const Options kMtp = {"-m", data("micro-mtp2/checkpoint"), "--ids", "5,9,2,7,7,1,3,4", "--mtp", "2"};

Ran generate(const Options& model, const Options& options) {
    return run_program(
        joined(joined({"generate"}, model), joined({"--plugin-dir", test_dir(), "--math", "f32", "--temp", "0",
                                                    "--ignore-eos", "--json", "--backend", "cpu"},
                                                   options)));
}

nlohmann::json document(const Options& model, const Options& options) {
    const Ran ran = generate(model, options);
    EXPECT_EQ(ran.status, 0) << ran.err;
    auto json = nlohmann::json::parse(ran.out, nullptr, false);
    EXPECT_TRUE(json.is_object()) << ran.out;
    return json;
}

TEST(Swap, TheIdsAreThoseOfARunThatStays) {
    const Options swaps = {"--swap", "8=remote,cpu",       "--swap", "16=cpu",
                           "--swap", "24:rms_norm=remote", "--swap", "32:mla_rope_append=remote:1",
                           "--swap", "40=remote:1,cpu",    "--swap", "48=cpu"};
    for (const Options& model : {kNano, kDemo, kMtp}) {
        const auto stays = document(model, {"-n", "64"}), moves = document(model, joined({"-n", "64"}, swaps));
        EXPECT_EQ(moves["ids"], stays["ids"]);
        ASSERT_EQ(moves["swaps"].size(), 6U);
        EXPECT_EQ(moves["refused_swaps"], nlohmann::json::array());
        for (size_t i = 0; i < 6; ++i) {
            const auto& swap = moves["swaps"][i];
            EXPECT_EQ(swap["reason"], "--swap " + swaps[2 * i + 1]);
            EXPECT_EQ(swap["step"], 8 * (i + 1));
            EXPECT_EQ(swap["from"], i == 0 ? "cpu" : moves["swaps"][i - 1]["to"].get<std::string>());
            EXPECT_TRUE(swap["changed"]);
            EXPECT_GT(swap["seconds"].get<double>(), 0);
            EXPECT_EQ(swap["recomputed_tokens"], 0);
            // Both plans for a moment, then one again.
            for (const auto& [device, bytes] : swap["bytes"]["peak"].items())
                EXPECT_GE(moves["peak_bytes"][device], bytes);
        }
        EXPECT_EQ(moves["swaps"][4]["to"], "remote:1,cpu");
        EXPECT_EQ(moves["swaps"][3]["to"], "cpu; mla_rope_append=remote:1; rms_norm=remote");
        EXPECT_EQ(moves["placement"], stays["placement"]);
        EXPECT_EQ(moves["bytes"], stays["bytes"]);
        EXPECT_EQ(moves["swaps"][1]["bytes"]["after"], stays["bytes"]);
        EXPECT_GT(moves["peak_bytes"]["remote:0"], 0);
    }
}

TEST(Swap, TwoHundredAtRandom) {
    const Options model = {"-m", data("nano-fp8/checkpoint"), "--ids", "5,9,2,7", "-n", "201"};
    const auto moves =
        document(model, two_hundred_swaps(200, {"cpu", "remote,cpu", "cpu,remote", "remote:1,cpu"},
                                          {"embed", "rms_norm", "add_rms_norm", "swiglu_quant", "mla_rope_append"},
                                          {"cpu", "remote", "remote:1"}));
    EXPECT_EQ(moves["ids"], document(model, {})["ids"]);
    EXPECT_EQ(moves["swaps"].size(), 200U);
    EXPECT_EQ(moves["refused_swaps"], nlohmann::json::array());
}

TEST(Swap, WhereItIsAlreadyNothingIsMade) {
    const auto moves = document(kNano, {"-n", "8", "--swap", "4=cpu", "--swap", "4:embed=cpu"});
    ASSERT_EQ(moves["swaps"].size(), 2U);
    for (const auto& swap : moves["swaps"]) {
        EXPECT_FALSE(swap["changed"]);
        EXPECT_EQ(swap["moved_bytes"], 0);
        EXPECT_EQ(swap["bytes"]["peak"], moves["bytes"]);
    }
    EXPECT_EQ(moves["peak_bytes"], moves["bytes"]);
}

TEST(Swap, WhatCantBeIsSaidAndTheTextGoesOn) {
    const auto stays = document(kNano, {"-n", "12"});
    const Ran ran =
        generate(kNano, {"-n", "12", "--swap", "2=nosuch", "--swap", "4=remote", "--swap", "6:swiglu_quant=remote:7",
                         "--swap", "8:act_quant=remote", "--swap", "90=cpu", "--reload", "5=nosuch"});
    EXPECT_EQ(ran.status, 0);
    const auto json = nlohmann::json::parse(ran.out, nullptr, false);
    EXPECT_EQ(json["ids"], stays["ids"]);
    EXPECT_EQ(json["logits_hash"], stays["logits_hash"]);
    EXPECT_EQ(json["swaps"], nlohmann::json::array());
    ASSERT_EQ(json["refused_swaps"].size(), 6U);
    for (const auto& refused : json["refused_swaps"])
        EXPECT_NE(ran.err.find(
                      fmt::format("{}: {}", refused["reason"].get<std::string>(), refused["error"].get<std::string>())),
                  std::string::npos)
            << ran.err;
    EXPECT_TRUE(json["refused_swaps"][0]["error"].get<std::string>().starts_with("device: wanted one of "));
    EXPECT_NE(json["refused_swaps"][1]["error"].get<std::string>().find("wanted a backend that supports it"),
              std::string::npos);
    EXPECT_EQ(json["refused_swaps"][4]["error"], "operator act_quant: not used in this run");
    EXPECT_EQ(json["refused_swaps"][5]["error"], "the text ended after 12 tokens");
    for (const char* wrong : {"x=cpu", "8", "8=", "8:embed", "8:nosuch=cpu", "=cpu", "-1=cpu"})
        EXPECT_EQ(generate(kNano, {"-n", "2", "--swap", wrong}).status, 2) << wrong;
    for (const char* wrong : {"8", "8=", "=cpu"})
        EXPECT_EQ(generate(kNano, {"-n", "2", "--reload", wrong}).status, 2) << wrong;
}

// Of a cap that is too small for either, once for each.
TEST(Swap, WarningsOfLaterPlansAreSaid) {
    const Ran ran = generate(kNano, {"-n", "8", "--memory", "cpu=1k", "--swap", "2=remote,cpu", "--swap", "4=cpu",
                                     "--swap", "6=remote,cpu"});
    EXPECT_EQ(ran.status, 0) << ran.err;
    const std::string wanted = "memory (--memory cpu): wanted ";
    const size_t first = ran.err.find(wanted), second = ran.err.find(wanted, first + 1);
    ASSERT_NE(second, std::string::npos) << ran.err;
    EXPECT_EQ(ran.err.find(wanted, second + 1), std::string::npos) << ran.err;
}

// A cap is for a device that the run comes to later, too.
TEST(Swap, ADeviceKeepsItsCapWhenItIsReached) {
    const Options swap = {"-n", "8", "--swap", "2=remote,cpu"};
    const auto whole = document(kNano, swap), capped = document(kNano, joined(swap, {"--memory", "remote=300k"}));
    EXPECT_EQ(capped["ids"], whole["ids"]);
    EXPECT_EQ(capped["swaps"].size(), 1U);
    EXPECT_GT(whole["peak_bytes"]["remote:0"], 300'000);
    EXPECT_GT(capped["peak_bytes"]["remote:0"], 0);
    EXPECT_LE(capped["peak_bytes"]["remote:0"], 300'000);
}

// Of a device that was asked for, not of one that comes after another.
TEST(Swap, ACapThatLeavesADeviceAsideIsSaid) {
    const auto is_said = [](const char* backends) {
        const Ran ran = generate(kNano, {"-n", "2", "--backend", backends, "--memory", "remote=1"});
        EXPECT_EQ(ran.status, 0) << ran.err;
        return ran.err.find(
                   "memory (--memory remote): wanted room for caches, activations and a weight, found 1 bytes: "
                   "others do its work\n") != std::string::npos;
    };
    EXPECT_TRUE(is_said("remote"));
    EXPECT_FALSE(is_said("cpu,remote"));
}

// Drafts and sampling know nothing of where they run.
TEST(Swap, WithDraftsAndSampling) {
    const Options sampled = {"-n", "40", "--temp", "1", "--seed", "3", "--chunk", "3"};
    const Options swaps = {"--swap", "0=remote,cpu", "--swap", "7=cpu", "--swap", "13:mla_rope_append=remote"};
    const Options undrafted = {kMtp[0], kMtp[1], kMtp[2], kMtp[3]};
    const auto moves = document(kMtp, joined(sampled, swaps));
    EXPECT_EQ(moves["ids"], document(undrafted, sampled)["ids"]);
    EXPECT_EQ(moves["swaps"].size(), 3U);
    EXPECT_EQ(moves["swaps"][2]["step"], 13);
}

TEST(Prefill, RunsElsewhereAndHandsTheCacheOver) {
    for (const Options& model : {kNano, kMtp}) {
        const auto here = document(model, {"-n", "24"});
        for (const char* chunk : {"512", "3", "1"}) {
            const auto there = document(model, {"-n", "24", "--chunk", chunk, "--prefill", "remote,cpu"});
            EXPECT_EQ(there["ids"], here["ids"]) << chunk;
            EXPECT_EQ(there["placement"]["rms_norm"], "cpu,remote:0") << chunk;
            const auto back =
                document(model, {"-n", "24", "--chunk", chunk, "--prefill", "cpu", "--backend", "remote,cpu"});
            EXPECT_EQ(back["ids"], here["ids"]) << chunk;
        }
        // Swaps leave the prompt's plan where it is.
        const auto moves = document(model, {"-n", "24", "--prefill", "remote,cpu", "--swap", "8=remote:1,cpu"});
        EXPECT_EQ(moves["ids"], here["ids"]);
        EXPECT_EQ(moves["swaps"][0]["to"], "remote:1,cpu; prefill=remote,cpu");
    }
}

TEST(Reload, InTheMiddleOfAText) {
    const auto stays = document(kNano, {"-n", "24"});
    const auto json = document(kNano, {"-n", "24", "--reload", "8=cpu", "--swap", "10=remote,cpu", "--reload",
                                       "12=remote", "--reload", "16=cpu", "--swap", "20=cpu"});
    EXPECT_EQ(json["ids"], stays["ids"]);
    ASSERT_EQ(json["swaps"].size(), 5U) << json["refused_swaps"];
    EXPECT_EQ(json["swaps"][0]["reason"], "--reload 8=cpu");
    EXPECT_EQ(json["swaps"][0]["recomputed_tokens"], 0);
    for (const auto& swap : json["swaps"]) EXPECT_TRUE(swap["changed"]);
    EXPECT_EQ(json["bytes"], stays["bytes"]);
}

TEST(ChatSwap, CommandsKeepTheConversation) {
    const auto chat = [](const std::string& input) {
        RunOptions run;
        run.input = input;
        return run_program({"chat", "-m", data("nano-bf16/checkpoint"), "--math", "f32", "--temp", "0", "-n", "8",
                            "--backend", "cpu", "--plugin-dir", test_dir()},
                           run);
    };
    const Ran stays = chat("Hello\nAnd now?\nMore\n");
    const Ran moves = chat(
        "Hello\n/backend remote,cpu\nAnd now?\n/op rms_norm=cpu\n/reload cpu\n/backend cpu\n/backend nosuch\n/op "
        "x=cpu\n"
        "/op\n/reload nosuch\nMore\n/stats\n");
    EXPECT_EQ(moves.status, 0) << moves.err;
    EXPECT_EQ(moves.out, stays.out);
    for (const char* said : {"cpu to remote,cpu in ", "remote,cpu to remote,cpu; rms_norm=cpu in ", " to cpu in ",
                             "device: wanted one of ", "operator (/op): wanted one of",
                             "plugin (nosuch): wanted one of", " more were in the cache", "every operator on cpu"})
        EXPECT_NE(moves.err.find(said), std::string::npos) << said << "\n" << moves.err;
}

}  // namespace
}  // namespace vks::test
