// --memory: under any cap the same ids, from weights that are read when they are needed.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <utility>

#include "frontend/model/shapes.h"
#include "tests/e2e/golden_run.h"
#include "tests/support/edit_checkpoint.h"
#include "tests/support/run_program.h"
#include "tests/support/temp_dir.h"

namespace vks::test {
namespace {

using nlohmann::json;

json generated(std::vector<std::string> options) {
    options.insert(options.begin(), "generate");
    options.insert(options.end(), {"--backend", "cpu", "--temp", "0", "--ignore-eos", "--json"});
    const Ran ran = run_program(options);
    EXPECT_EQ(ran.status, 0) << ran.err;
    return json::parse(ran.out, nullptr, false);
}

class Memory : public GoldenRun {
protected:
    Memory() : GoldenRun("cpu") {}
};

// From less than an expert to all there is; with a prompt in one step too, which reads every expert.
TEST_P(Memory, GoldenIdsUnderAnyCap) {
    const std::vector<std::pair<const char*, const char*>> cases = {
        {"cpu=1", "1"}, {"cpu=1", "512"}, {"cpu=2M", "4"}, {"cpu=1G", "512"}};
    for (const auto& [cap, chunk] : cases) {
        SCOPED_TRACE(fmt::format("{} {}", cap, chunk));
        const json document = json::parse(greedy(0, {"--chunk", chunk, "--memory", cap}), nullptr, false);
        ASSERT_TRUE(document.is_object());
        EXPECT_EQ(document["ids"].get<std::vector<int64_t>>(), golden_->integers("p0.greedy_ids"));
    }
}

INSTANTIATE_TEST_SUITE_P(All, Memory, testing::ValuesIn(golden_models()), golden_name);

std::vector<std::string> demo(std::vector<std::string> more) {
    more.insert(more.end(), {"-p", "vulkan-tools:", "-n", "24", "--math", "f32", "--mtp", "1"});
    return more;
}

TEST(MemoryCap, DemoModelGivesTheSameText) {
    const json free = generated(demo({}));
    ASSERT_TRUE(free.is_object());
    EXPECT_TRUE(free["paging"].empty());
    for (const char* cap : {"cpu=1", "cpu=8M", "cpu=10M", "cpu=12M"}) {
        SCOPED_TRACE(cap);
        const json capped = generated(demo({"--memory", cap}));
        ASSERT_TRUE(capped.is_object());
        EXPECT_EQ(capped["ids"], free["ids"]);
        EXPECT_EQ(capped["logits_hash"], free["logits_hash"]);
        ASSERT_FALSE(capped["paging"].empty());
        EXPECT_GT(capped["paging"]["bytes_read"], capped["paging"]["budget_bytes"]);
    }
}

// What the system counts beside weights. Sanitizers have a shadow of all memory that was touched.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr uint64_t kProgramBytes = 1'000'000'000;
#else
constexpr uint64_t kProgramBytes = 50'000'000;
#endif

// 240 MB of weights, most of them experts, in 100 MB.
TEST(MemoryCap, KeepsTheProcessWithinIt) {
    const TempDir dir;
    ModelConfig config = *named_shape("bench-m");
    config.num_hidden_layers = 3;
    write_bytes(dir / "shape.json", config_json(config));
    const std::string model = (dir / "model").string();
    ASSERT_EQ(run_program({"synth", "--shape", (dir / "shape.json").string(), "-o", model}).status, 0);
    const std::vector<std::string> options = {"-m", model,     "--ids", "5,6,7,8", "-n",
                                              "16", "--chunk", "4",     "--math",  "f32"};
    const json free = generated(options);
    std::vector<std::string> capped_options = options;
    capped_options.insert(capped_options.end(), {"--memory", "cpu=100M"});
    const json capped = generated(capped_options);
    ASSERT_TRUE(free.is_object() && capped.is_object());
    EXPECT_EQ(capped["ids"], free["ids"]);
    EXPECT_LE(capped["peak_bytes"]["cpu"].get<uint64_t>(), 100'000'000u);
    EXPECT_GT(free["peak_bytes"]["cpu"].get<uint64_t>(), 200'000'000u);
    EXPECT_LE(capped["process_peak_bytes"].get<uint64_t>(), 100'000'000u + kProgramBytes);
}

// One line and the status of a bad file, whether it is the pager that finds the weights gone or who computes with them.
TEST(MemoryCap, AShardCutInTheMiddleOfARun) {
    const TempDir dir;
    copy_checkpoint("nano-bf16", dir / "m");
    const std::filesystem::path weights = dir / "m/model.safetensors";
    bool cut = false;
    RunOptions options;
    options.on_output = [&](pid_t, std::string_view out) {
        if (out.empty() || std::exchange(cut, true)) return;
        std::filesystem::resize_file(weights, 8192);
    };
    const Ran ran = run_program({"generate", "-m", (dir / "m").string(), "-p", "hello", "-n", "2000", "--temp", "0",
                                 "--ignore-eos", "--backend", "cpu", "--memory", "cpu=1"},
                                options);
    EXPECT_TRUE(cut);
    EXPECT_EQ(ran.status, 3) << ran.err;
    EXPECT_EQ(std::ranges::count(ran.err, '\n'), 1) << ran.err;
    EXPECT_NE(ran.err.find("(" + weights.string() + "): wanted "), std::string::npos) << ran.err;
}

// Odd addresses in the files: what is copied for it counts, and isn't paged.
TEST(MemoryCap, CountsCopiesOfUnalignedWeights) {
    const struct {
        const char* name;
        const char* cap;
        bool paged;  // FP8 codes are aligned anywhere
    } models[] = {{"nano-bf16", "cpu=300k", false}, {"nano-fp8", "cpu=1", true}};
    for (const auto& model : models) {
        SCOPED_TRACE(model.name);
        const TempDir dir;
        copy_checkpoint(model.name, dir / "m");
        uint64_t unaligned = 0;
        for (const auto& entry : std::filesystem::directory_iterator(dir / "m")) {
            if (entry.path().extension() != ".safetensors") continue;
            RawFile raw = read_raw(entry.path());
            raw.header.append(raw.header.size() % 2 == 0 ? 1 : 2, ' ');
            write_raw(entry.path(), raw);
            const auto file = SafetensorsFile::open(entry.path());
            ASSERT_TRUE(file) << file.error().text;
            // MTP modules don't run here; the model's own layers come first.
            for (const TensorView& tensor : file->tensors())
                if (!tensor.aligned() && tensor.name.starts_with("model.layers.0.")) unaligned += tensor.bytes;
        }
        ASSERT_GT(unaligned, 0u);
        const std::vector<std::string> options = {
            "generate", "-m", (dir / "m").string(), "--ids", "5,6,7", "-n", "8", "--math", "f32", "--backend", "cpu",
            "--temp",   "0",  "--ignore-eos",       "--json"};
        const Ran free = run_program(options);
        std::vector<std::string> capped_options = options;
        capped_options.insert(capped_options.end(), {"--memory", model.cap, "--mtp", "0"});
        const Ran capped = run_program(capped_options);
        ASSERT_EQ(free.status, 0) << free.err;
        ASSERT_EQ(capped.status, 0) << capped.err;
        EXPECT_NE(capped.err.find("memory (--memory cpu): wanted "), std::string::npos) << capped.err;
        EXPECT_NE(capped.err.find("copies of weights"), std::string::npos) << capped.err;
        const json before = json::parse(free.out, nullptr, false), after = json::parse(capped.out, nullptr, false);
        ASSERT_TRUE(before.is_object() && after.is_object());
        EXPECT_EQ(after["ids"], before["ids"]);
        EXPECT_EQ(after["paging"].empty(), !model.paged);
        EXPECT_GT(after["peak_bytes"]["cpu"].get<uint64_t>(), unaligned);
    }
}

// A plugin's first device has two names: of two caps the later one counts, whichever name it goes by.
TEST(MemoryCap, OfOneDeviceByEitherName) {
    const auto tight = [](const std::string& first, const std::string& last) {
        const Ran ran =
            run_program({"generate", "-p", "x", "-n", "2", "--backend", "cpu", "--memory", first, "--memory", last});
        EXPECT_EQ(ran.status, 0) << ran.err;
        return ran.err.find("memory (--memory cpu") != std::string::npos;
    };
    EXPECT_FALSE(tight("cpu:0=1k", "cpu=1G"));
    EXPECT_FALSE(tight("cpu=1k", "cpu:0=1G"));
    EXPECT_TRUE(tight("cpu:0=1G", "cpu=1k"));
    EXPECT_TRUE(tight("cpu=1G", "cpu:0=1k"));
}

TEST(MemoryCap, SaysWhatItCannotDo) {
    const Ran unknown = run_program({"generate", "-p", "x", "--backend", "cpu", "--memory", "vulkan:7=1G"});
    EXPECT_EQ(unknown.status, 2);
    EXPECT_EQ(unknown.err, "vkseek: memory (--memory): wanted a device that can be used, found vulkan:7\n");
    const Ran tight = run_program({"generate", "-p", "x", "-n", "2", "--backend", "cpu", "--memory", "cpu=1k"});
    EXPECT_EQ(tight.status, 0) << tight.err;
    EXPECT_NE(tight.err.find("memory (--memory cpu): wanted "), std::string::npos) << tight.err;
}

}  // namespace
}  // namespace vks::test
