// A whole attention block as a chain of operators, against the golden: prefill at once and in chunks, decode one by one
// and as a ragged batch. rel 1e-5, case 1 (large scores) 1e-4.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>
#include <numbers>

#include "tests/ops/harness.h"
#include "tests/support/paths.h"

namespace vks::test {
namespace {

using nlohmann::json;

uint32_t u(int64_t n) {
    return static_cast<uint32_t>(n);
}

// Inverse frequencies with YaRN, README.md of the goldens.
std::vector<double> inverse_frequencies(const json& c) {
    const int64_t d = c["qk_rope_head_dim"];
    const double theta = c["rope_theta"];
    const json& yarn = c["rope_scaling"];
    std::vector<double> all;
    for (int64_t i = 0; i < d / 2; ++i) {
        double frequency = std::pow(theta, -2.0 * static_cast<double>(i) / static_cast<double>(d));
        if (!yarn.is_null()) {
            const auto bound = [&](double beta) {
                const double original = yarn["original_max_position_embeddings"];
                return static_cast<double>(d) * std::log(original / (beta * 2 * std::numbers::pi)) /
                       (2 * std::log(theta));
            };
            const double low = std::max(0.0, std::floor(bound(yarn["beta_fast"])));
            const double high = std::min(static_cast<double>(d - 1), std::ceil(bound(yarn["beta_slow"])));
            const double ramp = std::clamp((static_cast<double>(i) - low) / std::max(0.001, high - low), 0.0, 1.0);
            frequency = frequency / yarn["factor"].get<double>() * ramp + frequency * (1 - ramp);
        }
        all.push_back(frequency);
    }
    return all;
}

struct Block {
    Device& device;
    const Golden& golden;
    std::string c;  // "c0."
    json sizes;
    int64_t heads = sizes["num_attention_heads"], nope = sizes["qk_nope_head_dim"], rope = sizes["qk_rope_head_dim"];
    int64_t v = sizes["v_head_dim"], lora = sizes["kv_lora_rank"];
    vks_norm_params norm{1e-6f};

    Value weight(const std::string& name) const { return golden[c + "w." + name + ".weight"]; }

    Value gemm(const Value& x, const std::string& name) const {
        const Value w = weight(name);
        return OpRun("gemm/1").in(x).constant(w).out(VKS_F32, {x.rows(), w.rows()}).on(device).at(0);
    }

    Value queries(const Value& x) const {
        if (sizes["q_lora_rank"].is_null()) return gemm(x, "q_proj");
        const Value a = gemm(x, "q_a_proj");
        OpRun run("rms_norm/1");
        return gemm(run.params(norm).in(a).constant(weight("q_a_layernorm")).out(VKS_F32, a.dim).on(device).at(0),
                    "q_b_proj");
    }

    Value table(const std::vector<int64_t>& positions) const {
        const auto frequencies = inverse_frequencies(sizes);
        Value table = zeros(VKS_F32, {static_cast<int64_t>(positions.size()), rope});
        int64_t i = 0;
        for (int64_t position : positions) {
            for (double frequency : frequencies) {
                table.set(i++, std::cos(static_cast<double>(position) * frequency));
                table.set(i++, std::sin(static_cast<double>(position) * frequency));
            }
        }
        return table;
    }

    Value head_gemm(uint32_t mode, const Value& x) const {
        const vks_head_gemm_params p{mode, u(heads), u(nope), u(rope), u(v), u(lora)};
        OpRun run("head_gemm/1");
        run.params(p).in(x).constant(weight("kv_b_proj")).absent();
        return run.out(VKS_F32, {x.rows(), heads * (mode == VKS_HEAD_ABSORB ? lora : v)}).on(device).at(0);
    }

    // One step: token t of x at positions[t], its entry in cache row slots[t], attending to the rows of spans[t].
    // Updates the cache, returns the block's output.
    Value step(const Value& x, const std::vector<int64_t>& positions, const Value& slots, const Value& spans,
               Value& cache) const {
        const Value q = queries(x);
        auto appended = OpRun("mla_rope_append/1")
                            .params(vks_mla_rope_append_params{u(heads), u(nope), u(rope), u(lora), 1e-6f})
                            .in(q)
                            .in(gemm(x, "kv_a_proj_with_mqa"))
                            .constant(weight("kv_a_layernorm"))
                            .in(table(positions))
                            .in(slots)
                            .inout(cache)
                            .out(VKS_F32, {x.rows(), heads * rope})
                            .on(device);
        cache = appended.at(0);
        const Value o = OpRun("mla_attention/1")
                            .params(vks_mla_attention_params{u(heads), u(lora), u(rope), sizes["softmax_scale"]})
                            .in(head_gemm(VKS_HEAD_ABSORB, q))
                            .in(appended.at(1))
                            .in(cache)
                            .in(spans)
                            .out(VKS_F32, {x.rows(), heads * lora})
                            .on(device)
                            .at(0);
        return gemm(head_gemm(VKS_HEAD_EXPAND, o), "o_proj");
    }

