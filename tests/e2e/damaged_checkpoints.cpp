// Every damaged checkpoint through the program: exit status 3 and one line on stderr within five seconds of CPU,
// nothing else, and nothing left behind. The list is that of tests/unit/io/damaged_checkpoint.cpp, and tokenizers and
// templates.
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>

#include "tests/support/damaged_checkpoint.h"
#include "tests/support/edit_checkpoint.h"
#include "tests/support/run_program.h"

namespace vks::test {
namespace {

namespace fs = std::filesystem;

Ran run(const std::vector<std::string>& arguments, const std::string& input = "", unsigned cpu_seconds = 5) {
    RunOptions options;
    options.input = input;
    options.cpu_seconds = cpu_seconds;
    return run_program(arguments, options);
}

// "vkseek: <what> (<file>): wanted <x>, found <y>", on one line that any terminal shows as it is.
void expect_one_line(const Ran& ran, const Damage& damage, const fs::path& dir) {
    EXPECT_EQ(ran.status, 3) << ran.err;
    EXPECT_EQ(ran.out, "");
    EXPECT_TRUE(ran.err.starts_with("vkseek: ")) << ran.err;
    ASSERT_TRUE(ran.err.ends_with('\n')) << ran.err;
    const auto control = [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; };
    EXPECT_EQ(std::ranges::count_if(ran.err, control), 1) << ran.err;
    EXPECT_LT(ran.err.size(), 1000u) << ran.err;
    for (const std::string& part : {(damage.file.empty() ? dir : dir / damage.file).string(), std::string("wanted "),
                                    std::string("found"), damage.wanted}) {
        EXPECT_NE(ran.err.find(part), std::string::npos) << part << " in " << ran.err;
    }
}

class Damaged : public ::testing::TestWithParam<Damage> {
protected:
    void SetUp() override {
        copy_checkpoint(GetParam().model, dir_);
        ASSERT_NO_FATAL_FAILURE(GetParam().apply(dir_));
    }
    TempDir temp_;
    const fs::path dir_ = temp_ / "model";
};

using DamagedCheckpoints = Damaged;
using DamagedTokenizers = Damaged;
using DamagedTemplates = Damaged;

TEST_P(DamagedCheckpoints, IsRefusedWithOneLine) {
    // A folder that isn't there is an option's fault, and said before the checkpoint is opened.
    if (fs::is_directory(dir_)) {
        expect_one_line(run({"generate", "-m", dir_, "--ids", "0,5", "-n", "1"}), GetParam(), dir_);
    }
    expect_one_line(run({"quantize", dir_, temp_ / "out"}), GetParam(), dir_);
    fs::remove_all(dir_);
    EXPECT_TRUE(fs::is_empty(temp_.path()));
}

TEST_P(DamagedTokenizers, IsRefusedWithOneLine) {
    expect_one_line(run({"generate", "-m", dir_, "-p", "hello", "-n", "1"}), GetParam(), dir_);
    expect_one_line(run({"tokenize", "-m", dir_}, "hello"), GetParam(), dir_);
}

TEST_P(DamagedTemplates, IsRefusedWithOneLine) {
    // What bounds a template is a count of steps: a second here, more where each is instrumented.
    expect_one_line(run({"render", "-m", dir_}, R"([{"role":"user","content":"hello"}])", 60), GetParam(), dir_);
}

std::string name_of(const ::testing::TestParamInfo<Damage>& info) {
    return test_name(info.param) + "_" + std::to_string(info.index);
}
INSTANTIATE_TEST_SUITE_P(All, DamagedCheckpoints, ::testing::ValuesIn(damaged_checkpoints()), name_of);
INSTANTIATE_TEST_SUITE_P(All, DamagedTokenizers, ::testing::ValuesIn(damaged_tokenizers()), name_of);
INSTANTIATE_TEST_SUITE_P(All, DamagedTemplates, ::testing::ValuesIn(damaged_templates()), name_of);

TEST(DamagedInputs, ChatDocumentsAreRefusedWithOneLine) {
    const std::string deep(100000, '['), object = many_keys("1", 4000);
    std::string objects = object;
    for (int i = 0; i < 40; ++i) objects.append(",").append(object);
    const struct {
        std::string input, wanted;
    } cases[] = {
        {"", "wanted JSON"},
        {"x", "wanted JSON"},
        {"{}", "chat document (messages)"},
        {"3", "chat document (messages)"},
        {"[1]", "messages[0]"},
        {R"({"messages":1})", "chat document (messages)"},
        {R"([{"role":5}])", "messages[0].role"},
        {R"([{"content":"a"}])", "messages[0].role"},
        {R"([{"role":"user","content":NaN}])", "wanted JSON"},
        {R"([{"role":"user","content":1e999}])", "wanted JSON"},
        {R"([{"role":"user","content":18446744073709551616}])", "wanted 64-bit integers"},
        {R"([{"role":"user","content":"\ud800"}])", "wanted JSON"},
        {"[{\"role\":\"user\",\"content\":\"\xff\"}]", "wanted JSON"},
        {std::string("[]\0", 3), "found"},
        {deep, "levels"},
        {"[" + objects + "]", "wanted smaller objects"},
        {std::string((16 << 20) + 1, ' '), "wanted at most 16777216 bytes"},
        {R"({"messages":[],"tools":1})", "chat document (tools)"},
        {R"({"messages":[],"add_generation_prompt":1})", "add_generation_prompt"},
    };
    const std::string model = test::data("nano-bf16/checkpoint");
    for (const auto& c : cases) {
        const Ran ran = run({"render", "-m", model}, c.input);
        EXPECT_EQ(ran.status, 3) << c.input.substr(0, 60) << ran.err;
        EXPECT_EQ(ran.out, "");
        EXPECT_EQ(ran.err.find('\n'), ran.err.size() - 1) << ran.err;
        EXPECT_NE(ran.err.find(c.wanted), std::string::npos) << c.wanted << " in " << ran.err;
    }
}

// A line for the shell, in which $0 is the program and $1 a model. What has no end would fill the memory or take the
// time.
Ran shell(const std::string& line) {
    RunOptions options;
    options.program = "/bin/sh";
    options.timeout = std::chrono::seconds(60);
    return run_program({"-c", line, VKS_PROGRAM, test::data("nano-bf16/checkpoint")}, options);
}

void expect_refusal(const Ran& ran, const std::string& wanted) {
    EXPECT_EQ(ran.status, 3) << ran.err;
    EXPECT_EQ(ran.out, "");
    EXPECT_EQ(ran.err.find('\n'), ran.err.size() - 1) << ran.err;
    EXPECT_NE(ran.err.find(wanted), std::string::npos) << ran.err;
}

TEST(DamagedInputs, DevicesAreRefusedWithOneLine) {
    for (const char* command :
         {"tokenize", "tokenize --jsonl", "detokenize", "detokenize --jsonl", "render", "render --jsonl",
          "generate --backend cpu -", "generate --backend cpu -f /dev/zero", "perplexity --backend cpu -f /dev/urandom",
          "chat --backend cpu", "logits --backend cpu --ids-file /dev/zero -o /dev/null"}) {
        SCOPED_TRACE(command);
        expect_refusal(shell(std::string("exec \"$0\" ") + command + " -m \"$1\" </dev/zero"),
                       "wanted a file, a pipe or a terminal, found a device");
    }
}

TEST(DamagedInputs, EndlessPipesAreRefusedWithOneLine) {
    for (const char* command : {"render", "render --jsonl", "detokenize", "chat --backend cpu"}) {
        SCOPED_TRACE(command);
        expect_refusal(shell(std::string("cat /dev/zero 2>/dev/null | \"$0\" ") + command + " -m \"$1\""),
                       "(stdin): wanted at most ");
    }
}

TEST(DamagedInputs, EmptyDevicesAndPipesAreRead) {
    EXPECT_EQ(shell("exec \"$0\" tokenize -m \"$1\" </dev/null").out, "[]\n");
    const std::string generate = "\"$0\" generate -m \"$1\" -n 1 --temp 0 --json --backend cpu ";
    const Ran text = shell(generate + "-p hello"), pipe = shell("printf hello | " + generate + "-f /dev/stdin");
    EXPECT_EQ(pipe.status, 0) << pipe.err;
    const auto ids = [](const Ran& ran) { return Json::parse(ran.out, nullptr, false)["prompt_ids"]; };
    EXPECT_GT(ids(text).size(), 0u);
    EXPECT_EQ(ids(text), ids(pipe));
}

// Names of files come into messages too.
TEST(DamagedInputs, ModelFoldersWithControlCharacters) {
    const TempDir temp;
    const fs::path dir = temp / "a\n\x1b[31mb";
    copy_checkpoint("nano-bf16", dir);
    write_bytes(dir / "config.json", "x");
    const Ran ran = run({"generate", "-m", dir, "--ids", "0", "-n", "1"});
    EXPECT_EQ(ran.status, 3);
    EXPECT_EQ(ran.err.find('\n'), ran.err.size() - 1) << ran.err;
    EXPECT_NE(ran.err.find("/a\\x0a\\x1b[31mb/config.json"), std::string::npos) << ran.err;
}

// The weights are cut off while the program runs: the line, not SIGBUS. Cut to nothing, every page faults; cut within
// its last page, none does, and the run notices before it reports success. What it writes is more than it can write
// before the cut.
TEST(DamagedInputs, AFileThatShrinksDuringTheRun) {
    for (const bool to_nothing : {true, false}) {
        const TempDir temp;
        copy_checkpoint("nano-bf16", temp / "model");
        const fs::path weights = temp / "model/model.safetensors";
        bool cut = false;
        RunOptions options;
        options.pipe_bytes = 4096;
        options.on_output = [&](pid_t, std::string_view out) {
            if (out.empty() || std::exchange(cut, true)) return;
            ASSERT_EQ(truncate(weights.c_str(), to_nothing ? 0 : static_cast<off_t>(fs::file_size(weights) - 1)), 0);
        };
        const Ran ran = run_program({"generate", "-m", temp / "model", "-p", "hello", "-n", "4000", "--temp", "0",
                                     "--ignore-eos", "--backend", "cpu"},
                                    options);
        EXPECT_TRUE(cut);
        EXPECT_EQ(ran.status, 3) << ran.err;
        EXPECT_EQ(std::ranges::count(ran.err, '\n'), 1) << ran.err;
        EXPECT_NE(ran.err.find("(" + weights.string() + "): wanted "), std::string::npos) << ran.err;
    }
}

}  // namespace
}  // namespace vks::test
