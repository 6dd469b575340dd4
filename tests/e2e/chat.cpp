// `vkseek chat` with lines from a pipe.
#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string>

#include "tests/support/paths.h"
#include "tests/support/run_program.h"

namespace vks::test {
namespace {

const std::string& model() {
    static const std::string path = test::data("nano-bf16/checkpoint");
    return path;
}

Ran chat(const std::string& input, const std::vector<std::string>& options = {}) {
    std::vector<std::string> arguments = {"chat", "-m", model(), "--math", "f32", "--temp", "0", "-n", "8"};
    arguments.insert(arguments.end(), options.begin(), options.end());
    RunOptions run;
    run.input = input;
    return run_program(arguments, run);
}

// What a run that has never seen the conversation says next.
std::string fresh_answer(const nlohmann::ordered_json& messages) {
    RunOptions run;
    run.input = nlohmann::ordered_json{{"messages", messages}, {"add_generation_prompt", true}}.dump();
    run.input = run_program({"render", "-m", model()}, run).out;
    std::string ids = run_program({"tokenize", "-m", model()}, run).out;
    ids = ids.substr(1, ids.size() - 3);
    const Ran ran =
        run_program({"generate", "-m", model(), "--math", "f32", "--temp", "0", "-n", "8", "--json", "--ids", ids});
    return nlohmann::json::parse(ran.out, nullptr, false)["text"];
}

TEST(Chat, AnswersAsAFreshRunWould) {
    const std::string first = fresh_answer({{{"role", "user"}, {"content", "Hello"}}});
    const std::string second = fresh_answer({{{"role", "user"}, {"content", "Hello"}},
                                             {{"role", "assistant"}, {"content", first}},
                                             {{"role", "user"}, {"content", "And now?"}}});
    const Ran ran = chat("Hello\nAnd now?\n/stats\n");
    EXPECT_EQ(ran.status, 0) << ran.err;
    EXPECT_EQ(ran.out, first + "\n" + second + "\n");
    // The second prompt was mostly there already.
    const size_t more = ran.err.find(" more");  // "prompt: 9 tokens in 0.01 s, ...; 12 more ..."
    ASSERT_NE(more, std::string::npos) << ran.err;
    const size_t number = ran.err.rfind("; ", more);
    ASSERT_NE(number, std::string::npos) << ran.err;
    EXPECT_GT(std::stoi(ran.err.substr(number + 2)), 2);
}

TEST(Chat, ResetForgetsAndUnknownCommandsAreSaid) {
    const Ran ran = chat("Hello\n/reset\nHello\n\n/frontend vulkan\n/help\n/quit\nnever said\n");
    EXPECT_EQ(ran.status, 0) << ran.err;
    const size_t half = ran.out.size() / 2;
    EXPECT_EQ(ran.out.substr(0, half), ran.out.substr(half));
    EXPECT_NE(ran.err.find("unknown command \"/frontend vulkan\""), std::string::npos) << ran.err;
    EXPECT_NE(ran.err.find("/reset"), std::string::npos) << ran.err;
}

TEST(Chat, ALineThatIsNoUtf8IsSaidAndSurvived) {
    const Ran ran = chat("Hello\n\xff\xfe\nAnd now?\n");
    EXPECT_EQ(ran.status, 0) << ran.err;
    EXPECT_EQ(ran.err, "line (stdin): wanted UTF-8, found byte 0xff at offset 0\n");
    EXPECT_EQ(ran.out, chat("Hello\nAnd now?\n").out);
    const Ran system = chat("Hello\n", {"--system", "be \xff"});
    EXPECT_EQ(system.status, 3);
    EXPECT_EQ(system.err, "vkseek: system message (--system): wanted UTF-8, found byte 0xff at offset 3\n");
}

TEST(Chat, SystemMessageComesFirst) {
    const std::string answer =
        fresh_answer({{{"role", "system"}, {"content", "Be brief."}}, {{"role", "user"}, {"content", "Hello"}}});
    EXPECT_EQ(chat("Hello\n/quit\n", {"--system", "Be brief."}).out, answer + "\n");
}

TEST(Chat, AFullContextIsSaidAndSurvived) {
    const Ran ran = chat("Hello\n" + std::string(400, 'x') + " y z\n/reset\nHello\n", {"-c", "40"});
    EXPECT_EQ(ran.status, 0) << ran.err;
    EXPECT_NE(ran.err.find("try /reset"), std::string::npos) << ran.err;
    const size_t half = ran.out.size() / 2;
    EXPECT_EQ(ran.out.substr(0, half), ran.out.substr(half));
}

TEST(Chat, WithoutTemplateGenerateIsRecommended) {
    const Ran ran = run_program({"chat", "-m", VKS_DEMO_MODEL});
    EXPECT_EQ(ran.status, 3);
    EXPECT_EQ(std::count(ran.err.begin(), ran.err.end(), '\n'), 1) << ran.err;
    EXPECT_NE(ran.err.find("vkseek generate"), std::string::npos) << ran.err;
}

}  // namespace
}  // namespace vks::test
