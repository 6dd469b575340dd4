// The laws by which models' times grow.
#include "frontend/bench/growth.h"

#include <gtest/gtest.h>

#include "frontend/bench/report.h"

namespace vks::bench {
namespace {

using Json = nlohmann::ordered_json;

Json generation(double ms, int64_t depth, int64_t threads = 2, int64_t experts = 64) {
    return {{"model_type", "m " + std::to_string(experts)},
            {"backends", "cpu"},
            {"type_k", "bf16"},
            {"n_threads", threads},
            {"n_prompt", 0},
            {"n_gen", 2},
            {"n_depth", depth},
            {"mtp", 0},
            {"avg_ts", 1e3 / ms},
            {"n_layer", 8},
            {"n_expert", experts},
            {"step_bytes", 1e6 + 1e3 * double(depth + 1)},
            {"step_flops", 1e9}};
}

Json prompt(double ms, int64_t tokens) {
    Json row = generation(1, 0);
    row["n_prompt"] = tokens;
    row["n_gen"] = 0;
    row["avg_ts"] = 1e3 * double(tokens) / ms;
    row["step_flops"] = 1e6 * double(tokens) * (1 + double(tokens) / 1024);
    return row;
}

TEST(Growth, LawsAreFoundAgain) {
    const Law line = *fit(Axis::kContext, {{10, 5.1}, {1000, 15}, {30000, 305}});
    EXPECT_NEAR(line.by[0], 5, 1e-9);
    EXPECT_NEAR(line.by[1], 0.01, 1e-12);
    const Law square = *fit(Axis::kPrompt, {{64, 64 + 4.096}, {512, 512 + 262.144}, {4096, 4096 + 16777.216}});
    EXPECT_NEAR(square.by[0], 0, 1e-6);
    EXPECT_NEAR(square.by[1], 1, 1e-8);
    EXPECT_NEAR(square.by[2], 1e-3, 1e-10);
    const Law shared = *fit(Axis::kThreads, {{1, 11}, {2, 6}, {5, 3}});
    EXPECT_NEAR(shared.by[0], 1, 1e-9);
    EXPECT_NEAR(shared.by[1], 10, 1e-9);
    EXPECT_NEAR(shared.at(Axis::kThreads, 10), 2, 1e-9);
}

TEST(Growth, PointsThatDetermineNoLaw) {
    EXPECT_FALSE(fit(Axis::kContext, {}));
    EXPECT_FALSE(fit(Axis::kContext, {{10, 5}, {10, 6}}));
    EXPECT_FALSE(fit(Axis::kPrompt, {{10, 5}, {20, 6}}));
    EXPECT_TRUE(find_growths({generation(5, 0), generation(6, 100), generation(7, 200)}).empty());
}

TEST(Growth, ByContextBesideWhatBytesImply) {
    std::vector<Json> rows;
    for (const int64_t depth : {4000, 0, 1000, 2000, 3000})
        rows.push_back(generation(2 + 0.001 * double(depth), depth));
    rows.push_back(prompt(9, 512));
    Json drafted = generation(1, 5000);
    drafted["mtp"] = 1;
    rows.push_back(drafted);
    const auto growths = find_growths(rows);
    ASSERT_EQ(growths.size(), 1u);
    const Growth& growth = growths.front();
    EXPECT_EQ(growth.axis, Axis::kContext);
    ASSERT_EQ(growth.points.size(), 5u);
    EXPECT_EQ(growth.points.front().x, 1);
    EXPECT_NEAR(growth.fitted.by[1], 0.001, 1e-9);
    EXPECT_LT(growth.worst, 1e-9);
    ASSERT_TRUE(growth.expected);
    EXPECT_NEAR(growth.expected->by[1], 2 * 1e3 / (1e6 + 1e3), 1e-9);  // the first result, by bytes of a row over all
    EXPECT_EQ(law_text(growth.axis, growth.fitted), "2 ms + 1 µs × context");
}

TEST(Growth, OtherThingsThatVaryAreOtherSets) {
    std::vector<Json> rows;
    for (const int64_t n : {1, 2, 4, 8}) {
        rows.push_back(generation(8 / double(n), 0, n));
        rows.push_back(generation(3, 64, 2, 8 * n));
        rows.push_back(prompt(double(n), 2 * n));
        rows.push_back(prompt(double(n * n), 64 * n));
        rows.push_back(generation(4, n, 3, 8 * n));  // two things at once are no growth
    }
    const auto growths = find_growths(rows);
    ASSERT_EQ(growths.size(), 4u);
    EXPECT_EQ(growths[0].axis, Axis::kPrompt);
    EXPECT_NEAR(growths[0].fitted.by[2], 1.0 / 4096, 1e-9);
    EXPECT_EQ(growths[1].axis, Axis::kRows);
    EXPECT_NEAR(growths[1].fitted.by[1], 0.5, 1e-9);
    EXPECT_EQ(growths[2].axis, Axis::kExperts);
    EXPECT_NEAR(growths[2].fitted.by[1], 0, 1e-9);
    EXPECT_EQ(growths[3].axis, Axis::kThreads);
    EXPECT_NEAR(growths[3].expected->by[1], 8, 1e-9);
}

TEST(Growth, APlotOnThePage) {
    std::vector<Json> rows;
    for (const int64_t depth : {0, 10, 100, 1000}) rows.push_back(generation(7, depth));
    const std::string page = report_page(rows, {}, "growth");
    for (const char* wanted : {"Time by context", "rows in the latent cache", "class=\"roof expected\"", "<polyline"})
        EXPECT_NE(page.find(wanted), std::string::npos) << wanted;
    for (const char* unwanted : {"nan", "inf,"}) EXPECT_EQ(page.find(unwanted), std::string::npos) << unwanted;
}

}  // namespace
}  // namespace vks::bench
