// plugins, devices, inspect and synth: what there is, counted and made.
#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "tests/support/paths.h"
#include "tests/support/run_program.h"
#include "tests/support/temp_dir.h"

namespace vks::test {
namespace {

nlohmann::json json_of(std::vector<std::string> arguments) {
    arguments.push_back("--json");
    const Ran ran = run_program(arguments);
    EXPECT_EQ(ran.status, 0) << ran.err;
    EXPECT_EQ(ran.err, "");
    return nlohmann::json::parse(ran.out, nullptr, false);
}

TEST(Lists, PluginsSayWhatTheyOfferOrWhyTheyWereRefused) {
    const TempDir dir;
    write_bytes(dir / "libvkseek_broken.so", "no library");
    const auto list = json_of({"plugins", "--plugin-dir", dir.path()});
    ASSERT_TRUE(list.is_array());
    const auto& broken = list[0];
    EXPECT_EQ(broken["path"], (dir / "libvkseek_broken.so").string());
    EXPECT_EQ(broken["accepted"], false);
    EXPECT_NE(broken["reason"], "");
    const auto cpu = std::find_if(list.begin(), list.end(), [](const auto& p) { return p.value("name", "") == "cpu"; });
    ASSERT_NE(cpu, list.end());
    EXPECT_EQ((*cpu)["accepted"], true);
    EXPECT_TRUE((*cpu)["abi"].template get<std::string>().starts_with("1."));
    const auto ops = (*cpu)["ops"].template get<std::vector<std::string>>();
    EXPECT_NE(std::find(ops.begin(), ops.end(), "mla_attention/1"), ops.end());
    EXPECT_EQ((*cpu)["devices"], nlohmann::json::parse(R"([{"id": "cpu", "usable": true}])"));
    EXPECT_NE(run_program({"plugins", "--plugin-dir", dir.path()}).out.find("refused: "), std::string::npos);
}

TEST(Lists, DevicesHaveACpu) {
    const auto list = json_of({"devices"});
    const auto cpu = std::find_if(list.begin(), list.end(), [](const auto& d) { return d["id"] == "cpu"; });
    ASSERT_NE(cpu, list.end());
    EXPECT_EQ((*cpu)["usable"], true);
    EXPECT_GT((*cpu)["bytes_total"].template get<uint64_t>(), 0U);
    EXPECT_NE(run_program({"devices"}).out.find("cpu: "), std::string::npos);
}

TEST(Lists, InspectCountsTheRelease) {
    const auto v3 = json_of({"inspect", "--shape", "deepseek-v3"});
    EXPECT_EQ(v3["kv_bytes_per_token"], 70272);
    EXPECT_EQ(v3["parameters"].get<int64_t>() / 100000000, 6710);  // 671.0 B
    const auto demo = json_of({"inspect", VKS_DEMO_MODEL});
    EXPECT_EQ(demo, json_of({"inspect", "-m", VKS_DEMO_MODEL}));
    EXPECT_EQ(demo["kv_bytes_per_token"], 4 * (128 + 32) * 2);
    int64_t bytes = 0;
    for (const auto& kind : demo["bytes_by_kind"]) bytes += kind.get<int64_t>();
    EXPECT_EQ(demo["bytes_total"], bytes);
    const std::string text = run_program({"inspect", VKS_DEMO_MODEL}).out;
    EXPECT_NE(text.find("KV cache"), std::string::npos);
    EXPECT_NE(text.find("parameters   8.9 M, 4.3 M active per token, MTP 2.1 M more"), std::string::npos) << text;
}

TEST(Lists, SynthMakesAModelThatRuns) {
    const TempDir dir;
    const std::string model = dir / "model";
    const Ran ran = run_program({"synth", "--shape", "demo", "--layers", "2", "--dense", "1", "--experts", "8", "--mtp",
                                 "1", "--seed", "3", "--tokenizer", VKS_DEMO_MODEL, "-o", model});
    ASSERT_EQ(ran.status, 0) << ran.err;
    const auto stats = json_of({"inspect", model});
    EXPECT_GT(stats["parameters"].get<int64_t>(), 1000000);
    const Ran text = run_program({"generate", "-m", model, "-p", "a", "-n", "4", "--temp", "0", "--ignore-eos"});
    EXPECT_EQ(text.status, 0) << text.err;
}

// Interrupted once the first file has begun; gigabytes would follow.
TEST(Lists, SynthThatIsInterruptedCanBeRepeated) {
    const TempDir dir;
    const std::string model = dir / "model";
    RunOptions shell;
    shell.program = "/bin/sh";
    for (const char* name : {"INT", "TERM"}) {
        SCOPED_TRACE(name);
        const std::string script =
            "\"$0\" synth --shape bench-m -o \"$1\" & pid=$!\n"
            "until ls \"$1\"/*.safetensors* >/dev/null 2>&1; do kill -0 $pid || break; done\n"
            "kill -$2 $pid; wait $pid";
        const Ran ran = run_program({"-c", script, VKS_PROGRAM, model, name}, shell);
        EXPECT_EQ(ran.status, 3) << ran.err;
        EXPECT_NE(ran.err.find("found an interrupt"), std::string::npos) << ran.err;
        EXPECT_TRUE(std::filesystem::is_empty(model));
    }
    EXPECT_EQ(run_program({"synth", "--shape", "demo", "--layers", "1", "-o", model}).status, 0);
}

}  // namespace
}  // namespace vks::test
