// The demo model through the program: the reference's continuations, loss and MTP agreement.
#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "tests/support/paths.h"
#include "tests/support/run_program.h"
#include "tests/support/temp_dir.h"

namespace vks::test {
namespace {

nlohmann::json expected() {
    return nlohmann::json::parse(read_bytes(test::data("demo_expected.json")), nullptr, false)["fp8"];
}

nlohmann::json output_of(const std::vector<std::string>& arguments) {
    const Ran ran = run_program(arguments);
    EXPECT_EQ(ran.status, 0) << ran.err;
    return nlohmann::json::parse(ran.out, nullptr, false);
}

TEST(Demo, GreedyContinuationsAreTheReferences) {
    const nlohmann::json goldens = expected()["greedy"];
    ASSERT_EQ(goldens.size(), 6U);
    for (const auto& golden : goldens) {
        SCOPED_TRACE(golden["prompt"]);
        const auto out = output_of({"generate", "-m", VKS_DEMO_MODEL, "--math", "f32", "--temp", "0", "-n", "64",
                                    "--json", "-p", golden["prompt"].get<std::string>()});
        ASSERT_TRUE(out.is_object());
        EXPECT_EQ(out["prompt_ids"], golden["prompt_ids"]);
        const auto ids = out["ids"].get<std::vector<int32_t>>(), wanted = golden["ids"].get<std::vector<int32_t>>();
        const auto margins = golden["margin"].get<std::vector<double>>();
        bool decided = true;  // no step so far was a toss-up
        for (size_t i = 0; i < wanted.size() && decided; ++i) {
            decided = margins[i] >= 1e-3;
            if (!decided) break;
            ASSERT_LT(i, ids.size());
            EXPECT_EQ(ids[i], wanted[i]) << i;
        }
        if (!decided) continue;
        EXPECT_EQ(ids.size(), wanted.size());
        EXPECT_EQ(out["text"], golden["text"]);
        EXPECT_EQ(out["finish_reason"], wanted.back() == 1 ? "stop" : "length");
    }
}

TEST(Demo, ValidationLossAndMtpAgreementAreTheReferences) {
    const auto golden = expected();
    // Chunks that don't divide the window, too.
    for (const char* chunk : {"512", "200"}) {
        const auto out = output_of({"perplexity", "-m", VKS_DEMO_MODEL, "-f", test::data("demo_val.txt"), "-c", "512",
                                    "--math", "f32", "--mtp", "--json", "--chunk", chunk});
        ASSERT_TRUE(out.is_object());
        EXPECT_EQ(out["tokens"], golden["val_tokens"]);
        EXPECT_NEAR(out["nll"].get<double>(), golden["val_nll"].get<double>(), 1e-4);
        EXPECT_NEAR(out["ppl"].get<double>(), std::exp(golden["val_nll"].get<double>()), 1e-2);
        EXPECT_EQ(out["mtp_positions"], golden["mtp_positions"]);
        EXPECT_NEAR(out["mtp_agreement"].get<double>(), golden["mtp_agreement"].get<double>(), 1e-3);
    }
}

TEST(Demo, HalfPrecisionLosesLittle) {
    const auto out = output_of({"perplexity", "-m", VKS_DEMO_MODEL, "-f", test::data("demo_val.txt"), "--json"});
    ASSERT_TRUE(out.is_object());
    EXPECT_NEAR(out["nll"].get<double>(), expected()["val_nll"].get<double>(), 5e-3);
}

// The whole validation text takes minutes under valgrind; a page of it, as long as anything goes wrong, is as good.
TEST(Perplexity, OfAPageIsTheSameInAnyChunks) {
    const TempDir dir;
    write_bytes(dir / "page", read_bytes(test::data("demo_val.txt")).substr(0, 240));
    const auto in_chunks = [&](const char* chunk) {
        return output_of({"perplexity", "-m", VKS_DEMO_MODEL, "-f", dir / "page", "-c", "32", "--math", "f32", "--mtp",
                          "--json", "--chunk", chunk});
    };
    const auto whole = in_chunks("32"), cut = in_chunks("7");
    ASSERT_TRUE(whole.is_object() && cut.is_object());
    EXPECT_GE(whole["tokens"], 32);
    EXPECT_GT(whole["nll"], 0.5);
    EXPECT_LT(whole["nll"], 6.0);  // of 4096 tokens chosen blindly: 8.3
    EXPECT_EQ(whole["nll"], cut["nll"]);
    EXPECT_EQ(whole["mtp_agreement"], cut["mtp_agreement"]);
}

}  // namespace
}  // namespace vks::test
