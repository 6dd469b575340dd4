// mla_attention/1 against a double softmax: f32 rel 1e-5 (1e-4 with scores in the hundreds), bf16 1e-2.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "tests/ops/harness.h"

namespace vks::test {
namespace {

struct Inputs {
    Value q_lat, q_pe, cache, span;
    vks_mla_attention_params p;
};

Value attend(Device& device, const Inputs& in, uint32_t o = VKS_F32) {
    OpRun run("mla_attention/1");
    run.params(in.p).in(in.q_lat).in(in.q_pe).in(in.cache).in(in.span).out(o, in.q_lat.dim);
    return run.on(device).at(0);
}

std::vector<double> reference(const Inputs& in) {
    const int64_t lora = in.p.lora, rope = in.p.rope, heads = in.p.heads;
    const std::vector<double> cache = in.cache.doubles();
    const auto entry = [&](int64_t j) { return cache.data() + j * (lora + rope); };
    std::vector<double> o(static_cast<size_t>(in.q_lat.count()));
    for (int64_t i = 0; i < in.q_lat.rows() * heads; ++i) {
        const int64_t t = i / heads, first = in.span.integer(2 * t), count = in.span.integer(2 * t + 1);
        std::vector<double> s;
        double maximum = -INFINITY, sum = 0;
        for (int64_t j = first; j < first + count; ++j) {
            double score = 0;
            for (int64_t c = 0; c < lora; ++c) score += in.q_lat.at(i * lora + c) * entry(j)[c];
            for (int64_t c = 0; c < rope; ++c) score += in.q_pe.at(i * rope + c) * entry(j)[lora + c];
            s.push_back(score * in.p.scale);
            maximum = std::max(maximum, s.back());
        }
        for (double& score : s) sum += score = std::exp(score - maximum);
        for (int64_t j = 0; j < count; ++j) {
            for (int64_t c = 0; c < lora; ++c) {
                o[static_cast<size_t>(i * lora + c)] += s[static_cast<size_t>(j)] / sum * entry(first + j)[c];
            }
        }
    }
    return o;
}

Inputs random_inputs(Random& random, uint32_t act, int64_t slots, const std::vector<int32_t>& spans,
                     vks_mla_attention_params p, double scale = 1) {
    const auto tokens = static_cast<int64_t>(spans.size() / 2);
    return {random.value(act, {tokens, p.heads * p.lora}, scale), random.value(act, {tokens, p.heads * p.rope}, scale),
            random.value(act, {slots, p.lora + p.rope}), ints({tokens, 2}, spans), p};
}

TEST(MlaAttention, RaggedSpans) {
    Random random(81);
    // One row, tile edges, the full cache, spans that overlap or stand alone.
    const std::vector<int32_t> spans = {0, 1, 5, 63, 0, 64, 1, 65, 7, 127, 0, 128, 3, 129, 0, 300, 299, 1, 100, 200};
    on_every_device([&](Device& device) {
        for (const vks_mla_attention_params& p :
             {vks_mla_attention_params{1, 1, 2, 1.0f}, {3, 37, 6, 0.15f}, {5, 128, 16, 0.1f}, {2, 512, 64, 0.07f}}) {
            const Inputs in = random_inputs(random, VKS_F32, 300, spans, p);
            const Value got = attend(device, in);
            expect_rows_close("f32", got, reference(in), p.lora, 1e-5);
            const Inputs half = random_inputs(random, VKS_BF16, 300, spans, p);
            expect_rows_close("bf16", attend(device, half, VKS_BF16), reference(half), p.lora, 1e-2);
        }
    });
}

TEST(MlaAttention, TheRealSizes) {
    Random random(80);
    const Inputs in = random_inputs(random, VKS_F32, 150, {0, 149, 0, 150}, {128, 512, 64, 0.1f});
    const Inputs half = random_inputs(random, VKS_BF16, 150, {0, 149, 0, 150}, {128, 512, 64, 0.1f});
    on_every_device([&](Device& device) {
        expect_close("f32", attend(device, in), reference(in), 1e-5);
        expect_close("bf16", attend(device, half, VKS_BF16), reference(half), 1e-2);
    });
}

TEST(MlaAttention, PrefillIsCausal) {
    Random random(82);
    std::vector<int32_t> spans;
    for (int32_t t = 0; t < 70; ++t) spans.insert(spans.end(), {0, t + 1});
    const Inputs in = random_inputs(random, VKS_F32, 70, spans, {4, 20, 8, 0.38f});
    on_every_device([&](Device& device) { expect_close("f32", attend(device, in), reference(in), 1e-5); });
}

TEST(MlaAttention, LargeScoresDoNotOverflow) {
    Random random(83);
    for (double scale : {30.0, 1000.0}) {
        const Inputs in = random_inputs(random, VKS_F32, 200, {0, 200, 10, 1, 50, 100}, {3, 32, 16, 0.2f}, scale);
        on_every_device([&](Device& device) { expect_close("f32", attend(device, in), reference(in), 1e-4); });
    }
}

TEST(MlaAttention, OneRowIsThatRow) {
    Random random(84);
    const Inputs in = random_inputs(random, VKS_F32, 9, {8, 1}, {2, 24, 4, 0.5f});
    on_every_device([&](Device& device) {
        const Value got = attend(device, in);
        for (int64_t c = 0; c < 48; ++c) EXPECT_EQ(got.at(c), in.cache.at(8, c % 24));
    });
}

// A span is cut to the cache, an empty one gives zeros.
TEST(MlaAttention, SpanOutsideTheCache) {
    Random random(85);
    const Inputs in = random_inputs(random, VKS_F32, 10, {0, 0, 4, 6, 9, 0, 3, 0}, {2, 24, 4, 0.5f});
    Inputs outside = in;
    outside.span = ints({4, 2}, {INT32_MAX, INT32_MAX, 4, INT32_MAX, INT32_MIN, 3, 3, -2});
    Inputs before = in;
    before.span = ints({4, 2}, {-3, 3, -6, 16, INT32_MIN, INT32_MAX, INT32_MAX, 1});
    Inputs whole = in;
    whole.span = ints({4, 2}, {0, 0, 0, 10, 0, 0, 0, 0});
    on_every_device([&](Device& device) {
        const Value got = attend(device, outside);
        expect_same_bits("o", got, attend(device, in));
        for (int64_t t : {0, 2, 3}) expect_same_bits("o", slice(got, t, 1), zeros(VKS_F32, {1, 48}));
        expect_same_bits("o", attend(device, before), attend(device, whole));
    });
}

// What a cache holds where nobody looks, or only a neighbour does, must not matter: it may be NaN.
TEST(MlaAttention, RowsOutsideTheSpanAreNotMet) {
    Random random(86);
    const auto check = [&](uint32_t act, const vks_mla_attention_params& p) {
        const Inputs in = random_inputs(random, act, 100, {0, 20, 20, 3, 60, 33, 90, 10}, p);
        Inputs holes = in;
        const auto bytes = static_cast<size_t>((p.lora + p.rope) * abi::element_bytes(act));  // of a cache row
        const int64_t width = p.heads * p.lora;
        for (size_t row : {23u, 59u, 93u, 99u})
            std::fill_n(holes.cache.bytes.begin() + static_cast<std::ptrdiff_t>(row * bytes), bytes, std::byte{0xff});
        on_every_device([&](Device& device) {
            const Value got = attend(device, holes), wanted = attend(device, in);
            expect_same_bits("o", slice(got, 0, 3), slice(wanted, 0, 3));
            for (int64_t i = 0; i < width; ++i) EXPECT_TRUE(std::isnan(got.at(3 * width + i)));
        });
    };
    check(VKS_F32, {3, 20, 4, 0.3f});
    check(VKS_BF16, {3, 20, 4, 0.3f});
    check(VKS_BF16, {9, 48, 16, 0.3f});
}

// Of bf16, sizes as devices with matrices like them: heads, columns and spans on both sides of a tile's edge, empty
// spans among them; and elements beyond f16's range, in some cache rows alone.
TEST(MlaAttention, TilesOfBf16) {
    Random random(91);
    std::vector<int32_t> spans;
    for (int32_t t = 0; t < 12; ++t) spans.insert(spans.end(), {3 * t, 9 * t % 35});
    for (const vks_mla_attention_params& p :
         {vks_mla_attention_params{16, 32, 0, 0.3f}, {17, 64, 16, 0.2f}, {33, 144, 32, 0.1f}}) {
        SCOPED_TRACE(p.heads);
        const Inputs in = random_inputs(random, VKS_BF16, 80, spans, p);
        Inputs large = in;
        std::vector<double> cache = in.cache.doubles(), q = in.q_lat.doubles();
        const int64_t width = p.lora + p.rope;
        for (size_t i = 0; i < cache.size(); ++i) cache[i] *= static_cast<int64_t>(i) / width % 3 == 0 ? 1e7 : 2e4;
        for (double& x : q) x *= 1e8;
        large.cache = make(VKS_BF16, in.cache.dim, cache);
        large.q_lat = make(VKS_BF16, in.q_lat.dim, q);
        large.p.scale = p.scale * 1e-15f;
        on_every_device([&](Device& device) {
            expect_close("bf16", attend(device, in, VKS_BF16), reference(in), 1e-2);
            expect_close("large", attend(device, large, VKS_BF16), reference(large), 1e-2);
        });
    }
}

// A score that is not a number leaves none in the row: the NaN may be where no value comes from.
TEST(MlaAttention, NotANumber) {
    Random random(90);
    const auto check = [&](uint32_t act, const vks_mla_attention_params& p) {
        const Inputs in = random_inputs(random, act, 40, {0, 10, 10, 20, 30, 9}, p);
        Inputs holed = in;
        const auto spoil = [&](Value& value, int64_t element) {
            const int64_t bytes = abi::element_bytes(act);
            std::fill_n(value.bytes.begin() + element * bytes, bytes, std::byte{0xff});
        };
        spoil(holed.cache, 12 * int64_t{p.lora + p.rope} + p.lora + 1);  // token 1 sees it, in the position's part
        spoil(holed.q_pe, (2 * int64_t{p.heads} + 1) * p.rope);          // token 2, head 1
        on_every_device([&](Device& device) {
            const Value got = attend(device, holed), wanted = attend(device, in);
            for (int64_t i = 0; i < got.count(); ++i) {
                const int64_t row = i / p.lora;
                if (row / p.heads == 1 || row == 2 * p.heads + 1) {
                    EXPECT_TRUE(std::isnan(got.at(i))) << i;
                } else {
                    EXPECT_EQ(got.at(i), wanted.at(i)) << i;
                }
            }
        });
    };
    check(VKS_F32, {2, 20, 4, 0.3f});
    check(VKS_BF16, {10, 32, 16, 0.3f});
    check(VKS_BF16, {5, 32, 16, 0.3f});
}

// Long spans of few tokens: devices split them. Around the sizes of pieces and of what is split into them.
TEST(MlaAttention, LongSpansOfFewTokens) {
    Random random(87);
    on_every_device([&](Device& device) {
        for (const std::vector<int32_t>& spans : {std::vector<int32_t>{0, 3000},
                                                  {17, 2049, 2999, 1},
                                                  {5, 2047, 5, 2048, 5, 2049, 100, 64, 0, 65},
                                                  {9, 513, 9, 577, 9, 640}}) {
            const Inputs in = random_inputs(random, VKS_F32, 3000, spans, {6, 33, 7, 0.2f});
            expect_rows_close("f32", attend(device, in), reference(in), 33, 1e-5);
            const Inputs half = random_inputs(random, VKS_BF16, 3000, spans, {6, 36, 8, 0.2f});
            expect_rows_close("bf16", attend(device, half, VKS_BF16), reference(half), 36, 1e-2);
        }
    });
}

// Sequences far apart in one cache, tokens of them in turn, as many heads as no workgroup has.
TEST(MlaAttention, ManySequences) {
    Random random(88);
    std::vector<int32_t> spans;
    for (int32_t t = 0; t < 33; ++t) spans.insert(spans.end(), {t % 5 * 200, 1 + t * 5});
    const Inputs in = random_inputs(random, VKS_F32, 1000, spans, {17, 12, 4, 0.3f});
    on_every_device([&](Device& device) { expect_close("f32", attend(device, in), reference(in), 1e-5); });
}

// A cache and a step larger than what a device binds at once: only a limit set on purpose makes that a quick test.
TEST(MlaAttention, LargerThanABinding) {
    Random random(89);
    std::vector<int32_t> spans;
    for (int32_t t = 0; t < 70; ++t) spans.insert(spans.end(), {t * 30, 3 + t * 9});
    const Inputs in = random_inputs(random, VKS_F32, 2800, spans, {8, 40, 8, 0.2f});
    on_every_device([&](Device& any) {
        if (std::string(any.plugin().name) != "vulkan") return;
        Device& limited = device(any.label() + ";binding=65536");
        expect_close("f32", attend(limited, in), reference(in), 1e-5);
    });
}

}  // namespace
}  // namespace vks::test
