// plan: what would live where, to the byte, for models, shapes and devices that aren't there.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "tests/support/paths.h"
#include "tests/support/run_program.h"
#include "tests/support/temp_dir.h"

namespace vks::test {
namespace {

using nlohmann::json;

json planned(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), "plan");
    arguments.insert(arguments.end(), {"--json", "--bandwidth", "cpu=50"});
    const Ran ran = run_program(arguments);
    EXPECT_EQ(ran.status, 0) << ran.err;
    EXPECT_EQ(ran.err, "");
    return json::parse(ran.out, nullptr, false);
}

void expect_sums(const json& plan) {
    uint64_t all = 0;
    std::map<std::string, uint64_t> kinds;
    for (const auto& [name, home] : plan["placement"].items()) {
        all += home["bytes"].get<uint64_t>();
        for (const auto& [kind, bytes] : home["bytes_by_kind"].items()) kinds[kind] += bytes.get<uint64_t>();
    }
    EXPECT_EQ(all, plan["bytes_total"].get<uint64_t>());
    for (const auto& [kind, bytes] : plan["bytes_by_kind"].items())
        EXPECT_EQ(kinds[kind], bytes.get<uint64_t>()) << kind;
}

TEST(Plan, DeepSeekV3OnSupposedDevices) {
    for (const char* host : {"cpu=384G", "cpu=64G"}) {
        SCOPED_TRACE(host);
        const json plan = planned({"--shape", "deepseek-v3", "--memory", "vulkan:0=24G", "--memory", host,
                                   "--bandwidth", "vulkan:0=900", "--bandwidth", "disk=5"});
        ASSERT_TRUE(plan.is_object());
        EXPECT_EQ(plan["bytes_total"], 688574839360u);
        EXPECT_EQ(plan["kv_bytes_per_token"], 70272);
        EXPECT_EQ(plan["kv_bytes_by_context"]["163840"], uint64_t{70272} * 163840);
        expect_sums(plan);
        EXPECT_EQ(plan["placement"].size(), 3u);
        EXPECT_GT(plan["placement"]["file"]["experts"].get<int64_t>(), 0);
        EXPECT_GT(plan["tok_s"].get<double>(), 0);
        EXPECT_EQ(plan["limit"], "disk");
        EXPECT_GT(plan["one_more_gb"]["cpu"].get<double>(), 0);
    }
}

TEST(Plan, EveryRelatedShape) {
    for (const char* shape :
         {"deepseek-v3-0324", "deepseek-r1", "deepseek-v3.1", "kimi-k2", "moonlight-16b-a3b", "gigachat3-10b-a1.8b"}) {
        SCOPED_TRACE(shape);
        const json plan = planned({"--shape", shape, "--memory", "vulkan:0=8G", "--memory", "cpu=16G"});
        ASSERT_TRUE(plan.is_object());
        expect_sums(plan);
    }
}

TEST(Plan, AModelAndThisMachine) {
    const json plan = planned({data("nano-fp8/checkpoint").string(), "--memory", "cpu=1M", "-c", "64"});
    ASSERT_TRUE(plan.is_object());
    expect_sums(plan);
    EXPECT_EQ(plan["context"], 64);
    const Ran ran = run_program({"plan", data("nano-fp8/checkpoint").string(), "--bandwidth", "cpu=50"});
    EXPECT_EQ(ran.status, 0) << ran.err;
    EXPECT_NE(ran.out.find("limited by cpu memory"), std::string::npos) << ran.out;
    EXPECT_EQ(ran.out.find("e+"), std::string::npos) << ran.out;  // thousands of tokens a second
}

// The first device of a plugin has two names, and is one device.
TEST(Plan, ADeviceWithItsIndexIsTheSame) {
    const std::string model = data("nano-fp8/checkpoint").string();
    const json host = planned({model, "--memory", "cpu:0=5M", "-c", "64"});
    EXPECT_EQ(host["placement"], planned({model, "--memory", "cpu=5M", "-c", "64"})["placement"]);
    const json twice = planned({model, "--memory", "vulkan=1M", "--memory", "vulkan:0=2M", "--memory", "cpu=5M",
                                "--bandwidth", "vulkan=900", "-c", "64"});
    const json once =
        planned({model, "--memory", "vulkan:0=2M", "--memory", "cpu=5M", "--bandwidth", "vulkan:0=900", "-c", "64"});
    EXPECT_EQ(twice["placement"], once["placement"]);
    EXPECT_EQ(twice["tok_s"], once["tok_s"]);
}

