#include "plugins/cpu/simd/expanded.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <limits>

#include "plugins/args/ops/mla_expanded.h"
#include "plugins/cpu/simd/packed.h"
#include "plugins/cpu/sizes.h"

namespace vks::cpu::simd {
namespace {

using namespace args::mla_expanded;

// Keys and values of so many rows, scores of so many tokens: what an item goes over again and again stays in L2.
constexpr int64_t kKeys = 512, kTokens = 64;
// Widths are rounded up to this, so that rows can be multiplied where they are.
constexpr int64_t kGranule = 64;

// What all items share, and where a worker's scratch has what.
struct Layout {
    vks_mla_expanded_params p;
    const GemmKernels *expand, *inner;
    uint32_t dtype;  // of activations
    int64_t element, tokens, groups, group, query, keys;
    int64_t q, key, value, values, scores, weights, part, out, running, w_key, w_value, packed, gemm, bytes;

    Layout(const ExpandedKernels& kernels, const Signature& s)
        : p(s.get<vks_mla_expanded_params>()),
          expand(kernels.expand(s.args[kQ].dtype, s.args[kW].dtype)),
          inner(kernels.expand(s.args[kQ].dtype, s.args[kQ].dtype)),
          dtype(s.args[kQ].dtype),
          element(abi::element_bytes(dtype)),
          tokens(s.args[kQ].rows()) {
        // At least two items for each thread, but no group of tokens without need: each forms the keys for itself.
        const int64_t heads = std::max<int64_t>(1, p.heads), wanted = (2 * s.threads + heads - 1) / heads;
        group = std::max<int64_t>(1, std::min(tokens, round_up((tokens + wanted - 1) / wanted, kTokens)));
        groups = (tokens + group - 1) / group;
        query = int64_t{p.nope} + p.rope;
        keys = std::min(kKeys, round_up(s.args[kCache].rows(), kGranule));
        int64_t at = 0;
        const auto take = [&at](int64_t size) {
            const int64_t from = at;
            at += round_up(size, 64);
            return from;
        };
        const auto take_matrix = [&](const GemmKernels* g, int64_t rows, int64_t k) {
            return take(static_cast<int64_t>(PackedMatrix::bytes(*g, rows, k)));
        };
        q = take(group * query * element);
        key = take(keys * query * element);
        value = take(keys * p.v * element);
        values = take(p.v * keys * element);
        scores = take(kTokens * keys * 4);
        weights = take(kTokens * keys * element);
        part = take(kTokens * p.v * 4);
        out = take(group * p.v * 4);
        running = take(group * 2 * 4);
        w_key = take_matrix(expand, p.nope, p.lora);
        w_value = take_matrix(expand, p.v, p.lora);
        packed = take(std::max(static_cast<int64_t>(PackedMatrix::bytes(*inner, keys, query)),
                               static_cast<int64_t>(PackedMatrix::bytes(*inner, p.v, keys))) *
                      2);
        gemm = take(static_cast<int64_t>(
            std::max({PackedMatrix::scratch_bytes(*expand, p.lora), PackedMatrix::scratch_bytes(*inner, query),
                      PackedMatrix::scratch_bytes(*inner, keys)})));
        bytes = at;
    }
};

// A head, some tokens.
class Item {
public:
    Item(const ExpandedKernels& kernels, const Layout& layout, const Call& call, int64_t head, int64_t first,
         int64_t count, std::byte* scratch)
        : k_(kernels), l_(layout), call_(call), head_(head), first_(first), count_(count), scratch_(scratch) {}

    void run() const {
        copy_queries();
        std::fill_n(at<float>(l_.running), count_, -std::numeric_limits<float>::infinity());
        std::fill_n(at<float>(l_.running) + count_, count_, 0.0f);
        std::memset(scratch_ + l_.out, 0, static_cast<size_t>(count_ * l_.p.v * 4));
        const PackedMatrix w_key(*l_.expand, weights(0), l_.p.nope, l_.p.lora, scratch_ + l_.w_key);
        const PackedMatrix w_value(*l_.expand, weights(l_.p.nope), l_.p.v, l_.p.lora, scratch_ + l_.w_value);
        const Span all = union_of(0, count_);
        for (int64_t row = all.first; row < all.last; row += l_.keys) {
            meet(w_key, w_value, row, std::min(l_.keys, all.last - row));
        }
        finish();
    }

private:
    template <class T>
    T* at(int64_t offset) const {
        return reinterpret_cast<T*>(scratch_ + offset);
    }
    const Arg& arg(size_t i) const { return call_.args[i]; }

