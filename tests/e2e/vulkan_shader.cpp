// `vkseek bench shader` as somebody uses it who edits a shader: copies of shipped ones with something changed.
#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "tests/support/run_program.h"
#include "tests/support/temp_dir.h"

namespace vks::test {
namespace {

namespace fs = std::filesystem;

fs::path shaders() {
    return fs::path(VKS_PROGRAM).parent_path().parent_path() / "share/vkseek/shaders";
}

// A copy of a shipped shader with `from` replaced by `to`.
fs::path edited(const TempDir& dir, const std::string& name, const std::string& from = "", const std::string& to = "") {
    std::string text = read_bytes(shaders() / name);
    if (!from.empty()) {
        const size_t at = text.find(from);
        EXPECT_NE(at, std::string::npos) << from;
        text.replace(at, from.size(), to);
    }
    write_bytes(dir / name, text);
    return dir / name;
}

Ran bench_shader(const fs::path& file, std::vector<std::string> more = {}) {
    std::vector<std::string> arguments = {"bench", "shader", file, "--backend", "vulkan:0", "-r", "1", "-o", "json"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return run_program(arguments);
}

const char* const kSum = "LOAD(A, a, first + i) + LOAD(B, b, first + i)";

TEST(VulkanShader, ACopyOfEachShippedShaderIsRight) {
    int tried = 0;
    for (const auto& entry : fs::directory_iterator(shaders())) {
        if (entry.path().extension() != ".comp") continue;
        const TempDir dir;
        const Ran ran = bench_shader(edited(dir, entry.path().filename()), {"--rows", "2"});
        EXPECT_EQ(ran.status, 0) << entry.path() << ran.err;
        const auto rows = nlohmann::json::parse(ran.out, nullptr, false);
        ASSERT_FALSE(rows.empty()) << entry.path();
        for (const auto& row : rows) {
            EXPECT_EQ(row["verified"], true) << row.dump();
            EXPECT_TRUE(row["ratio"].is_number()) << row.dump();
            EXPECT_EQ(std::string(row["programs"][0]["shader"]).substr(0, entry.path().stem().string().size()),
                      entry.path().stem());
        }
        ++tried;
    }
    EXPECT_GE(tried, 17);
}

TEST(VulkanShader, AWrongOneIsReportedWithItsFirstWrongElement) {
    const TempDir dir;
    const Ran ran =
        bench_shader(edited(dir, "add.comp", kSum, "LOAD(A, a, first + i) + (i == 7u ? 9.0 : LOAD(B, b, first + i))"));
    EXPECT_EQ(ran.status, 5);
    EXPECT_NE(ran.err.find("argument 2 element 7: wanted "), std::string::npos) << ran.err;
    EXPECT_NE(ran.err.find(", found "), std::string::npos) << ran.err;
    for (const auto& row : nlohmann::json::parse(ran.out)) {
        EXPECT_EQ(row["verified"], false);
        EXPECT_TRUE(row["median_us"].is_null());
        EXPECT_TRUE(row["builtin_us"].is_number());
    }
}

TEST(VulkanShader, MistakesAreShownWithFileLineAndText) {
    const TempDir dir;
    const Ran ran = bench_shader(edited(dir, "add.comp", kSum, "LOAD(A, a, first + i) + nonesuch"));
    EXPECT_EQ(ran.status, 3);
    EXPECT_NE(ran.err.find("add.comp:17"), std::string::npos) << ran.err;
    EXPECT_NE(ran.err.find("nonesuch"), std::string::npos) << ran.err;
    EXPECT_NE(ran.err.find("float element(uint i)"), std::string::npos) << ran.err;
    EXPECT_EQ(std::count(ran.err.begin(), ran.err.end(), '\n'), 1) << ran.err;
}

TEST(VulkanShader, ItsOperatorHasToBeNamedAndToUseIt) {
    const TempDir dir;
    const Ran unnamed = bench_shader(edited(dir, "add.comp", "//! op ", "// op "));
    EXPECT_EQ(unnamed.status, 3);
    EXPECT_NE(unnamed.err.find("//! op NAME/1"), std::string::npos) << unnamed.err;
    const Ran other = bench_shader(edited(dir, "add.comp"), {"--as", "topk"});
    EXPECT_EQ(other.status, 4);
    EXPECT_NE(other.err.find("wanted a shader topk"), std::string::npos) << other.err;
    fs::rename(dir / "add.comp", dir / "mine.comp");
    EXPECT_EQ(bench_shader(dir / "mine.comp").status, 4);
    EXPECT_EQ(bench_shader(dir / "mine.comp", {"--as", "add"}).status, 0);
    EXPECT_EQ(bench_shader(dir / "none.comp").status, 3);
}

// Other bindings than the operator's are an error, not a crash.
TEST(VulkanShader, AnInterfaceOfItsOwnIsRefused) {
    const TempDir dir;
    const Ran ran = bench_shader(edited(dir, "add.comp", "void main() {",
                                        "layout(binding = 5) buffer Extra { uint extra[]; };\n"
                                        "void main() {\n    extra[0] = 1u;"));
    EXPECT_EQ(ran.status, 5);
    EXPECT_NE(ran.err.find("wanted 6 bindings"), std::string::npos) << ran.err;
}

// So is one that lacks a constant, and nothing half made of it is met when the device is closed.
TEST(VulkanShader, AMissingConstantIsRefused) {
    const TempDir dir;
    const Ran ran =
        bench_shader(edited(dir, "rms_norm.comp", "layout(constant_id = 2) const uint W = F32;", "const uint W = F32;"),
                     {"--rows", "2"});
    EXPECT_EQ(ran.status, 5);
    EXPECT_NE(ran.err.find("no constant W"), std::string::npos) << ran.err;
}

TEST(VulkanShader, NumbersAreTakenOrRefused) {
    const TempDir dir;
    const fs::path file = edited(dir, "gemm.comp");
    const std::vector<std::string> few = {"--rows", "1", "--math", "f32"};
    const auto with = [&](std::vector<std::string> options) {
        options.insert(options.end(), few.begin(), few.end());
        return bench_shader(file, options);
    };
    const Ran rows = with({"--spec", "ROWS=2"});
    ASSERT_EQ(rows.status, 0) << rows.err;
    EXPECT_NE(rows.out.find("ROWS=2"), std::string::npos) << rows.out;
    for (const char* wrong : {"NONESUCH=2", "ROWS=3", "X=2"}) {
        const Ran ran = with({"--spec", wrong});
        EXPECT_EQ(ran.status, 2) << wrong;
        EXPECT_NE(ran.err.find("left aside"), std::string::npos) << ran.err;
    }
    for (const char* bad : {"ROWS", "ROWS=0", "ROWS=x", "ROWS=2,4"}) EXPECT_EQ(with({"--spec", bad}).status, 2) << bad;
}

TEST(VulkanShader, ASweepTriesAllAndSortsThem) {
    const TempDir dir;
    const Ran ran = bench_shader(edited(dir, "rms_norm.comp"), {"--rows", "8", "--sweep", "WORKGROUP=4,8,16"});
    ASSERT_EQ(ran.status, 0) << ran.err;
    std::map<std::string, double> seconds;
    std::vector<std::string> order;
    for (const auto& row : nlohmann::json::parse(ran.out)) {
        EXPECT_EQ(row["verified"], true) << row.dump();
        const std::string numbers = row["numbers"];
        if (!seconds.contains(numbers)) order.push_back(numbers);
        seconds[numbers] += row["best_us"].get<double>();
    }
    ASSERT_EQ(order.size(), 3U);
    EXPECT_TRUE(std::is_sorted(order.begin(), order.end(),
                               [&](const auto& a, const auto& b) { return seconds[a] < seconds[b]; }));
}

// A combination that the device doesn't take is none of the others' business.
TEST(VulkanShader, ASweepGoesOnWithoutWhatIsLeftAside) {
    const TempDir dir;
    const fs::path file = edited(dir, "rms_norm.comp");
    const Ran ran = bench_shader(file, {"--rows", "8", "--sweep", "WORKGROUP=8,3,16"});
    ASSERT_EQ(ran.status, 0) << ran.err;
    EXPECT_NE(ran.err.find("number (--sweep WORKGROUP=3): wanted one that rms_norm takes on "), std::string::npos)
        << ran.err;
    std::set<std::string> seen;
    for (const auto& row : nlohmann::json::parse(ran.out)) seen.insert(row["numbers"]);
    EXPECT_EQ(seen, (std::set<std::string>{"WORKGROUP=8", "WORKGROUP=16"}));
    const Ran none = bench_shader(file, {"--rows", "8", "--sweep", "WORKGROUP=3,5"});
    EXPECT_EQ(none.status, 2);
    EXPECT_EQ(none.out, "");
    EXPECT_TRUE(none.err.starts_with("vkseek: number (--sweep WORKGROUP=3): ")) << none.err;
    EXPECT_EQ(std::count(none.err.begin(), none.err.end(), '\n'), 1) << none.err;
}

TEST(VulkanShader, TheDisassemblyFollows) {
    const TempDir dir;
    const Ran ran = bench_shader(edited(dir, "add.comp"), {"--disassemble"});
    EXPECT_EQ(ran.status, 0) << ran.err;
    const auto rows = nlohmann::json::parse(ran.out, nullptr, false);
    ASSERT_TRUE(rows.is_array()) << ran.out;
    for (const auto& row : rows)
        EXPECT_NE(row["programs"][0]["disassembly"].get<std::string>().find("OpEntryPoint GLCompute"),
                  std::string::npos);
    const Ran people = bench_shader(dir / "add.comp", {"--disassemble", "-o", "md"});
    EXPECT_NE(people.out.find("OpEntryPoint GLCompute"), std::string::npos);
    EXPECT_EQ(bench_shader(dir / "add.comp", {"--disassemble", "-o", "csv"}).status, 2);
}

// Of as many as there are.
TEST(VulkanShader, AllDevicesAreInOneDocument) {
    const TempDir dir;
    const auto list = nlohmann::json::parse(run_program({"devices", "--json"}).out);
    std::string names;
    size_t devices = 0;
    for (const auto& device : list)
        if (device["id"].get<std::string>().starts_with("vulkan") && device["usable"] == true) {
            names += (names.empty() ? "" : ",") + device["id"].get<std::string>();
            ++devices;
        }
    const auto rows = nlohmann::json::parse(
        bench_shader(edited(dir, "add.comp"), {"--backend", names, "--rows", "2"}).out, nullptr, false);
    ASSERT_TRUE(rows.is_array());
    std::set<std::string> seen;
    for (const auto& row : rows) seen.insert(row["backend"]);
    EXPECT_EQ(seen.size(), devices);
}

// Right, then saved with a mistake, then right again.
TEST(VulkanShader, WatchRepeatsOnSave) {
    const TempDir dir;
    const fs::path file = edited(dir, "add.comp");
    int seen = 0;
    RunOptions run;
    run.on_output = [&](pid_t pid, std::string_view out) {
        if (seen == 0 && out.find(" yes ") != std::string_view::npos) {
            seen = 1;
            edited(dir, "add.comp", kSum, "LOAD(A, a, first + i) - LOAD(B, b, first + i)");
        } else if (seen == 1 && out.find("WRONG") != std::string_view::npos) {
            seen = 2;
            edited(dir, "add.comp");
        } else if (seen == 2 && out.substr(out.rfind("WRONG")).find(" yes ") != std::string_view::npos) {
            seen = 3;
            kill(pid, SIGINT);
        }
    };
    const Ran ran = run_program({"bench", "shader", file, "--backend", "vulkan:0", "-r", "1", "--watch"}, run);
    EXPECT_EQ(ran.status, 0) << ran.err;
    EXPECT_EQ(seen, 3);
    EXPECT_NE(ran.err.find("wanted right results"), std::string::npos) << ran.err;
}

}  // namespace
}  // namespace vks::test
