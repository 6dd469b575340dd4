// mla_expanded/1 against a double softmax over keys and values that are formed in double: f32 rel 1e-5, bf16 1e-2.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "tests/ops/harness.h"

namespace vks::test {
namespace {

struct Inputs {
    Value q, q_pe, cache, w, w_scale, span;
    vks_mla_expanded_params p;
};

Value attend(Device& device, const Inputs& in, uint32_t o) {
    OpRun run("mla_expanded/1");
    run.params(in.p).in(in.q).in(in.q_pe).in(in.cache).constant(in.w).constant(in.w_scale).in(in.span);
    return run.out(o, {in.q.rows(), int64_t{in.p.heads} * in.p.v}).on(device).at(0);
}

std::vector<double> reference(const Inputs& in) {
    const int64_t heads = in.p.heads, nope = in.p.nope, rope = in.p.rope, v = in.p.v, lora = in.p.lora;
    const std::vector<double> cache = in.cache.doubles(), q = in.q.doubles(), q_pe = in.q_pe.doubles();
    std::vector<double> w = in.w.doubles();
    if (in.w_scale.dtype != VKS_NONE) {
        for (int64_t i = 0; i < in.w.count(); ++i) {
            w[static_cast<size_t>(i)] *= in.w_scale.at(i / lora / 128 * blocks(lora) + i % lora / 128);
        }
    }
    const auto dot = [](const double* a, const double* b, int64_t n) {
        double sum = 0;
        for (int64_t i = 0; i < n; ++i) sum += a[i] * b[i];
        return sum;
    };
    std::vector<double> o;
    for (int64_t t = 0; t < in.q.rows(); ++t) {
        for (int64_t h = 0; h < heads; ++h) {
            const int64_t first = in.span.integer(2 * t), count = in.span.integer(2 * t + 1);
            const double* w_head = w.data() + h * (nope + v) * lora;
            // The query through the keys' matrix: what every key would be multiplied with.
            std::vector<double> latent(static_cast<size_t>(lora)), scores;
            for (int64_t i = 0; i < nope * lora; ++i) {
                latent[static_cast<size_t>(i % lora)] +=
                    q[static_cast<size_t>((t * heads + h) * (nope + rope) + i / lora)] * w_head[i];
            }
            double maximum = -INFINITY, sum = 0;
            for (int64_t j = first; j < first + count; ++j) {
                const double* c = cache.data() + j * (lora + rope);
                const double score =
                    dot(latent.data(), c, lora) + dot(q_pe.data() + (t * heads + h) * rope, c + lora, rope);
                scores.push_back(score * in.p.scale);
                maximum = std::max(maximum, scores.back());
            }
            std::vector<double> mean(static_cast<size_t>(lora));
            for (double& score : scores) sum += score = std::exp(score - maximum);
            for (int64_t j = 0; j < count; ++j) {
                for (int64_t c = 0; c < lora; ++c) {
                    mean[static_cast<size_t>(c)] += scores[static_cast<size_t>(j)] / sum *
                                                    cache[static_cast<size_t>((first + j) * (lora + rope) + c)];
                }
            }
            for (int64_t i = 0; i < v; ++i) o.push_back(dot(w_head + (nope + i) * lora, mean.data(), lora));
        }
    }
    return o;
}

Inputs random_inputs(Random& random, uint32_t act, uint32_t weight, int64_t slots, const std::vector<int32_t>& spans,
                     const vks_mla_expanded_params& p) {
    const auto tokens = static_cast<int64_t>(spans.size() / 2);
    const int64_t rows = int64_t{p.heads} * (p.nope + p.v), lora = p.lora;
    Inputs in;
    in.q = random.value(act, {tokens, int64_t{p.heads} * (p.nope + p.rope)});
    in.q_pe = random.value(act, {tokens, int64_t{p.heads} * p.rope});
    in.cache = random.value(act, {slots, lora + p.rope});
    in.w = random.value(weight, {rows, lora}, weight == VKS_F8_E4M3 ? 50 : 1);
    if (weight == VKS_F8_E4M3) in.w_scale = random.positive({blocks(rows), blocks(lora)}, 0.005, 0.02);
    in.span = ints({tokens, 2}, spans);
    in.p = p;
    return in;
}

std::vector<int32_t> causal(int32_t first, int32_t tokens) {
    std::vector<int32_t> spans;
    for (int32_t t = 0; t < tokens; ++t) spans.insert(spans.end(), {0, first + t + 1});
    return spans;
}

void expect_right(const Inputs& in) {
    on_every_device([&](Device& device) {
        const bool half = in.q.dtype == VKS_BF16;
        expect_close("o", attend(device, in, in.q.dtype), reference(in), half ? 1e-2 : 1e-5);
    });
}

TEST(MlaExpanded, RaggedSpans) {
    Random random(301);
    // One row, edges of tiles, the full cache, spans that overlap or stand alone.
    const std::vector<int32_t> spans = {0, 1, 5, 63, 0, 64, 1, 65, 7, 127, 0, 128, 3, 129, 0, 300, 299, 1, 100, 200};
    for (const vks_mla_expanded_params& p : {vks_mla_expanded_params{1, 1, 2, 1, 1, 1.0f},
                                             {3, 12, 6, 9, 37, 0.15f},
                                             {5, 64, 16, 32, 128, 0.02f},
                                             {2, 128, 64, 128, 512, 0.005f}})
        for (const uint32_t act : {VKS_F32, VKS_BF16})
            for (const uint32_t weight : {VKS_F32, VKS_BF16, VKS_F16, VKS_F8_E4M3})
                expect_right(random_inputs(random, act, weight, 300, spans, p));
}

// Tokens of a prompt's first chunk, and of one that comes after others; more keys than are formed at a time.
TEST(MlaExpanded, PromptsAreCausal) {
    Random random(302);
    const vks_mla_expanded_params p = {2, 32, 16, 24, 64, 0.05f};
    for (const uint32_t act : {VKS_F32, VKS_BF16}) {
        expect_right(random_inputs(random, act, VKS_F8_E4M3, 150, causal(0, 150), p));
        expect_right(random_inputs(random, act, VKS_F8_E4M3, 1200, causal(1100, 70), p));
    }
}

// A span is cut to the cache, an empty one gives zeros.
TEST(MlaExpanded, SpanOutsideTheCache) {
    Random random(303);
    const vks_mla_expanded_params p = {2, 8, 4, 6, 24, 0.5f};
    const Inputs in = random_inputs(random, VKS_F32, VKS_BF16, 10, {0, 0, 4, 6, 9, 0, 3, 0}, p);
    Inputs outside = in;
    outside.span = ints({4, 2}, {INT32_MAX, INT32_MAX, 4, INT32_MAX, INT32_MIN, 3, 3, -2});
    on_every_device([&](Device& device) {
        const Value got = attend(device, outside, VKS_F32);
        expect_same_bits("o", got, attend(device, in, VKS_F32));
        for (int64_t t : {0, 2, 3}) expect_same_bits("o", slice(got, t, 1), zeros(VKS_F32, {1, 12}));
    });
}

// Rows that no token sees may hold anything.
TEST(MlaExpanded, RowsThatNobodySeesAreNotMet) {
    Random random(304);
    for (const uint32_t act : {VKS_F32, VKS_BF16}) {
        const Inputs in = random_inputs(random, act, VKS_BF16, 100, {10, 20, 12, 30, 30, 13}, {3, 16, 4, 8, 20, 0.3f});
        Inputs holes = in;
        const auto bytes = static_cast<size_t>(24 * abi::element_bytes(act));
        for (size_t row : {0u, 9u, 43u, 99u})
            std::fill_n(holes.cache.bytes.begin() + static_cast<std::ptrdiff_t>(row * bytes), bytes, std::byte{0xff});
        on_every_device(
            [&](Device& device) { expect_same_bits("o", attend(device, holes, act), attend(device, in, act)); });
    }
}

// Also where they lie between rows that are seen: a single one, many, and all that are met at a time.
TEST(MlaExpanded, RowsThatNobodySeesBetweenOthers) {
    Random random(307);
    struct Case {
        int64_t rows;
        std::vector<int32_t> spans;
        std::vector<std::pair<size_t, size_t>> holes;  // first, last
        vks_mla_expanded_params p;
    };
    const Case cases[] = {
        {3, {0, 1, 2, 1}, {{1, 2}}, {1, 1, 2, 1, 1, 1.0f}},
        {100, {60, 20, 10, 20, 12, 30, 90, 5}, {{0, 10}, {42, 60}, {80, 90}, {95, 100}}, {3, 16, 4, 8, 20, 0.3f}},
        {1700, {3, 100, 1600, 90, 50, 60}, {{0, 3}, {110, 1600}, {1690, 1700}}, {1, 16, 4, 8, 20, 0.3f}}};
    for (const Case& c : cases) {
        for (const uint32_t act : {VKS_F32, VKS_BF16}) {
            const Inputs in = random_inputs(random, act, VKS_BF16, c.rows, c.spans, c.p);
            Inputs holes = in;
            const size_t bytes = (c.p.lora + c.p.rope) * static_cast<size_t>(abi::element_bytes(act));
            for (const auto& [first, last] : c.holes)
                std::fill_n(holes.cache.bytes.data() + first * bytes, (last - first) * bytes, std::byte{0xff});
            on_every_device(
                [&](Device& device) { expect_same_bits("o", attend(device, holes, act), attend(device, in, act)); });
        }
    }
}

TEST(MlaExpanded, LargeScoresDoNotOverflow) {
    Random random(305);
    const Inputs in = random_inputs(random, VKS_F32, VKS_F32, 200, {0, 200, 10, 1, 50, 100}, {3, 16, 4, 8, 32, 20.0f});
    on_every_device([&](Device& device) { expect_close("f32", attend(device, in, VKS_F32), reference(in), 1e-4); });
}

// An item of work is a head, or some tokens of one where there are more threads than heads.
TEST(MlaExpanded, SameOnAnyNumberOfThreads) {
    Random random(306);
    const Inputs in = random_inputs(random, VKS_BF16, VKS_F8_E4M3, 200, causal(0, 200), {1, 32, 16, 24, 64, 0.05f});
    if (std::string(device("").plugin().name) != "cpu") return;
    const Value want = attend(device("threads=1"), in, VKS_BF16);
    for (const char* threads : {"threads=2", "threads=3", "threads=5"})
        expect_same_bits(threads, attend(device(threads), in, VKS_BF16), want);
}

}  // namespace
}  // namespace vks::test
