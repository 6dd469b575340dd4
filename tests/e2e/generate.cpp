// `vkseek generate` as a person or a script uses it: prompts, sampling, stopping, the JSON document, Ctrl-C.
#include <gtest/gtest.h>
#include <signal.h>

#include <nlohmann/json.hpp>
#include <set>

#include "tests/support/edit_checkpoint.h"
#include "tests/support/paths.h"
#include "tests/support/run_program.h"
#include "tests/support/temp_dir.h"

namespace vks::test {
namespace {

const std::string kPrompt = "libsound-dev: ";

std::vector<std::string> generate(const std::vector<std::string>& options) {
    std::vector<std::string> arguments = {"generate", "-m", VKS_DEMO_MODEL};
    arguments.insert(arguments.end(), options.begin(), options.end());
    return arguments;
}

nlohmann::json json_of(std::vector<std::string> options, const std::string& input = "") {
    options.push_back("--json");
    RunOptions run;
    run.input = input;
    const Ran ran = run_program(generate(options), run);
    EXPECT_EQ(ran.status, 0) << ran.err;
    auto document = nlohmann::json::parse(ran.out, nullptr, false);
    EXPECT_TRUE(document.is_object()) << ran.out;
    return document;
}

std::string text_of(const std::vector<std::string>& options) {
    const Ran ran = run_program(generate(options));
    EXPECT_EQ(ran.status, 0) << ran.err;
    return ran.out;
}

TEST(Generate, JsonHasEveryKey) {
    const auto json = json_of({"-p", kPrompt, "-n", "8", "--temp", "0"});
    EXPECT_EQ(json["ids"].size(), 8U);
    EXPECT_EQ(json["prompt_ids"][0], 0);  // BOS
    EXPECT_EQ(json["finish_reason"], "length");
    EXPECT_EQ(json["prefill"]["tokens"], json["prompt_ids"].size());
    EXPECT_EQ(json["decode"]["tokens"], 7);
    for (const char* phase : {"prefill", "decode"}) {
        EXPECT_GT(json[phase]["seconds"].get<double>(), 0) << phase;
        EXPECT_GT(json[phase]["tok_s"].get<double>(), 0) << phase;
    }
    for (const char* key : {"k", "drafted", "accepted", "acceptance", "tokens_per_step"}) {
        EXPECT_TRUE(json["mtp"][key].is_number()) << key;
    }
    EXPECT_EQ(json["swaps"], nlohmann::json::array());
    EXPECT_EQ(json["placement"]["fp8_gemm"], "cpu");
    EXPECT_EQ(json["placement"]["mla_attention"], "cpu");
    EXPECT_EQ(json["logits_hash"].get<std::string>().size(), 16U);
    EXPECT_GT(json["peak_bytes"]["cpu"].get<int64_t>(), 0);
}

TEST(Generate, TextOnStdoutIsTheJsonsTextAndALineBreak) {
    const std::vector<std::string> options = {"-p", kPrompt, "-n", "40", "--temp", "0"};
    EXPECT_EQ(text_of(options), json_of(options)["text"].get<std::string>() + "\n");
}

TEST(Generate, PromptsComeFromAnywhere) {
    const TempDir dir;
    write_bytes(dir / "prompt", kPrompt);
    const std::vector<std::string> common = {"-n", "5", "--temp", "0"};
    const auto with = [&](std::vector<std::string> options) {
        options.insert(options.end(), common.begin(), common.end());
        return options;
    };
    const auto json = json_of(with({"-p", kPrompt}));
    EXPECT_EQ(json_of(with({"-f", dir / "prompt"}))["ids"], json["ids"]);
    EXPECT_EQ(json_of(with({"-"}), kPrompt)["ids"], json["ids"]);
    std::string ids;
    for (const auto& id : json["prompt_ids"]) ids += (ids.empty() ? "" : ",") + id.dump();
    EXPECT_EQ(json_of(with({"--ids", ids}))["ids"], json["ids"]);
    EXPECT_EQ(json_of(with({"--ids", ids}))["logits_hash"], json["logits_hash"]);
    // The model by environment.
    RunOptions run;
    run.env["VKSEEK_MODEL"] = VKS_DEMO_MODEL;
    const Ran ran = run_program({"generate", "--json", "-p", kPrompt, "-n", "5", "--temp", "0"}, run);
    EXPECT_EQ(nlohmann::json::parse(ran.out, nullptr, false)["ids"], json["ids"]);
    run.env["VKSEEK_MODEL"] = "/nowhere";
    EXPECT_EQ(run_program({"generate", "-p", kPrompt}, run).status, 3);
}

// Without -m and environment: the demo model beside the program.
TEST(Generate, TheDemoModelIsTheDefault) {
    const Ran ran = run_program({"generate", "-p", kPrompt, "-n", "5", "--temp", "0"});
    EXPECT_EQ(ran.status, 0) << ran.err;
    EXPECT_EQ(ran.out, text_of({"-p", kPrompt, "-n", "5", "--temp", "0"}));
}

TEST(Generate, SameSeedSameText) {
    const std::vector<std::string> options = {"-p", kPrompt, "-n", "30", "--temp", "1", "--ignore-eos", "--seed"};
    const auto with_seed = [&](const char* seed) {
        std::vector<std::string> more = options;
        more.push_back(seed);
        return json_of(more)["ids"];
    };
    EXPECT_EQ(with_seed("7"), with_seed("7"));
    EXPECT_NE(with_seed("7"), with_seed("8"));
    // The seed is 0 unless given, and sampling what the model's authors say.
    EXPECT_EQ(text_of({"-p", kPrompt, "-n", "20"}), text_of({"-p", kPrompt, "-n", "20", "--seed", "0"}));
    // Each restriction alone can leave one token only.
    const auto greedy = json_of({"-p", kPrompt, "-n", "20", "--temp", "0"})["ids"];
    for (const auto& [option, value] : {std::pair{"--top-k", "1"}, {"--top-p", "1e-9"}, {"--min-p", "1"}}) {
        EXPECT_EQ(json_of({"-p", kPrompt, "-n", "20", "--temp", "2", option, value})["ids"], greedy) << option;
    }
}

// What the model's authors say leaves one token only.
TEST(Generate, SamplingOfGenerationConfig) {
    const TempDir dir;
    copy_checkpoint("nano-bf16", dir / "m");
    const std::vector<std::string> options = {"generate", "-m", (dir / "m").string(), "--ids", "0,5,17",
                                              "-n",       "20", "--ignore-eos",       "--json"};
    const auto ids = [&](const std::vector<std::string>& more) {
        std::vector<std::string> all = options;
        all.insert(all.end(), more.begin(), more.end());
        const Ran ran = run_program(all);
        EXPECT_EQ(ran.status, 0) << ran.err;
        return nlohmann::json::parse(ran.out, nullptr, false)["ids"];
    };
    const auto greedy = ids({"--temp", "0"});
    for (const auto& [field, value] : {std::pair{"top_k", 1}, {"top_p", 0}, {"min_p", 1}}) {
        edit_json(dir / "m/generation_config.json", [&, field = field, value = value](Json& g) {
            g = {{"do_sample", true}, {"temperature", 2}, {field, value}};
        });
        EXPECT_EQ(ids({}), greedy) << field;
    }
}

TEST(Generate, PenaltyEndsRepetition) {
    const std::vector<std::string> options = {"-p", "game-castle: ", "-n", "64", "--temp", "0", "--math", "f32"};
    const auto distinct = [](const nlohmann::json& json) {
        const auto ids = json["ids"].get<std::vector<int>>();
        return std::set<int>(ids.begin(), ids.end()).size();
    };
    std::vector<std::string> penalised = options;
    penalised.insert(penalised.end(), {"--repeat-penalty", "1.5"});
    EXPECT_LT(distinct(json_of(options)), 8U);
    EXPECT_GT(distinct(json_of(penalised)), 15U);
}

TEST(Generate, StopStringsEndTheTextBeforeThem) {
    const std::vector<std::string> options = {"-p", kPrompt, "-n", "64", "--temp", "0", "--math", "f32"};
    const std::string whole = json_of(options)["text"];
    ASSERT_EQ(whole, "3DSA library development files\n\nThis package contains the development files for the library.");
    std::vector<std::string> stopped = options;
    // Starts and ends within tokens; the second never comes.
    stopped.insert(stopped.end(), {"--stop", "velopment fi", "--stop", "velopment fix"});
    const auto json = json_of(stopped);
    EXPECT_EQ(json["text"], "3DSA library de");
    EXPECT_EQ(json["finish_reason"], "stop");
    EXPECT_EQ(text_of(stopped), "3DSA library de\n");
    // What could become a stop string but doesn't is printed after all.
    std::vector<std::string> unfinished = options;
    unfinished.insert(unfinished.end(), {"--stop", "library.!"});
    EXPECT_EQ(text_of(unfinished), whole + "\n");
}

TEST(Generate, EosStopsUnlessIgnored) {
    const std::vector<std::string> options = {"-p", kPrompt, "-n", "40", "--temp", "0", "--math", "f32"};
    const auto json = json_of(options);
    EXPECT_EQ(json["finish_reason"], "stop");
    EXPECT_EQ(json["ids"].back(), 1);
    std::vector<std::string> on = options;
    on.push_back("--ignore-eos");
    const auto more = json_of(on);
    EXPECT_EQ(more["ids"].size(), 40U);
    EXPECT_EQ(more["finish_reason"], "length");
    EXPECT_EQ(more["ids"][json["ids"].size() - 1], 1);
    EXPECT_EQ(more["text"].get<std::string>().find("end▁of"), std::string::npos);
}

TEST(Generate, ContextLimitsPromptAndTextTogether) {
    const Ran ran = run_program(generate({"-p", kPrompt, "-n", "-1", "-c", "12", "--temp", "0", "--json"}));
    ASSERT_EQ(ran.status, 0) << ran.err;
    const auto json = nlohmann::json::parse(ran.out, nullptr, false);
    EXPECT_EQ(json["prompt_ids"].size() + json["ids"].size(), 12U);
    EXPECT_EQ(json["finish_reason"], "context");
    EXPECT_NE(ran.err.find("the context of 12 tokens is full"), std::string::npos) << ran.err;

    EXPECT_EQ(json_of({"-p", kPrompt, "-n", "6", "-c", "12", "--temp", "0"})["finish_reason"], "length");
    EXPECT_EQ(json_of({"-p", kPrompt, "-c", "6", "--temp", "0"})["ids"].size(), 0U);  // the prompt fills it
    const Ran over = run_program(generate({"-p", kPrompt, "-c", "5"}));
    EXPECT_EQ(over.status, 3);
    EXPECT_EQ(over.err, "vkseek: prompt (context -c): wanted at most 5 tokens, found 6\n");
}

TEST(Generate, NothingToGenerateIsARunToo) {
    const auto json = json_of({"-p", kPrompt, "-n", "0"});
    EXPECT_EQ(json["ids"].size(), 0U);
    EXPECT_EQ(json["text"], "");
    EXPECT_EQ(json["finish_reason"], "length");
    EXPECT_EQ(json["decode"]["tokens"], 0);
}

TEST(Generate, ADashIsStandardInputWhereFilesAreRead) {
    const TempDir dir;
    write_bytes(dir / "prompt", kPrompt);
    RunOptions run;
    run.input = kPrompt;
    const auto ids = [](const Ran& ran) {
        EXPECT_EQ(ran.status, 0) << ran.err;
        return nlohmann::json::parse(ran.out, nullptr, false)["ids"];
    };
    EXPECT_EQ(ids(run_program(generate({"-f", "-", "-n", "4", "--json"}), run)),
              ids(run_program(generate({"-f", dir / "prompt", "-n", "4", "--json"}))));
    run.input = "[1, 2, 3]";
    const std::string out = dir / "out";
    const Ran logits = run_program({"logits", "-m", VKS_DEMO_MODEL, "--ids-file", "-", "-o", out}, run);
    EXPECT_EQ(logits.status, 0) << logits.err;
    EXPECT_GT(std::filesystem::file_size(out), 0U);
    const Ran refused = run_program({"logits", "-m", VKS_DEMO_MODEL, "--ids", "1", "-o", "-"});
    EXPECT_EQ(refused.status, 2);
    EXPECT_EQ(refused.err, "vkseek: output (-o): wanted a file, as it is written out of order, found -\n");
}

TEST(Generate, InterruptEndsCleanlyWithStatistics) {
    RunOptions run;
    bool sent = false;
    run.on_output = [&](pid_t child, std::string_view out) {
        if (!sent && out.size() > 20) {
            kill(child, SIGINT);
            sent = true;
        }
    };
    const Ran ran = run_program(generate({"-p", kPrompt, "-n", "-1", "--ignore-eos"}), run);
    EXPECT_TRUE(sent);
    EXPECT_EQ(ran.status, 0) << ran.err;
    EXPECT_TRUE(ran.err.starts_with("interrupted\n")) << ran.err;
    EXPECT_NE(ran.err.find("tok/s"), std::string::npos) << ran.err;
    EXPECT_EQ(ran.out.back(), '\n');
    EXPECT_NE(run_program({"generate", "--help"}).out.find("finish_reason: interrupted), exit status 0"),
              std::string::npos);
}

TEST(Generate, ExplainAndTraceFileSayWhatRan) {
    const TempDir dir;
    const Ran ran = run_program(
        generate({"-p", kPrompt, "-n", "3", "--explain", "--trace-file", dir / "trace.json", "--temp", "0"}));
    EXPECT_EQ(ran.status, 0) << ran.err;
    EXPECT_NE(ran.err.find("mla_attention"), std::string::npos);
    EXPECT_NE(ran.err.find("attention expanded: steps of a prompt where "), std::string::npos);
    const auto trace = nlohmann::json::parse(read_bytes(dir / "trace.json"), nullptr, false);
    ASSERT_TRUE(trace.is_object());
    EXPECT_GT(trace["traceEvents"].size(), 100U);
    EXPECT_EQ(ran.out, text_of({"-p", kPrompt, "-n", "3", "--temp", "0"}));
}

TEST(Generate, OperatorsCanBePlacedByName) {
    EXPECT_EQ(json_of({"-p", kPrompt, "-n", "2", "--op", "mla_attention=cpu"})["placement"]["mla_attention"], "cpu");
    // Known, but not this model's: a warning, and the same text.
    const Ran ran = run_program(generate({"-p", kPrompt, "-n", "2", "--temp", "0", "--op", "topk=nonesuch"}));
    EXPECT_EQ(ran.status, 0);
    EXPECT_NE(ran.err.find("vkseek: operator topk (--op): not used in this run\n"), std::string::npos) << ran.err;
    EXPECT_EQ(ran.out, text_of({"-p", kPrompt, "-n", "2", "--temp", "0"}));
}

// The other form of a prompt's attention is one of the run's operators where the run has it.
TEST(Generate, TheExpandedFormCanBePlacedByName) {
    const char* unused = "operator mla_expanded (--op): not used in this run";
    const Ran half = run_program(generate({"-p", kPrompt, "-n", "2", "--op", "mla_expanded=cpu", "--json"}));
    EXPECT_EQ(half.status, 0) << half.err;
    EXPECT_EQ(half.err.find(unused), std::string::npos) << half.err;
    EXPECT_EQ(nlohmann::json::parse(half.out, nullptr, false)["placement"]["mla_expanded"], "cpu");
    EXPECT_EQ(run_program(generate({"-p", kPrompt, "-n", "2", "--op", "mla_expanded=nonesuch"})).status, 4);
    for (const std::vector<std::string>& without :
         std::vector<std::vector<std::string>>{{"--math", "f32"}, {"--op", "mla_attention=cpu"}, {"--chunk", "1"}}) {
        std::vector<std::string> options = {"-p", kPrompt, "-n", "2", "--op", "mla_expanded=nonesuch"};
        options.insert(options.end(), without.begin(), without.end());
        const Ran ran = run_program(generate(options));
        EXPECT_EQ(ran.status, 0) << ran.err;
        EXPECT_NE(ran.err.find(unused), std::string::npos) << without[0] << ran.err;
    }
}

// The same bits, whatever the threads.
TEST(Generate, ThreadsDoNotChangeTheLogits) {
    const std::vector<std::string> options = {"-p", kPrompt, "-n", "5", "--temp", "0", "--math", "f32", "--threads"};
    const auto hash = [&](const char* threads) {
        std::vector<std::string> more = options;
        more.push_back(threads);
        return json_of(more)["logits_hash"];
    };
    EXPECT_EQ(hash("1"), hash("2"));
    EXPECT_EQ(hash("1"), hash("5"));
}

}  // namespace
}  // namespace vks::test
