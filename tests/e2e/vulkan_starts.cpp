// What a start with Vulkan keeps for the next one, and what a decode step doesn't do again: counted by the device.
#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "tests/support/run_program.h"
#include "tests/support/temp_dir.h"

namespace vks::test {
namespace {

class VulkanStarts : public testing::Test {
protected:
    Ran run(const std::vector<std::string>& options) const {
        std::vector<std::string> arguments = {"generate",       "-m", VKS_DEMO_MODEL, "--backend",    "vulkan", "-p",
                                              "libsound-dev: ", "-c", "64",           "--ignore-eos", "--temp", "0"};
        arguments.insert(arguments.end(), options.begin(), options.end());
        RunOptions run;
        run.env["XDG_CACHE_HOME"] = cache_.path();
        return run_program(arguments, run);
    }
    // The whole document; `stats` becomes the device's counts.
    nlohmann::json json(int tokens, nlohmann::json& stats) const {
        const Ran ran = run({"-n", std::to_string(tokens), "--json"});
        EXPECT_EQ(ran.status, 0) << ran.err;
        auto document = nlohmann::json::parse(ran.out, nullptr, false);
        stats = document.value("device_stats", nlohmann::json::object());
        EXPECT_EQ(stats.size(), 1U) << ran.out;
        if (!stats.empty()) stats = nlohmann::json(stats.front());
        return document;
    }
    // The one file of pipelines.
    std::filesystem::path file() const {
        std::filesystem::path found;
        for (const auto& entry : std::filesystem::directory_iterator(cache_ / "vkseek")) {
            EXPECT_TRUE(found.empty()) << entry.path();
            found = entry.path();
        }
        return found;
    }

    const TempDir cache_;
};

TEST_F(VulkanStarts, TheSecondCompilesNothing) {
    nlohmann::json first, second;
    const auto ids = json(2, first)["ids"];
    EXPECT_GT(first["pipelines"], 10);
    EXPECT_EQ(first["pipelines_compiled"], first["pipelines"]);
    EXPECT_EQ(json(2, second)["ids"], ids);
    EXPECT_EQ(second["pipelines"], first["pipelines"]);
    EXPECT_EQ(second["pipelines_compiled"], 0);
    const Ran explained = run({"-n", "2", "--explain"});
    EXPECT_NE(explained.err.find("pipelines: " + first["pipelines"].dump() + ", 0 compiled now"), std::string::npos)
        << explained.err;
}

TEST_F(VulkanStarts, DamagedAndForeignCachesAreRewritten) {
    nlohmann::json stats;
    const auto ids = json(2, stats)["ids"];
    const std::string good = read_bytes(file());
    ASSERT_GT(good.size(), 64U);
    const auto flipped = [&](size_t at) {
        std::string bytes = good;
        bytes[at] = char(bytes[at] ^ 0x55);
        return bytes;
    };
    const std::pair<const char*, std::string> cases[] = {
        {"cut", good.substr(0, good.size() - 1)},
        {"cut in its header", good.substr(0, 20)},
        {"empty", ""},
        {"longer", good + "x"},
        {"no cache", std::string(good.size(), 'x')},
        {"another driver's", flipped(8)},
        {"a count that is too large", flipped(31)},
        {"other programs", flipped(60)},
        {"other data", flipped(good.size() - 1)},
    };
    for (const auto& [name, bytes] : cases) {
        SCOPED_TRACE(name);
        write_bytes(file(), bytes);
        EXPECT_EQ(json(2, stats)["ids"], ids);
        EXPECT_EQ(stats["pipelines_compiled"], stats["pipelines"]);
        EXPECT_EQ(json(2, stats)["ids"], ids);
        EXPECT_EQ(stats["pipelines_compiled"], 0);
    }
}

// Whatever a step needs is there after the first few of its kind.
TEST_F(VulkanStarts, SteadyDecodingOnlySubmits) {
    nlohmann::json few, many;
    const auto first = json(4, few)["ids"], ids = json(40, many)["ids"];
    EXPECT_TRUE(std::equal(first.begin(), first.end(), ids.begin()));
    for (const char* count : {"pipelines", "allocations", "recordings", "dispatches", "barriers"}) {
        EXPECT_GT(few[count], 0) << count;
        EXPECT_EQ(few[count], many[count]) << count;
    }
    EXPECT_GE(many["submits"].get<int64_t>(), few["submits"].get<int64_t>() + 36);
}

}  // namespace
}  // namespace vks::test