    Span span(int64_t t) const { return span_of(arg(kSpan), first_ + t, arg(kCache).rows()); }
    // The rows that any of the tokens [from, from + count) sees, and those between.
    Span union_of(int64_t from, int64_t count) const {
        Span all;
        for (int64_t t = from; t < from + count; ++t) {
            const Span s = span(t);
            if (s.empty()) continue;
            all = all.empty() ? s : Span{std::min(all.first, s.first), std::max(all.last, s.last)};
        }
        return all;
    }

    // kv_b's rows of this head from `row` on.
    Rows weights(int64_t row) const {
        const Arg &w = arg(kW), &scale = arg(kWScale);
        const int64_t first = head_ * (int64_t{l_.p.nope} + l_.p.v) + row, k = w.dim[1];
        const int64_t bytes = abi::element_bytes(w.dtype);
        return {.dtype = w.dtype,
                .data = w.as<std::byte>() + first * k * bytes,
                .stride = k,
                .first = first,
                .scale = scale ? scale.as<float>() : nullptr,
                .scale_columns = blocks(k),
                .rows_per_scale = kBlock};
    }
    Rows matrix(const std::byte* data, int64_t stride) const {
        Rows rows;
        rows.dtype = l_.dtype;
        rows.data = data;
        rows.stride = stride;
        return rows;
    }

    // [tokens, nope + rope]: without position, then with.
    void copy_queries() const {
        const auto nope = static_cast<size_t>(l_.p.nope * l_.element),
                   rope = static_cast<size_t>(l_.p.rope * l_.element);
        std::byte* to = scratch_ + l_.q;
        for (int64_t t = 0; t < count_; ++t, to += nope + rope) {
            const int64_t row = first_ + t;
            std::memcpy(to, arg(kQ).as<std::byte>() + (row * arg(kQ).dim[1] + head_ * l_.query) * l_.element, nope);
            std::memcpy(to + nope, arg(kQPe).as<std::byte>() + (row * l_.p.heads + head_) * l_.p.rope * l_.element,
                        rope);
        }
    }

    template <class T>
    void transpose(const T* from, int64_t rows, T* to) const {
        constexpr int64_t kTile = 16;  // a line's worth on both sides
        const int64_t v = l_.p.v;
        for (int64_t r = 0; r < rows; r += kTile) {
            for (int64_t c = 0; c < v; ++c) {
                for (int64_t i = r; i < std::min(rows, r + kTile); ++i) to[c * l_.keys + i] = from[i * v + c];
            }
        }
        for (int64_t c = 0; c < v; ++c) std::fill(to + c * l_.keys + rows, to + (c + 1) * l_.keys, T{});
    }

    // Of the values of cache rows [row, row + rows), those that none of the item's tokens sees become 0: they lie
    // between others and are multiplied by a weight of 0, which a NaN would survive.
    void clear_unseen(std::byte* value, int64_t row, int64_t rows) const {
        std::array<int32_t, kKeys + 1> more{};  // tokens that see a row and don't see the one before, less the reverse
        for (int64_t t = 0; t < count_; ++t) {
            const Span s = span(t);
            const int64_t first = std::max(s.first, row) - row, last = std::min(s.last, row + rows) - row;
            if (first >= last) continue;
            ++more[static_cast<size_t>(first)];
            --more[static_cast<size_t>(last)];
        }
        const int64_t bytes = l_.p.v * l_.element;
        int32_t tokens = 0;
        for (int64_t r = 0; r < rows; ++r) {
            tokens += more[static_cast<size_t>(r)];
            if (tokens == 0) std::memset(value + r * bytes, 0, static_cast<size_t>(bytes));
        }
    }

    // All tokens and the cache rows [row, row + rows).
    void meet(const PackedMatrix& w_key, const PackedMatrix& w_value, int64_t row, int64_t rows) const {
        const int64_t width = int64_t{l_.p.lora} + l_.p.rope;
        const Rows cache = matrix(arg(kCache).as<std::byte>() + row * width * l_.element, width);
        std::byte *key = scratch_ + l_.key, *value = scratch_ + l_.value, *gemm = scratch_ + l_.gemm;
        w_key.multiply(cache, rows, l_.p.nope, key, l_.query, l_.dtype, gemm);
        for (int64_t r = 0; r < rows; ++r) {
            std::memcpy(key + (r * l_.query + l_.p.nope) * l_.element,
                        cache.data + (r * width + l_.p.lora) * l_.element, static_cast<size_t>(l_.p.rope * l_.element));
        }
        w_value.multiply(cache, rows, l_.p.v, value, l_.p.v, l_.dtype, gemm);
        clear_unseen(value, row, rows);
        if (l_.dtype == VKS_F32) {
            transpose(reinterpret_cast<const uint32_t*>(value), rows, at<uint32_t>(l_.values));
        } else {
            transpose(reinterpret_cast<const uint16_t*>(value), rows, at<uint16_t>(l_.values));
        }
        std::byte* packed = scratch_ + l_.packed;
        const PackedMatrix keys(*l_.inner, matrix(key, l_.query), rows, l_.query, packed);
        packed += round_up(static_cast<int64_t>(PackedMatrix::bytes(*l_.inner, l_.keys, l_.query)), 64);
        const int64_t padded = std::min(l_.keys, round_up(rows, kGranule));
        const PackedMatrix values(*l_.inner, matrix(scratch_ + l_.values, l_.keys), l_.p.v, padded, packed);
        for (int64_t t = 0; t < count_; t += kTokens) {
            attend(keys, values, t, std::min(kTokens, count_ - t), {row, row + rows}, padded);
        }
    }

