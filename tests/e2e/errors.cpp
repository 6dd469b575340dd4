// What goes wrong is said in exactly one line on stderr, and in the exit status.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "tests/support/edit_checkpoint.h"
#include "tests/support/paths.h"
#include "tests/support/run_program.h"
#include "tests/support/temp_dir.h"

namespace vks::test {
namespace {

namespace fs = std::filesystem;

// The line without "vkseek: " and its end.
std::string failure(const Ran& ran, int status) {
    EXPECT_EQ(ran.status, status) << ran.err;
    EXPECT_EQ(ran.out, "");
    EXPECT_TRUE(ran.err.starts_with("vkseek: ")) << ran.err;
    EXPECT_EQ(std::count(ran.err.begin(), ran.err.end(), '\n'), 1) << ran.err;
    EXPECT_TRUE(ran.err.ends_with('\n')) << ran.err;
    return ran.err.size() < 10 ? ran.err : ran.err.substr(8, ran.err.size() - 9);
}

struct UsageCase {
    std::vector<std::string> arguments;
    std::string line;
};

TEST(Errors, UsageSaysWhatWasWanted) {
    const std::string numbers = "integers from 0 to 2147483647, separated by commas";
    const std::vector<UsageCase> cases = {
        {{}, "subcommand (vkseek --help): wanted one, such as generate, found none"},
        {{"logits", "--ids", "1", "-o", "x", "--foo", "bar", "baz"},
         "argument (vkseek logits --help): wanted one that is known, found --foo bar baz"},
        {{"perplexity", "-f", "t.txt", "a: b c"},
         "argument (vkseek perplexity --help): wanted one that is known, found a: b c"},
        {{"bogus"}, "argument (vkseek --help): wanted one that is known, found bogus"},
        {{"generate", "-p", "x", "--bogus"},
         "argument (vkseek generate --help): wanted one that is known, found --bogus"},
        {{"generate"},
         "prompt (vkseek generate --help): wanted exactly one of -p TEXT, -f FILE, --ids LIST and -, found none"},
        {{"generate", "-p", "x", "-"},
         "prompt (vkseek generate --help): wanted exactly one of -p TEXT, -f FILE, --ids LIST and -, found several"},
        {{"generate", "-p", "x", "-n", "many"},
         "tokens to generate (-n): wanted an integer from -1 to 2147483647, found many"},
        {{"generate", "-p", "x", "-n", "-2"},
         "tokens to generate (-n): wanted an integer from -1 to 2147483647, found -2"},
        {{"generate", "-p", "x", "--temp", "-0.5"}, "temperature (--temp): wanted a number from 0, found -0.5"},
        {{"generate", "-p", "x", "--temp", "nan"}, "temperature (--temp): wanted a number from 0, found nan"},
        {{"generate", "-p", "x", "--top-p", "0"}, "top-p (--top-p): wanted a number above 0, at most 1, found 0"},
        {{"generate", "-p", "x", "--min-p", "2"}, "min-p (--min-p): wanted a number from 0 to 1, found 2"},
        {{"generate", "-p", "x", "--math", "f16"}, "math (--math): wanted f32 or half, found \"f16\""},
        {{"generate", "-p", "x", "--threads", "0"},
         "threads of the CPU plugin (--threads): wanted an integer from 1 to 1024, found 0"},
        {{"generate", "-p", "x", "--threads", "1025"},
         "threads of the CPU plugin (--threads): wanted an integer from 1 to 1024, found 1025"},
        {{"generate", "-p", "x", "--backend", "cpu,"},
         "list (--backend): wanted names separated by commas, found \"cpu,\""},
        {{"generate", "-p", "x", "--op", "mla_attention"},
         "operator (--op): wanted NAME=BACKEND, found \"mla_attention\""},
        {{"generate", "-p", "x", "--mtp", "17"},
         "drafts (--mtp): wanted auto or an integer from 0 to 16, found \"17\""},
        {{"chat", "--mtp", "-1"}, "drafts (--mtp): wanted auto or an integer from 0 to 16, found \"-1\""},
        {{"generate", "-p", "x", "--mtp-accept", "all"},
         "mtp-accept (--mtp-accept): wanted same or rejection, found \"all\""},
        {{"generate", "--ids", "1,,2"}, "ids (--ids): wanted " + numbers + ", found \"\""},
        {{"generate", "--ids", "1,-2"}, "ids (--ids): wanted " + numbers + ", found \"-2\""},
        {{"bench", "ops", "--rows", "-1"}, "numbers (--rows): wanted " + numbers + ", found \"-1\""},
        {{"bench", "ops", "--rows", "99999999999"}, "numbers (--rows): wanted " + numbers + ", found \"99999999999\""},
        {{"bench", "model", "-p", "abc"}, "numbers (-p): wanted " + numbers + ", found \"abc\""},
        {{"bench"}, "subcommand (vkseek bench --help): wanted one, such as bench model, found none"},
        {{"bench", "bogus"}, "argument (vkseek bench --help): wanted one that is known, found bogus"},
        {{"generate", "-p", "x", "--seed", "99999999999999999999999"},
         "seed (--seed): wanted an integer from 0 to 9223372036854775807, found 99999999999999999999999"},
        {{"logits", "--ids", "1"}, "output (-o): wanted a file to write, found none"},
        {{"perplexity"}, "text (-f): wanted a file, found none"},
    };
    for (const UsageCase& c : cases) EXPECT_EQ(failure(run_program(c.arguments), 2), c.line);
    EXPECT_TRUE(failure(run_program({"generate", "-p", "x", "--op", "nonsense=cpu"}), 2)
                    .starts_with("operator (--op): wanted one of act_quant add "));
    EXPECT_NE(failure(run_program({"generate", "-p"}), 2).find("--prompt"), std::string::npos);
}

TEST(Errors, EverySubcommandHasHelp) {
    for (const char* command : {"generate", "chat", "logits", "perplexity", "tokenize", "detokenize", "render",
                                "devices", "plugins", "doctor", "inspect", "plan", "synth", "quantize", "bench"}) {
        const Ran ran = run_program({command, "--help"});
        EXPECT_EQ(ran.status, 0) << command;
        EXPECT_EQ(ran.err, "") << command;
        EXPECT_NE(ran.out.find(std::string("vkseek ") + command), std::string::npos) << ran.out;
    }
    EXPECT_EQ(run_program({"--help"}).status, 0);
    EXPECT_TRUE(run_program({"--version"}).out.starts_with("vkseek "));
}

TEST(Errors, BadModelsAndInputs) {
    const TempDir dir;
    const std::string demo = VKS_DEMO_MODEL;
    EXPECT_EQ(failure(run_program({"generate", "-m", "/nowhere", "-p", "x"}), 3),
              "model (-m: /nowhere): wanted a directory, found nothing there");
    write_bytes(dir / "model.gguf", "GGUF\3");
    EXPECT_EQ(failure(run_program({"generate", "-m", dir / "model.gguf", "-p", "x"}), 3),
              "model (-m: " + (dir / "model.gguf").string() + "): wanted a directory, found a GGUF file");
    EXPECT_NE(failure(run_program({"generate", "-m", dir.path(), "-p", "x"}), 3).find("config.json"),
              std::string::npos);
    EXPECT_EQ(failure(run_program({"generate", "-m", demo, "--ids", "1,4096"}), 3),
              "ids (--ids): wanted ids from 0 to 4095, found 4096 at position 1");
    EXPECT_EQ(failure(run_program({"generate", "-m", demo, "-p", "x", "-c", "5000"}), 3),
              "context (-c): wanted at most 4096, the model's max_position_embeddings, found 5000");
    EXPECT_NE(failure(run_program({"generate", "-m", demo, "-f", "/nowhere"}), 3).find("/nowhere"), std::string::npos);
    EXPECT_NE(failure(run_program({"logits", "-m", demo, "--ids", "1", "-o", "/nowhere/x"}), 3).find("/nowhere"),
              std::string::npos);

    // Before there is an answer that would be lost.
    EXPECT_EQ(failure(run_program({"generate", "-m", demo, "-p", "x", "-n", "3", "--trace-file", "/nowhere/x"}), 3),
              "trace (/nowhere/x): wanted a file that can be written, found: No such file or directory");
    EXPECT_EQ(failure(run_program({"bench", "report", "/nowhere/in", "-o", "/nowhere/x"}), 3),
              "report (/nowhere/x): wanted a file that can be written, found: No such file or directory");

    write_bytes(dir / "ids", "[1, \"2\"]");
    const std::string ids_file = dir / "ids";
    EXPECT_EQ(failure(run_program({"logits", "-m", demo, "--ids-file", ids_file, "-o", dir / "out"}), 3),
              "ids (--ids-file " + ids_file + "): wanted token ids, found \"2\" at position 1");
    write_bytes(dir / "short", "a few words");
    EXPECT_NE(failure(run_program({"perplexity", "-m", demo, "-f", dir / "short"}), 3).find("wanted at least 513"),
              std::string::npos);
}

TEST(Errors, TextThatIsNoUtf8NamesItsSource) {
    const TempDir dir;
    const std::string demo = VKS_DEMO_MODEL, file = dir / "text";
    write_bytes(file, "ab\xff");
    RunOptions run;
    run.input = "ab\xff";
    const std::string found = ": wanted UTF-8, found byte 0xff at offset 2";
    EXPECT_EQ(failure(run_program({"generate", "-m", demo, "-p", "ab\xff"}), 3), "prompt (-p)" + found);
    EXPECT_EQ(failure(run_program({"generate", "-m", demo, "-f", file}), 3), "prompt (-f " + file + ")" + found);
    EXPECT_EQ(failure(run_program({"generate", "-m", demo, "-"}, run), 3), "prompt (stdin)" + found);
    EXPECT_EQ(failure(run_program({"perplexity", "-m", demo, "-f", file}), 3), "text (-f " + file + ")" + found);
    EXPECT_EQ(failure(run_program({"tokenize", "-m", demo}, run), 3), "text (stdin)" + found);
}

// Ids work without a tokenizer; text doesn't.
TEST(Errors, ModelWithoutTokenizer) {
    const TempDir dir;
    copy_checkpoint("nano-bf16", dir / "model");
    fs::remove(dir.path() / "model/tokenizer.json");
    const Ran ran = run_program({"generate", "-m", dir / "model", "--ids", "0,5,9", "-n", "4", "--temp", "0"});
    EXPECT_EQ(ran.status, 0) << ran.err;
    EXPECT_EQ(ran.out, "\n");
    EXPECT_NE(failure(run_program({"generate", "-m", dir / "model", "-p", "x"}), 3).find("tokenizer.json"),
              std::string::npos);
}

// The installed tree without its CPU plugin.
TEST(Errors, WithoutPluginTheOperatorIsNamed) {
    const TempDir dir;
    fs::create_directories(dir.path() / "bin");
    fs::create_directories(dir.path() / "lib/vkseek/plugins");
    fs::copy_file(VKS_PROGRAM, dir.path() / "bin/vkseek");
    RunOptions run;
    run.program = dir.path() / "bin/vkseek";
    const std::vector<std::string> generate = {"generate", "-m", VKS_DEMO_MODEL, "-p", "x", "-n", "2", "--temp", "0"};
    EXPECT_TRUE(failure(run_program(generate, run), 4).starts_with("operator embed: wanted a backend, found none"));
    EXPECT_EQ(run_program({"plugins", "--json"}, run).out, "[]\n");
    EXPECT_EQ(run_program({"devices", "--json"}, run).out, "[]\n");

    // It works again with the plugin named, by option or by environment.
    const std::string plugins = fs::path(VKS_TEST_PLUGIN).parent_path();
    std::vector<std::string> named = generate;
    named.insert(named.end(), {"--plugin-dir", plugins});
    const Ran by_option = run_program(named, run);
    EXPECT_EQ(by_option.status, 0) << by_option.err;
    run.env["VKSEEK_PLUGIN_PATH"] = plugins;
    EXPECT_EQ(run_program(generate, run).out, by_option.out);
}

TEST(Errors, WhereModelAndPluginsAreIsWhereTheyWereSaidToBe) {
    const TempDir dir;
    const std::string demo = VKS_DEMO_MODEL, file = dir / "file";
    write_bytes(file, "x");
    for (const char* command : {"inspect", "plan"}) {
        EXPECT_EQ(failure(run_program({command, "/nowhere"}), 3),
                  "model (MODEL: /nowhere): wanted a directory, found nothing there");
        EXPECT_EQ(failure(run_program({command, "-m", "/nowhere", demo}), 2),
                  "model (-m): wanted MODEL or -m, found both");
        EXPECT_EQ(failure(run_program({command, "-m", demo, "--shape", "demo"}), 2),
                  "model (--shape): wanted a shape or a model, found both");
    }
    EXPECT_EQ(failure(run_program({"doctor", "-m", demo, "--shape", "demo"}), 2),
              "model (--shape): wanted a shape or a model, found both");
    EXPECT_EQ(failure(run_program({"plugins", "--plugin-dir", "/nowhere"}), 3),
              "plugins (--plugin-dir: /nowhere): wanted a directory, found nothing there");
    EXPECT_EQ(failure(run_program({"generate", "-m", demo, "-p", "x", "--plugin-dir", file}), 3),
              "plugins (--plugin-dir: " + file + "): wanted a directory, found something else");
    RunOptions run;
    run.env["VKSEEK_PLUGIN_PATH"] = "/nowhere:" + dir.path().string();
    const std::string warning =
        "vkseek: plugins ($VKSEEK_PLUGIN_PATH: /nowhere): wanted a directory, found nothing there\n";
    for (const std::vector<std::string>& command : std::vector<std::vector<std::string>>{
             {"plugins", "--json"},
             {"devices", "--json"},
             {"plan", demo, "--memory", "cpu=1G", "--bandwidth", "cpu=50"},
             {"bench", "ops", "--backend", "cpu", "--op", "add", "--rows", "1", "-r", "1"}}) {
        const Ran ran = run_program(command, run);
        EXPECT_EQ(ran.status, 0) << command[0];
        EXPECT_EQ(ran.err, warning) << command[0];
    }
    EXPECT_TRUE(failure(run_program({"bench", "ops", "--backend", "nonesuch"}, run), 4).starts_with("device"));
    const Ran generate = run_program({"generate", "-m", demo, "-p", "x", "-n", "2"}, run);
    EXPECT_EQ(generate.status, 0) << generate.err;
    EXPECT_TRUE(generate.err.starts_with(warning)) << generate.err;
}

// A model that computes NaN has no perplexity.
TEST(Errors, PerplexityOfNaN) {
    const TempDir dir;
    copy_checkpoint("nano-bf16", dir / "m");
    RawFile file = read_raw(dir / "m/model.safetensors");
    const Json header = Json::parse(file.header);
    const size_t at = header["model.norm.weight"]["data_offsets"][0];
    file.data[at] = '\xc0';
    file.data[at + 1] = '\x7f';
    write_raw(dir / "m/model.safetensors", file);
    write_bytes(dir / "text", std::string(200, 'x'));
    const Ran ran = run_program({"perplexity", "-m", (dir / "m").string(), "-f", (dir / "text").string(), "-c", "4"});
    EXPECT_EQ(failure(ran, 3), "logits (position 0): wanted numbers, found NaN for token 0");
}

TEST(Errors, UnknownBackends) {
    struct Case {
        std::vector<std::string> options;
        std::string option, name;
    };
    for (const Case& c : std::vector<Case>{{{"--backend", "nonesuch"}, "--backend", "nonesuch"},
                                           {{"--backend", "cpu:7"}, "--backend", "cpu:7"},
                                           {{"--backend", "cpu,nonesuch"}, "--backend", "nonesuch"},
                                           {{"--prefill", "nonesuch"}, "--prefill", "nonesuch"},
                                           {{"--op", "embed=nonesuch"}, "--op embed", "nonesuch"},
                                           {{"--op", "mla_attention=nonesuch"}, "--op mla_attention", "nonesuch"}}) {
        std::vector<std::string> arguments = {"generate", "-m", VKS_DEMO_MODEL, "-p", "x"};
        arguments.insert(arguments.end(), c.options.begin(), c.options.end());
        const std::string line = failure(run_program(arguments), 4);
        EXPECT_TRUE(line.starts_with("device (" + c.option + "): wanted one of cpu")) << line;
        EXPECT_TRUE(line.ends_with(", found \"" + c.name + "\"")) << line;
    }
    EXPECT_TRUE(failure(run_program({"bench", "ops", "--backend", "nonesuch"}), 4)
                    .starts_with("device (--backend): wanted one of cpu"));
}

TEST(Errors, AFullDiskIsNotSuccess) {
    for (const char* asked : {"--help", "--version", "inspect --help"}) {
        RunOptions run;
        run.program = "/bin/sh";
        const Ran ran = run_program({"-c", std::string("exec \"$0\" ") + asked + " >/dev/full", VKS_PROGRAM}, run);
        EXPECT_TRUE(failure(ran, 3).starts_with("output (stdout): wanted to write")) << asked;
    }
    for (const char* more : {"--json", "--explain"}) {
        RunOptions run;
        run.program = "/bin/sh";
        const Ran ran =
            run_program({"-c", "exec \"$0\" generate -m \"$1\" -p x -n 2 \"$2\" 2>&1 >/dev/full | tail -n 1",
                         VKS_PROGRAM, VKS_DEMO_MODEL, more},
                        run);
        EXPECT_TRUE(ran.out.starts_with("vkseek: output (stdout): wanted to write")) << ran.out;
    }
}

// A file that the program opens must not become its input or its output.
TEST(Errors, ClosedStreamsStayClosed) {
    const TempDir dir;
    const std::string model = data("nano-bf16/checkpoint");
    const std::string trace = dir / "trace.json";
    const auto shell = [&](const char* redirection, std::vector<std::string> arguments) {
        RunOptions run;
        run.program = "/bin/sh";
        arguments.insert(arguments.begin(), {"-c", std::string("exec \"$0\" \"$@\" ") + redirection, VKS_PROGRAM});
        return run_program(arguments, run);
    };
    const std::string no_input = "input (stdin): wanted readable bytes, found: Bad file descriptor";
    EXPECT_EQ(failure(shell("<&-", {"generate", "-m", model, "-", "-n", "2"}), 3), no_input);
    EXPECT_EQ(failure(shell("<&-", {"tokenize", "-m", model}), 3), no_input);
    EXPECT_EQ(failure(shell("<&-", {"chat", "-m", model, "-n", "2"}), 3), no_input);
    const Ran ran = shell(">&-", {"generate", "-m", model, "-p", "x", "-n", "2", "--trace-file", trace});
    EXPECT_TRUE(failure(ran, 3).starts_with("output (stdout): wanted to write ")) << ran.err;
    EXPECT_TRUE(failure(shell("<&- >&-", {"inspect", model}), 3).starts_with("output (stdout): wanted to write "));
    // What was for stderr is nowhere else.
    EXPECT_EQ(shell("2>&-", {"generate", "-m", model, "-p", "x", "-n", "2", "--trace-file", trace}).status, 0);
    EXPECT_TRUE(nlohmann::json::accept(read_bytes(trace)));
}

}  // namespace
}  // namespace vks::test
