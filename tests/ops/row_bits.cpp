// The CPU plugin's promise, vks.row_bits/1: the bits of a token's row don't depend on how many tokens share the launch,
// on which, or on the number of threads; in matrix products of bf16 activations, up to as many as it says. Every
// operator runs on 64 tokens at once, or on that many, then on 7 and 1 at a time.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "backend/abi/draft/row_bits.h"
#include "tests/ops/harness.h"

namespace vks::test {
namespace {

constexpr int64_t kTokens = 64;
constexpr uint32_t kTypes[] = {VKS_F32, VKS_BF16};  // of activations
using Outputs = std::vector<Value>;
// Outputs of tokens [first, first + count); row-wise, so that they can be put together.
using Step = std::function<Outputs(Device&, int64_t first, int64_t count)>;

Outputs run_in_steps(Device& device, const Step& step, int64_t size) {
    std::vector<Outputs> parts;
    for (int64_t first = 0; first < kTokens; first += size) {
        parts.push_back(step(device, first, std::min(size, kTokens - first)));
    }
    Outputs whole;
    for (size_t i = 0; i < parts[0].size(); ++i) {
        std::vector<Value> pieces;
        for (const Outputs& part : parts) pieces.push_back(part.at(i));
        whole.push_back(concat_rows(pieces));
    }
    return whole;
}

void expect_row_bits(const Step& step, bool limited = false) {
    for (const std::string variant : {"plain", "auto"}) {
        Device& single = device("threads=1;variant=" + variant);
        if (std::string(single.plugin().name) != "cpu") GTEST_SKIP() << "a promise of the CPU plugin";
        const auto* promise = static_cast<const vks_row_bits*>(single.plugin().extension(VKS_ROW_BITS_ID));
        ASSERT_NE(promise, nullptr);
        ASSERT_GE(promise->rows(), 17u);  // an id and the most drafts that can be asked for
        const int64_t most = limited ? std::min(kTokens, static_cast<int64_t>(promise->rows())) : kTokens;
        const Outputs want = run_in_steps(single, step, most);
        for (const std::string threads : {"1", "2", "3"}) {
            Device& chosen = device("threads=" + threads + ";variant=" + variant);
            SCOPED_TRACE(chosen.label());
            for (int64_t size : {most, int64_t{7}, int64_t{1}}) {
                const Outputs got = run_in_steps(chosen, step, size);
                for (size_t i = 0; i < want.size(); ++i) {
                    expect_same_bits(std::to_string(size) + " at a time, output " + std::to_string(i), got.at(i),
                                     want[i]);
                }
            }
        }
    }
}

// x with e4m3 rows and their scales.
struct Quantised {
    Value q, scale;
};
Quantised quantised(Random& random, int64_t columns) {
    return {random.value(VKS_F8_E4M3, {kTokens, columns}, 50),
            random.positive({kTokens, blocks(columns)}, 0.001, 0.01)};
}

TEST(RowBits, NormsAndElementwise) {
    Random random(201);
    const int64_t n = 333;
    const Value w = random.value(VKS_BF16, {n}), v = random.value(VKS_F32, {n});
    const vks_norm_params p{1e-6f};
    const Value z = random.value(VKS_F32, {kTokens, n});
    for (const uint32_t type : kTypes) {
        const Value x = random.value(type, {kTokens, n}), y = random.value(type, {kTokens, n});
        expect_row_bits([&](Device& device, int64_t first, int64_t count) {
            const Value a = slice(x, first, count), b = slice(y, first, count), c = slice(z, first, count);
            Outputs all = OpRun("rms_norm/1").params(p).in(a).constant(w).out(type, a.dim).on(device);
            OpRun sum("add_rms_norm/1"), merge("mtp_merge/1"), quant("act_quant/1"), swiglu("swiglu_quant/1");
            sum.params(p).in(c).in(b).constant(w).out(VKS_F32, a.dim).out(type, a.dim);
            merge.params(p).in(a).in(b).constant(w).constant(v).out(type, {count, 2 * n});
            quant.params(vks_act_quant_params{0}).in(a).out(VKS_F8_E4M3, a.dim).out(VKS_F32, {count, blocks(n)});
            swiglu.in(a).in(b).out(VKS_F8_E4M3, a.dim).out(VKS_F32, {count, blocks(n)});
            for (const OpRun& run : {sum, merge, quant, swiglu}) {
                for (Value& value : run.on(device)) all.push_back(std::move(value));
            }
            all.push_back(OpRun("swiglu_quant/1").in(a).in(b).out(type, a.dim).absent().on(device).at(0));
            all.push_back(OpRun("add/1").in(c).in(b).out(VKS_F32, a.dim).on(device).at(0));
            return all;
        });
    }
}

TEST(RowBits, EmbedAndTopk) {
    Random random(202);
    const Value table = random.value(VKS_BF16, {20, 65}), x = random.value(VKS_F32, {kTokens, 500});
    Value ids = zeros(VKS_I32, {kTokens});
    for (int64_t t = 0; t < kTokens; ++t) ids.set(t, static_cast<double>(random.below(21)));
    expect_row_bits([&](Device& device, int64_t first, int64_t count) {
        OpRun top("topk/1");
        top.params(vks_topk_params{9}).in(slice(x, first, count)).out(VKS_F32, {count, 9}).out(VKS_I32, {count, 9});
        Outputs all = top.on(device);
        OpRun embed("embed/1");
        all.push_back(embed.in(slice(ids, first, count)).constant(table).out(VKS_F32, {count, 65}).on(device).at(0));
        return all;
    });
}

TEST(RowBits, Gemm) {
    Random random(203);
    for (const uint32_t type : kTypes)
        for (uint32_t w_type : {VKS_F32, VKS_BF16, VKS_F16})
            for (int64_t k : {100, 647}) {
                const Value x = random.value(type, {kTokens, k}), w = random.value(w_type, {75, k});
                expect_row_bits(
                    [&](Device& device, int64_t first, int64_t count) {
                        return OpRun("gemm/1")
                            .in(slice(x, first, count))
                            .constant(w)
                            .out(VKS_F32, {count, 75})
                            .on(device);
                    },
                    type == VKS_BF16);
            }
}

TEST(RowBits, Fp8Gemm) {
    Random random(204);
    for (const uint32_t type : kTypes)
        for (int64_t k : {100, 647}) {
            const Value x = random.value(type, {kTokens, k}), w = random.value(VKS_F8_E4M3, {150, k}, 50);
            const Value w_scale = random.positive({2, blocks(k)}, 0.001, 0.01);
            const Quantised codes = quantised(random, k);
            expect_row_bits(
                [&](Device& device, int64_t first, int64_t count) {
                    OpRun plain("fp8_gemm/1"), w8a8("fp8_gemm/1");
                    plain.in(slice(x, first, count)).absent().constant(w).constant(w_scale).out(type, {count, 150});
                    w8a8.in(slice(codes.q, first, count))
                        .in(slice(codes.scale, first, count))
                        .constant(w)
                        .constant(w_scale);
                    return Outputs{plain.on(device).at(0), w8a8.out(type, {count, 150}).on(device).at(0)};
                },
                type == VKS_BF16);
        }
}

TEST(RowBits, HeadGemm) {
    Random random(205);
    const vks_head_gemm_params base{0, 3, 40, 8, 30, 140};
    for (const uint32_t type : kTypes)
        for (uint32_t w_type : {VKS_BF16, VKS_F8_E4M3}) {
            const Value w = random.value(w_type, {3 * 70, 140});
            const Value scale = w_type == VKS_F8_E4M3 ? random.positive({2, 2}, 0.1, 1) : Value{};
            for (uint32_t mode : {VKS_HEAD_ABSORB, VKS_HEAD_EXPAND}) {
                vks_head_gemm_params p = base;
                p.mode = mode;
                const Value x = random.value(type, {kTokens, mode == VKS_HEAD_ABSORB ? 3 * 48 : 3 * 140});
                expect_row_bits(
                    [&](Device& device, int64_t first, int64_t count) {
                        OpRun run("head_gemm/1");
                        run.params(p).in(slice(x, first, count)).constant(w).constant(scale);
                        return run.out(type, {count, mode == VKS_HEAD_ABSORB ? 3 * 140 : 3 * 30}).on(device);
                    },
                    type == VKS_BF16);
            }
        }
}

// As a model of the release decodes, one id and some drafts: latents of more than 512 columns, so many heads that a
// thread has all of a head's columns, and fewer.
TEST(RowBits, HeadGemmOfFewTokens) {
    Device& one = device("threads=1");
    if (std::string(one.plugin().name) != "cpu") GTEST_SKIP() << "a promise of the CPU plugin";
    Random random(211);
    constexpr uint32_t kNope = 48, kRope = 8, kV = 16;
    for (const uint32_t heads : {4u, 12u})
        for (const uint32_t lora : {512u, 640u})
            for (const uint32_t w_type : {VKS_BF16, VKS_F8_E4M3}) {
                const vks_head_gemm_params p{VKS_HEAD_ABSORB, heads, kNope, kRope, kV, lora};
                const Value w = random.value(w_type, {heads * (kNope + kV), lora});
                const Value scale =
                    w_type == VKS_F8_E4M3 ? random.positive({blocks(w.rows()), blocks(lora)}, 0.1, 1) : Value{};
                const Value x = random.value(VKS_BF16, {4, heads * (kNope + kRope)});
                const auto absorb = [&](Device& device, int64_t first, int64_t count) {
                    OpRun run("head_gemm/1");
                    run.params(p).in(slice(x, first, count)).constant(w).constant(scale);
                    return run.out(VKS_BF16, {count, heads * lora}).on(device).at(0);
                };
                std::vector<Value> alone;
                for (int64_t t = 0; t < 4; ++t) alone.push_back(absorb(one, t, 1));
                for (const char* threads : {"threads=1", "threads=3"})
                    for (int64_t count = 1; count <= 4; ++count) {
                        SCOPED_TRACE(std::to_string(count) + " tokens, " + threads);
                        expect_same_bits("absorb", absorb(device(threads), 4 - count, count),
                                         concat_rows({alone.end() - count, alone.end()}));
                    }
            }
}

TEST(RowBits, RopeAndCache) {
    Random random(206);
    const vks_mla_rope_append_params p{3, 20, 6, 37, 1e-6f};
    const Value w = random.value(VKS_BF16, {37}), table = random.positive({kTokens, 6}, -1, 1);
    Value slot = zeros(VKS_I32, {kTokens});
    for (int64_t t = 0; t < kTokens; ++t) slot.set(t, static_cast<double>(t * 13 % kTokens));
    for (const uint32_t type : kTypes) {
        const Value q = random.value(type, {kTokens, 3 * 26}), kv = random.value(type, {kTokens, 43});
        expect_row_bits([&](Device& device, int64_t first, int64_t count) {
            auto got = OpRun("mla_rope_append/1")
                           .params(p)
                           .in(slice(q, first, count))
                           .in(slice(kv, first, count))
                           .constant(w)
                           .in(slice(table, first, count))
                           .in(slice(slot, first, count))
                           .inout(zeros(type, {kTokens, 43}))
                           .out(type, {count, 18})
                           .on(device);
            std::vector<Value> written;
            for (int64_t t = first; t < first + count; ++t) written.push_back(slice(got.at(0), slot.integer(t), 1));
            return Outputs{concat_rows(written), got.at(1)};
        });
    }
}

// Two sequences of different length in one cache; the token's rows also lie elsewhere when it is decoded alone.
TEST(RowBits, Attention) {
    Random random(207);
    for (const uint32_t type : kTypes)
        for (const uint32_t heads : {3u, 40u}) {
            const vks_mla_attention_params p{heads, 70, 10, 0.11f};
            const Value q_lat = random.value(type, {kTokens, heads * 70}),
                        q_pe = random.value(type, {kTokens, heads * 10});
            const Value cache = random.value(type, {400, 80});
            std::vector<int32_t> spans;
            for (int32_t t = 0; t < kTokens; ++t)
                spans.insert(spans.end(), {t % 2 ? 0 : 150, t % 2 ? 90 + t : 180 + t});
            const Value span = ints({kTokens, 2}, spans);
            expect_row_bits([&](Device& device, int64_t first, int64_t count) {
                Value rows = cache, now = slice(span, first, count);
                if (count == 1) {  // the same rows at the start of a cache of their own
                    rows = slice(cache, now.integer(0), now.integer(1));
                    now = ints({1, 2}, {0, now.integer(1)});
                }
                OpRun run("mla_attention/1");
                run.params(p).in(slice(q_lat, first, count)).in(slice(q_pe, first, count)).in(rows).in(now);
                return run.out(type, {count, heads * 70}).on(device);
            });
        }
}

// Spans around the sizes where they are cut otherwise.
TEST(RowBits, AttentionOverLongSpans) {
    Random random(209);
    constexpr int32_t kRows[] = {1,   31,  95,   96,   97,   160,  511,  512,  513,  543,
                                 544, 640, 1023, 1024, 1025, 2047, 2050, 8192, 8193, 8990};
    const vks_mla_attention_params p{3, 36, 6, 0.15f};
    std::vector<int32_t> spans;
    for (int32_t t = 0; t < kTokens; ++t) spans.insert(spans.end(), {t % 7, kRows[t * 3 % 20]});
    const Value span = ints({kTokens, 2}, spans);
    for (const uint32_t type : kTypes) {
        const Value q_lat = random.value(type, {kTokens, 3 * 36}), q_pe = random.value(type, {kTokens, 3 * 6});
        const Value cache = random.value(type, {9000, 42});
        expect_row_bits([&](Device& device, int64_t first, int64_t count) {
            OpRun run("mla_attention/1");
            run.params(p).in(slice(q_lat, first, count)).in(slice(q_pe, first, count)).in(cache);
            return run.in(slice(span, first, count)).out(type, {count, 3 * 36}).on(device);
        });
    }
}

// So many heads that scratch holds the results of a few splits only: they are computed in rounds.
TEST(RowBits, AttentionInRounds) {
    Device& dev = device("threads=2");
    if (std::string(dev.plugin().name) != "cpu") GTEST_SKIP() << "a promise of the CPU plugin";
    Random random(210);
    const vks_mla_attention_params p{1000, 128, 2, 0.1f};
    const Value span = ints({7, 2}, {0, 600, 3, 590, 0, 1, 5, 330, 0, 0, 1, 450, 0, 256});
    for (const uint32_t type : kTypes) {
        const Value q_lat = random.value(type, {7, 128000}), q_pe = random.value(type, {7, 2000});
        const Value cache = random.value(type, {600, 130});
        const auto attend = [&](int64_t first, int64_t count) {
            OpRun run("mla_attention/1");
            run.params(p).in(slice(q_lat, first, count)).in(slice(q_pe, first, count)).in(cache);
            return run.in(slice(span, first, count)).out(type, {count, 128000}).on(dev).at(0);
        };
        std::vector<Value> alone;
        for (int64_t t = 0; t < 7; ++t) alone.push_back(attend(t, 1));
        expect_same_bits("seven together", attend(0, 7), concat_rows(alone));
    }
}

TEST(RowBits, RouterAndExperts) {
    Random random(208);
    const int64_t h = 150, inner = 72, experts = 8, k = 3;
    const Value logits = random.value(VKS_F32, {kTokens, experts});
    const Value bias = random.value(VKS_F32, {experts});
    std::map<std::string, std::vector<Value>> w, scale;
    for (int64_t e = 0; e < experts; ++e) {
        for (const std::string m : {"gate", "up", "down"}) {
            const int64_t n = m == "down" ? h : inner, in = m == "down" ? inner : h;
            w[m].push_back(random.value(VKS_F8_E4M3, {n, in}));
            scale[m].push_back(random.positive({blocks(n), blocks(in)}, 0.05, 0.1));
        }
    }
    const auto grouped = [&](Device& device, const Value& in, const Value& offset, const Value& row,
                             const std::string& m) {
        OpRun run("grouped_gemm/1");
        run.params(vks_grouped_gemm_params{experts}).in(in).absent().in(offset).in(row);
        for (size_t e = 0; e < experts; ++e) run.constant(w.at(m)[e]).constant(scale.at(m)[e]);
        return run.out(in.dtype, {row.dtype ? row.count() : in.rows(), w.at(m)[0].rows()}).on(device).at(0);
    };
    for (const uint32_t type : kTypes) {
        const Value x = random.value(type, {kTokens, h});
        expect_row_bits(
            [&](Device& device, int64_t first, int64_t count) {
                const Value in = slice(x, first, count);
                OpRun route("moe_route/1"), dispatch("moe_dispatch/1");
                route.params(vks_moe_route_params{4, 2, k, 1, 2.5f}).in(slice(logits, first, count)).constant(bias);
                const auto routing = route.out(VKS_I32, {count, k}).out(VKS_F32, {count, k}).on(device);
                dispatch.params(vks_moe_dispatch_params{0, experts}).in(routing.at(0)).out(VKS_I32, {experts + 1});
                const auto lists = dispatch.out(VKS_I32, {count * k}).out(VKS_I32, {count, k}).on(device);
                const Value gate = grouped(device, in, lists.at(0), lists.at(1), "gate");
                const Value up = grouped(device, in, lists.at(0), lists.at(1), "up");
                const Value mid = OpRun("swiglu_quant/1").in(gate).in(up).out(type, gate.dim).absent().on(device).at(0);
                const Value y = grouped(device, mid, lists.at(0), {}, "down");
                OpRun combine("moe_combine/1");
                combine.in(y).in(lists.at(2)).in(routing.at(1)).in(in).out(type, in.dim);
                return Outputs{routing.at(0), routing.at(1), combine.on(device).at(0)};
            },
            type == VKS_BF16);
    }
}

}  // namespace
}  // namespace vks::test