    // Tokens [from, from + count) and the keys and values of `rows`.
    void attend(const PackedMatrix& keys, const PackedMatrix& values, int64_t from, int64_t count, Span rows,
                int64_t padded) const {
        const Span seen = union_of(from, count);
        const int64_t columns = std::min(rows.last, seen.last) - rows.first;
        if (columns <= 0 || seen.first >= rows.last) return;
        auto* scores = at<float>(l_.scores);
        std::byte *weights = scratch_ + l_.weights, *gemm = scratch_ + l_.gemm;
        keys.multiply(matrix(scratch_ + l_.q + from * l_.query * l_.element, l_.query), count, columns,
                      reinterpret_cast<std::byte*>(scores), l_.keys, VKS_F32, gemm);
        float *maximum = at<float>(l_.running) + from, *sum = maximum + count_;
        float shrink[kTokens];
        for (int64_t t = 0; t < count; ++t) {
            const Span s = span(from + t);
            const int64_t first = std::max(s.first, rows.first) - rows.first;
            const int64_t last = std::min(s.last, rows.last) - rows.first;
            std::byte* to = weights + t * l_.keys * l_.element;
            std::memset(to, 0, static_cast<size_t>(padded * l_.element));
            shrink[t] = 1.0f;
            if (first >= last) continue;
            shrink[t] = k_.weigh({.scores = scores + t * l_.keys + first,
                                  .keys = last - first,
                                  .scale = l_.p.scale,
                                  .maximum = maximum + t,
                                  .sum = sum + t,
                                  .weights = to + first * l_.element},
                                 l_.dtype);
        }
        auto* part = at<float>(l_.part);
        values.multiply(matrix(weights, l_.keys), count, l_.p.v, reinterpret_cast<std::byte*>(part), l_.p.v, VKS_F32,
                        gemm);
        for (int64_t t = 0; t < count; ++t) {
            k_.accumulate(at<float>(l_.out) + (from + t) * l_.p.v, part + t * l_.p.v, l_.p.v, shrink[t]);
        }
    }

    void finish() const {
        const Arg& o = arg(kO);
        const int64_t bytes = l_.p.v * abi::element_bytes(o.dtype);
        const float* sum = at<float>(l_.running) + count_;
        for (int64_t t = 0; t < count_; ++t) {
            std::byte* to = o.out<std::byte>() + ((first_ + t) * l_.p.heads + head_) * bytes;
            if (span(t).empty()) {
                std::memset(to, 0, static_cast<size_t>(bytes));
            } else {
                k_.finish(at<float>(l_.out) + t * l_.p.v, l_.p.v, sum[t], to, o.dtype);
            }
        }
    }

    const ExpandedKernels& k_;
    const Layout& l_;
    const Call& call_;
    const int64_t head_, first_, count_;
    std::byte* scratch_;
};

}  // namespace

uint64_t expanded_scratch(const ExpandedKernels& kernels, const Signature& s) {
    return static_cast<uint64_t>(s.threads * Layout(kernels, s).bytes);
}

void expanded(const ExpandedKernels& kernels, const Call& call) {
    const Signature s{{call.args, call.params, sizeof(vks_mla_expanded_params)}, call.pool->threads()};
    const Layout layout(kernels, s);
    if (layout.tokens == 0 || call.args[kO].row_elements() == 0) return;
    call.pool->parallel_for(layout.p.heads * layout.groups, 1, [&](int64_t item, int64_t last, int worker) {
        for (; item < last; ++item) {
            const int64_t first = item % layout.groups * layout.group, head = item / layout.groups;
            Item(kernels, layout, call, head, first, std::min(layout.group, layout.tokens - first),
                 call.scratch + worker * layout.bytes)
                .run();
        }
    });
}

}  // namespace vks::cpu::simd
