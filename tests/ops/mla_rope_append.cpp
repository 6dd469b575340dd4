// mla_rope_append/1 against the golden rotations (abs 1e-6 + 5e-8 * position) and a double reference.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "tests/ops/harness.h"

namespace vks::test {
namespace {

uint32_t u(int64_t n) {
    return static_cast<uint32_t>(n);
}

struct Inputs {
    Value q, kv, w, table, slot, cache;
    vks_mla_rope_append_params p;
};

std::vector<Value> append(Device& device, const Inputs& in, uint32_t q_pe = VKS_F32) {
    return OpRun("mla_rope_append/1")
        .params(in.p)
        .in(in.q)
        .in(in.kv)
        .constant(in.w)
        .in(in.table)
        .in(in.slot)
        .inout(in.cache)
        .out(q_pe, {in.q.rows(), in.p.heads * in.p.rope})
        .on(device);
}

Value interleave(const Value& cosine, const Value& sine) {
    Value table = zeros(VKS_F32, {cosine.rows(), 2 * cosine.columns()});
    for (int64_t i = 0; i < cosine.count(); ++i) {
        table.set(2 * i, cosine.at(i));
        table.set(2 * i + 1, sine.at(i));
    }
    return table;
}

TEST(MlaRopeAppend, GoldenRotation) {
    const Golden golden("ops/rope_yarn.safetensors");
    const Value positions = golden["positions"];
    on_every_device([&](Device& device) {
        for (int i = 0; golden.has(fmt::format("c{}.x", i)); ++i) {
            const std::string c = fmt::format("c{}.", i);
            const Value x = golden[c + "x"], want = golden[c + "y"];
            const int64_t tokens = x.rows(), rope = x.columns(), lora = 3, nope = 5;
            Inputs in{concat_columns(zeros(VKS_F32, {tokens, nope}), x),
                      concat_columns(zeros(VKS_F32, {tokens, lora}), x),
                      make(VKS_F32, {lora}, {1, 1, 1}),
                      interleave(golden[c + "cos"], golden[c + "sin"]),
                      zeros(VKS_I32, {tokens}),
                      zeros(VKS_F32, {tokens, lora + rope}),
                      {1, u(nope), u(rope), u(lora), 1e-6f}};
            for (int64_t t = 0; t < tokens; ++t) in.slot.set(t, static_cast<double>(tokens - 1 - t));
            const auto got = append(device, in);
            double worst = 0;  // in units of what is allowed
            for (int64_t t = 0; t < tokens; ++t) {
                const double allowed = 1e-6 + 5e-8 * positions.at(t);
                for (int64_t j = 0; j < rope; ++j) {
                    const double k = got.at(0).at(tokens - 1 - t, lora + j), q = got.at(1).at(t, j);
                    worst = std::max(
                        {worst, std::fabs(k - want.at(t, j)) / allowed, std::fabs(q - want.at(t, j)) / allowed});
                }
            }
            record("rope, share of the tolerance, " + c, worst);
            EXPECT_LE(worst, 1) << c;
        }
    });
}

struct Reference {
    std::vector<double> cache, q_pe;
};

Reference reference(const Inputs& in) {
    const int64_t lora = in.p.lora, rope = in.p.rope, head = in.p.nope + in.p.rope;
    Reference r{in.cache.doubles(), {}};
    const auto rotated = [&](int64_t t, const Value& from, int64_t column, int64_t j) {
        const double a = from.at(t, column + j / 2 * 2), b = from.at(t, column + j / 2 * 2 + 1);
        const double cosine = in.table.at(t, j / 2 * 2), sine = in.table.at(t, j / 2 * 2 + 1);
        return j % 2 == 0 ? a * cosine - b * sine : a * sine + b * cosine;
    };
    for (int64_t t = 0; t < in.q.rows(); ++t) {
        for (int64_t h = 0; h < in.p.heads; ++h) {
            for (int64_t j = 0; j < rope; ++j) r.q_pe.push_back(rotated(t, in.q, h * head + in.p.nope, j));
        }
        const int64_t slot = in.slot.integer(t);
        if (slot < 0 || slot >= in.cache.rows()) continue;
        double squares = 0;
        for (int64_t c = 0; c < lora; ++c) squares += in.kv.at(t, c) * in.kv.at(t, c);
        const double rms = std::sqrt(squares / static_cast<double>(lora) + in.p.eps);
        double* entry = r.cache.data() + slot * (lora + rope);
        for (int64_t c = 0; c < lora; ++c) entry[c] = in.kv.at(t, c) / rms * in.w.at(c);
        for (int64_t j = 0; j < rope; ++j) entry[lora + j] = rotated(t, in.kv, lora, j);
    }
    return r;
}

Inputs random_inputs(Random& random, uint32_t act, int64_t tokens, int64_t slots, vks_mla_rope_append_params p) {
    Inputs in{random.value(act, {tokens, p.heads * (p.nope + p.rope)}),
              random.value(act, {tokens, p.lora + p.rope}),
              random.value(VKS_BF16, {p.lora}),
              zeros(VKS_F32, {tokens, p.rope}),
              zeros(VKS_I32, {tokens}),
              random.value(act, {slots, p.lora + p.rope}),
              p};
    for (int64_t i = 0; i < in.table.count(); i += 2) {
        const double angle = 100 * random.uniform();
        in.table.set(i, std::cos(angle));
        in.table.set(i + 1, std::sin(angle));
    }
    for (int64_t t = 0; t < tokens; ++t) in.slot.set(t, static_cast<double>((t * 5 + 2) % slots));
    return in;
}

TEST(MlaRopeAppend, SizesTypesAndSlots) {
    Random random(71);
    on_every_device([&](Device& device) {
        for (const vks_mla_rope_append_params& p :
             {vks_mla_rope_append_params{1, 0, 2, 1, 1e-6f}, {3, 17, 6, 37, 1e-6f}, {4, 128, 64, 512, 1e-6f}}) {
            for (uint32_t act : {VKS_F32, VKS_BF16}) {
                Inputs in = random_inputs(random, act, 7, 11, p);
                in.slot.set(3, -1);
                in.slot.set(5, 11);
                const Reference want = reference(in);
                const auto got = append(device, in, act);
                const double tolerance = act == VKS_F32 ? 1e-6 : 4e-3;
                expect_close("cache", got.at(0), want.cache, tolerance);
                expect_close("q_pe", got.at(1), want.q_pe, tolerance);
                for (int64_t row = 0; row < 11; ++row) {  // rows nobody named stay as they were
                    bool named = false;
                    for (int64_t t = 0; t < 7; ++t) named |= in.slot.integer(t) == row;
                    if (!named) expect_same_bits("cache row", slice(got.at(0), row, 1), slice(in.cache, row, 1));
                }
            }
        }
    });
}

TEST(MlaRopeAppend, FullCacheInOneStep) {
    Random random(72);
    const Inputs in = random_inputs(random, VKS_F32, 16, 16, {2, 8, 4, 20, 1e-6f});
    on_every_device(
        [&](Device& device) { expect_close("cache", append(device, in).at(0), reference(in).cache, 1e-6); });
}

TEST(MlaRopeAppend, LargeCache) {
    Random random(73);
    Inputs in = random_inputs(random, VKS_F32, 33, 301, {16, 128, 64, 512, 1e-6f});
    for (int64_t t = 0; t < 33; ++t) in.slot.set(t, static_cast<double>(t * 9 + 12));
    on_every_device([&](Device& device) {
        const Reference want = reference(in);
        const auto got = append(device, in);
        expect_close("cache", got.at(0), want.cache, 1e-6);
        expect_close("q_pe", got.at(1), want.q_pe, 1e-6);
    });
}

}  // namespace
}  // namespace vks::test