TEST(Plan, SizesAsPeopleWriteThem) {
    const auto bytes = [](const std::string& size) {
        const json plan = planned({data("nano-fp8/checkpoint").string(), "--memory", "cpu=" + size, "-c", "64"});
        return plan["placement"].dump() + plan["tok_s"].dump();
    };
    const std::string thousands = bytes("10000000"), powers = bytes("10240000");
    EXPECT_NE(thousands, powers);
    for (const char* size : {"10000k", "10000K", "10000kB", "10000KB", "10M", "10mb", "0.01g", "10000000B"})
        EXPECT_EQ(bytes(size), thousands) << size;
    for (const char* size : {"10000KiB", "10000kib", "10000Ki", "9.765625MiB"}) EXPECT_EQ(bytes(size), powers) << size;
    for (const char* wrong : {"8iB", "8i", "B", "GB", "8GG", "8Bi", "G"})
        EXPECT_EQ(run_program({"plan", "--shape", "demo", "--memory", std::string("cpu=") + wrong}).status, 2) << wrong;
}

TEST(Plan, SaysWhatItCannotUse) {
    const struct {
        std::vector<std::string> arguments;
        std::string line;
    } cases[] = {
        {{"--memory", "cpu"}, "memory (--memory): wanted DEV=SIZE, found \"cpu\""},
        {{"--memory", "disk=1G"}, "device (--memory): wanted cpu, vulkan:0 or the like, found \"disk\""},
        {{"--memory", "GPU 1=1G"}, "device (--memory): wanted cpu, vulkan:0 or the like, found \"GPU 1\""},
        {{"--memory", "cpu=much"},
         "size (--memory): wanted a number of bytes, or of k, M, G or T, such as 2G or 2GiB, found \"much\""},
        {{"--bandwidth", "cpu=0"}, "rate (--bandwidth): wanted a number above 0, found \"0\""},
        {{"--memory", "cpu=1G", "--bandwidth", "vulkan:0=5", "--bandwidth", "cpu=50"},
         "device (--bandwidth): wanted cpu, link or disk, found \"vulkan:0\""},
    };
    for (const auto& c : cases) {
        std::vector<std::string> arguments = {"plan", "--shape", "deepseek-v3"};
        arguments.insert(arguments.end(), c.arguments.begin(), c.arguments.end());
        const Ran ran = run_program(arguments);
        EXPECT_EQ(ran.status, 2);
        EXPECT_EQ(ran.err, "vkseek: " + c.line + "\n");
    }
    // What only the model shows to be wrong, as in generate.
    const Ran beyond = run_program({"plan", "--shape", "deepseek-v3", "-c", "163841"});
    EXPECT_EQ(beyond.status, 3);
    EXPECT_EQ(beyond.err,
              "vkseek: context (-c): wanted at most 163840, the model's max_position_embeddings, found 163841\n");
}

// All of DeepSeek-V3 in files that take no room: what inspect and plan say of it.
TEST(Plan, TheFullLayout) {
    const TempDir dir;
    const std::string model = (dir / "v3").string();
    ASSERT_EQ(run_program({"synth", "--shape", "deepseek-v3", "--sparse", "-o", model}).status, 0);
    const json plan = planned({model, "--memory", "cpu=64G"});
    ASSERT_TRUE(plan.is_object());
    EXPECT_EQ(plan["bytes_total"], 688574839360u);
    expect_sums(plan);
    const Ran ran = run_program({"inspect", model});
    for (const char* figure : {"671.0 B", "36.6 B active", "MTP 11.6 B", "1/56.9", "1/71.1", "688.6 GB", "70272"}) {
        EXPECT_NE(ran.out.find(figure), std::string::npos) << figure << "\n" << ran.out;
    }
}

}  // namespace
}  // namespace vks::test
