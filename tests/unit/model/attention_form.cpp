// What either form of attention costs, counted by hand.
#include "frontend/model/attention_form.h"

#include <gtest/gtest.h>

namespace vks {
namespace {

ModelConfig sizes(int64_t heads, int64_t nope, int64_t rope, int64_t v, int64_t lora) {
    ModelConfig c;
    c.num_attention_heads = heads;
    c.qk_nope_head_dim = nope;
    c.qk_rope_head_dim = rope;
    c.v_head_dim = v;
    c.kv_lora_rank = lora;
    return c;
}

TEST(AttentionForm, IsCountedInProducts) {
    // 3 tokens after 4: 7 rows, 5 + 6 + 7 pairs.
    const AttentionWork work = attention_work(sizes(2, 3, 5, 7, 11), 4, 3);
    EXPECT_EQ(work.absorbed, 2 * 2 * (3 * 11 * (3 + 7) + 18 * (11 + 5 + 11)));
    EXPECT_EQ(work.expanded, 2 * 2 * (7 * 11 * (3 + 7) + 18 * (3 + 5 + 7)));
}

TEST(AttentionForm, ExpandedPaysForManyTokensAlone) {
    const ModelConfig v3 = sizes(128, 128, 64, 128, 512);
    const auto expanded = [&](int64_t first, int64_t tokens) {
        const AttentionWork work = attention_work(v3, first, tokens);
        return work.expanded < work.absorbed;
    };
    EXPECT_TRUE(expanded(0, 512));
    EXPECT_TRUE(expanded(8192, 512));
    EXPECT_FALSE(expanded(8192, 1));
    EXPECT_FALSE(expanded(8192, 128));
    EXPECT_TRUE(expanded(8192, 192));
}

TEST(AttentionForm, RuleSaysWhen) {
    EXPECT_EQ(
        attention_rule(sizes(128, 128, 64, 128, 512)),
        "attention expanded: steps of a prompt where 131072 (rows - tokens) < 768 pairs of a token and a row it sees");
}

}  // namespace
}  // namespace vks