    // Tokens [first, first + x.rows()) of one sequence that begins at cache row 0.
    Value prefill(const Value& x, int64_t first, Value& cache) const {
        std::vector<int64_t> positions;
        std::vector<int32_t> slots, spans;
        for (int64_t t = first; t < first + x.rows(); ++t) {
            positions.push_back(t);
            slots.push_back(static_cast<int32_t>(t));
            spans.insert(spans.end(), {0, static_cast<int32_t>(t + 1)});
        }
        return step(x, positions, ints({x.rows()}, slots), ints({x.rows(), 2}, spans), cache);
    }
};

// Calls f for both golden cases on every device.
void on_every_case(const std::function<void(const Block&, double tolerance)>& f) {
    const Golden golden("ops/mla.safetensors");
    std::ifstream file(data("ops/mla.json"));
    const json cases = json::parse(file);
    on_every_device([&](Device& device) {
        for (size_t i = 0; i < cases.size(); ++i) {
            f(Block{device, golden, fmt::format("c{}.", i), cases[i]}, i == 0 ? 1e-5 : 1e-4);
        }
    });
}

TEST(MlaBlock, Prefill) {
    on_every_case([](const Block& block, double tolerance) {
        const Value x = block.golden[block.c + "prefill.x"];
        Value cache = zeros(VKS_F32, {x.rows(), block.lora + block.rope});
        const Value out = block.prefill(x, 0, cache);
        expect_close("mla prefill out " + block.c, out, block.golden[block.c + "prefill.out"], tolerance);
        const Value want =
            concat_columns(block.golden[block.c + "prefill.c_kv"], block.golden[block.c + "prefill.k_pe"]);
        expect_close("mla prefill cache " + block.c, cache, want, 1e-5);
    });
}

TEST(MlaBlock, ChunkedPrefillGivesTheSameBits) {
    on_every_case([](const Block& block, double tolerance) {
        const Value x = block.golden[block.c + "prefill.x"];
        Value whole_cache = zeros(VKS_F32, {x.rows(), block.lora + block.rope}), cache = whole_cache;
        const Value whole = block.prefill(x, 0, whole_cache);
        const int64_t start = block.sizes["chunk_start"];
        const Value first = block.prefill(slice(x, 0, start), 0, cache);
        const Value second = block.prefill(slice(x, start, x.rows() - start), start, cache);
        const Value want = block.golden[block.c + "prefill.out"];
        expect_close("mla second chunk " + block.c, second, slice(want, start, x.rows() - start), tolerance);
        if (std::string(block.device.plugin().name) != "cpu") return;
        expect_same_bits("out", concat_rows({first, second}), whole);
        expect_same_bits("cache", cache, whole_cache);
    });
}

TEST(MlaBlock, DecodeSingleAndRagged) {
    on_every_case([](const Block& block, double tolerance) {
        const Value lengths = block.golden[block.c + "decode.cache_len"];
        std::vector<Value> xs, wants, singles, caches;
        std::vector<int64_t> positions;
        std::vector<int32_t> slots, spans;
        int32_t begin = 0;
        for (int64_t i = 0; i < lengths.rows(); ++i) {
            const std::string name = fmt::format("{}decode.{}.", block.c, i);
            const auto length = static_cast<int32_t>(lengths.at(i));
            xs.push_back(block.golden[name + "x"]);
            wants.push_back(block.golden[name + "out"]);
            Value cache = concat_columns(block.golden[name + "cache_c_kv"], block.golden[name + "cache_k_pe"]);
            cache = concat_rows({cache, zeros(VKS_F32, {1, block.lora + block.rope})});
            caches.push_back(cache);
            singles.push_back(
                block.step(xs.back(), {length}, ints({1}, {length}), ints({1, 2}, {0, length + 1}), cache));
            expect_close("mla decode " + name, singles.back(), wants.back(), tolerance);
            positions.push_back(length);
            slots.push_back(begin + length);
            spans.insert(spans.end(), {begin, length + 1});
            begin += length + 1;
        }
        Value cache = concat_rows(caches);
        const int64_t n = lengths.rows();
        const Value batch = block.step(concat_rows(xs), positions, ints({n}, slots), ints({n, 2}, spans), cache);
        expect_close("mla ragged batch " + block.c, batch, concat_rows(wants), tolerance);
        if (std::string(block.device.plugin().name) == "cpu") expect_same_bits("batch", batch, concat_rows(singles));
    });
}

}  // namespace
}  // namespace vks::test
