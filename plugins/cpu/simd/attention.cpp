// The driver of mla_attention's vector variants.
//
// Measured on one Zen 5 core (bf16 products: 500 GFLOP/s) with `vkseek bench ops --op mla_attention`, nothing in its
// caches, rows of 512 + 64: one token against 8192 rows with 16 heads 126 GFLOP/s in f32, 315 to 335 in bf16, with 128
// heads 345; 512 causal tokens against 2048 rows, 16 heads: 205 and 374. The bf16 kernel alone makes 410.
//
// Many tokens: each is one thread's, split after split; up to kTogether of them, an id and its drafts, go from split to
// split side by side, so that the cache is read once for all. Few tokens for the threads there are: the splits of all
// of them are shared out, in rounds that fit the scratch, and merged after each round; with few splits the heads are
// shared out too.
#include "plugins/cpu/simd/attention.h"

#include <algorithm>
#include <cstring>

namespace vks::cpu::simd {
namespace {

enum { kQLat, kQPe, kCache, kSpan, kO };

// Heads of a token that one thread works on together when there are many tokens: two partials of them stay in L2.
constexpr int64_t kHeads = 32;
// Heads are never cut into smaller groups: a register tile.
constexpr int64_t kFewestHeads = 8;
// Partials of so many tokens and kHeads stay in L2.
constexpr int64_t kTogether = 8;
// Partial results of a round.
constexpr int64_t kSlotBytes = int64_t{24} << 20;

int64_t round_up(int64_t n, int64_t to) {
    return (n + to - 1) / to * to;
}
int64_t dtype_bytes(uint32_t dtype) {
    return dtype == VKS_F32 ? 4 : 2;
}

struct Layout {
    int64_t heads, stride;
    int64_t slot;         // floats of a partial of all heads
    int64_t kernel;       // floats of a worker's scratch
    int64_t together;     // many tokens: so many side by side,
    int64_t most;         // and in a launch with fewer tokens, as prepared kernels get them
    int64_t rows, slots;  // few tokens: at most `rows` of them, partials in a round

    Layout(const AttentionKernels& k, const vks_mla_attention_params& p, int64_t tokens, int64_t cache_rows,
           int64_t threads) {
        heads = p.heads;
        stride = round_up(p.lora, k.out_step);
        slot = round_up(heads * (stride + 2), 16);
        kernel = round_up(static_cast<int64_t>(k.scratch(heads, p.lora, p.rope)), 64) / 4;
        together = tokens <= kTogether ? tokens : 1;
        most = 2 * threads <= kTogether ? std::min(tokens, kTogether) : 1;
        rows = std::min(tokens, 2 * threads - 1);
        slots = std::min(rows * ((cache_rows + kSplit - 1) / kSplit), std::max(2 * threads, kSlotBytes / 4 / slot));
    }
    int64_t floats(int64_t threads) const {
        // Many tokens: a worker's merged partials and one more. Few: the merged ones and a round's.
        return threads * kernel + std::max((most + 1) * threads, rows + slots) * slot;
    }
    Partial at(float* base, int64_t index, int64_t head = 0) const {
        float* p = base + index * slot;
        return {p + head, p + heads + head, p + 2 * heads + head * stride, stride};
    }
};

class Attention {
public:
    Attention(const AttentionKernels& kernels, const Call& call)
        : k_(kernels),
          call_(call),
          p_(call.get<vks_mla_attention_params>()),
          tokens_(call.args[kQLat].rows()),
          threads_(call.pool->threads()),
          layout_(kernels, p_, tokens_, call.args[kCache].rows(), threads_) {
        worker_scratch_ = reinterpret_cast<float*>(call.scratch);
        partials_ = worker_scratch_ + threads_ * layout_.kernel;
    }
    void run() { tokens_ >= 2 * threads_ ? many() : few(); }

private:
    struct Span {
        int64_t first, rows;
        int64_t splits() const { return (rows + kSplit - 1) / kSplit; }
    };
    Span span(int64_t t) const {
        const int32_t* s = call_.args[kSpan].as<int32_t>() + 2 * t;
        const int64_t rows = call_.args[kCache].rows(), first = std::clamp<int64_t>(s[0], 0, rows);
        return {first, std::clamp<int64_t>(int64_t{s[0]} + s[1], first, rows) - first};
    }
    void split(int64_t t, int64_t index, int64_t head, int64_t heads, const Partial& to, int worker) const;
    void finish(int64_t t, int64_t head, int64_t heads, const Partial& from) const;
    void many() const;
    void few() const;

    const AttentionKernels& k_;
    const Call& call_;
    const vks_mla_attention_params& p_;
    const int64_t tokens_, threads_;
    const Layout layout_;
    float* worker_scratch_;
    float* partials_;
};

void Attention::split(int64_t t, int64_t index, int64_t head, int64_t heads, const Partial& to, int worker) const {
    const Arg &q_lat = call_.args[kQLat], &q_pe = call_.args[kQPe], &cache = call_.args[kCache];
    const Span s = span(t);
    const int64_t first = s.first + index * kSplit, lora = p_.lora, rope = p_.rope;
    k_.split({.q_lat = q_lat.as<std::byte>() + (t * layout_.heads + head) * lora * dtype_bytes(q_lat.dtype),
              .q_pe = q_pe.as<std::byte>() + (t * layout_.heads + head) * rope * dtype_bytes(q_pe.dtype),
              .cache = cache.as<std::byte>() + first * (lora + rope) * dtype_bytes(cache.dtype),
              .q_lat_dtype = q_lat.dtype,
              .q_pe_dtype = q_pe.dtype,
              .cache_dtype = cache.dtype,
              .heads = heads,
              .lora = lora,
              .rope = rope,
              .rows = std::min(kSplit, s.rows - index * kSplit),
              .scale = p_.scale,
              .to = to,
              .scratch = reinterpret_cast<std::byte*>(worker_scratch_ + worker * layout_.kernel)});
}

void Attention::finish(int64_t t, int64_t head, int64_t heads, const Partial& from) const {
    const Arg& o = call_.args[kO];
    const int64_t bytes = p_.lora * dtype_bytes(o.dtype);
    std::byte* to = o.out<std::byte>() + (t * layout_.heads + head) * bytes;
    if (span(t).rows == 0) {
        std::memset(to, 0, static_cast<size_t>(heads * bytes));
    } else {
        k_.finish(from, heads, p_.lora, o.dtype, to);
    }
}

void Attention::many() const {
    const int64_t together = layout_.together;
    // With one item a group of heads, at least two for each thread.
    const int64_t even = round_up((layout_.heads + 2 * threads_ - 1) / (2 * threads_), kFewestHeads);
    const int64_t group = together == tokens_ ? std::min(kHeads, even) : kHeads;
    const int64_t groups = (layout_.heads + group - 1) / group;
    call_.pool->parallel_for(tokens_ / together * groups, 1, [&](int64_t item, int64_t last, int worker) {
        float* partials = partials_ + worker * (together + 1) * layout_.slot;
        const Partial next = layout_.at(partials, together);
        for (; item < last; ++item) {
            // The longest spans are usually the last tokens': those first.
            const int64_t end = tokens_ - item / groups * together, begin = end - together;
            const int64_t head = item % groups * group, heads = std::min(group, layout_.heads - head);
            int64_t longest = 0;
            for (int64_t t = begin; t < end; ++t) longest = std::max(longest, span(t).splits());
            for (int64_t s = 0; s < longest; ++s) {
                for (int64_t t = begin; t < end; ++t) {
                    if (s >= span(t).splits()) continue;
                    const Partial whole = layout_.at(partials, t - begin);
                    split(t, s, head, heads, s == 0 ? whole : next, worker);
                    if (s > 0) k_.merge(whole, next, heads);
                }
            }
            for (int64_t t = begin; t < end; ++t) finish(t, head, heads, layout_.at(partials, t - begin));
        }
    });
}

void Attention::few() const {
    int64_t longest = 0, splits = 0;
    for (int64_t t = 0; t < tokens_; ++t) {
        longest = std::max(longest, span(t).splits());
        splits += span(t).splits();
    }
    // Few splits: each is computed by several threads, some heads each.
    const int64_t wanted = splits <= 1 ? threads_ : (2 * threads_ + splits - 1) / splits;
    const int64_t group = round_up((layout_.heads + wanted - 1) / wanted, kFewestHeads);
    const int64_t groups = (layout_.heads + group - 1) / group;
    // Of each token's splits, `depth` in a round; [token][depth] slots behind the merged ones.
    const int64_t depth = std::clamp<int64_t>(layout_.slots / tokens_, 1, std::max<int64_t>(1, longest));
    float* slots = partials_ + layout_.rows * layout_.slot;
    // Where that leaves work for all threads, a split's rows are one thread's for all tokens: the first one's reads
    // bring them into its cache.
    const int64_t together = depth * groups >= 2 * threads_ ? tokens_ : 1, shares = tokens_ / together;

    for (int64_t done = 0; done == 0 || done < longest; done += depth) {
        call_.pool->parallel_for(depth * shares * groups, 1, [&](int64_t item, int64_t last, int worker) {
            for (; item < last; ++item) {
                const int64_t g = item % groups, from = item / groups % shares, d = item / groups / shares;
                const int64_t head = g * group, heads = std::min(group, layout_.heads - head);
                for (int64_t t = from; t < from + together; ++t) {
                    if (done + d >= span(t).splits()) continue;
                    const Partial to =
                        done + d == 0 ? layout_.at(partials_, t, head) : layout_.at(slots, t * depth + d, head);
                    split(t, done + d, head, heads, to, worker);
                }
            }
        });
        const int64_t pieces = (layout_.heads + kFewestHeads - 1) / kFewestHeads;
        const int64_t grain = std::max<int64_t>(1, int64_t{8} / depth);
        call_.pool->parallel_for(tokens_ * pieces, grain, [&](int64_t item, int64_t last, int) {
            for (; item < last; ++item) {
                const int64_t t = item / pieces, head = item % pieces * kFewestHeads;
                const int64_t heads = std::min(kFewestHeads, layout_.heads - head), all = span(t).splits();
                const Partial whole = layout_.at(partials_, t, head);
                for (int64_t d = done == 0 ? 1 : 0; d < depth && done + d < all; ++d) {
                    k_.merge(whole, layout_.at(slots, t * depth + d, head), heads);
                }
                if (done + depth >= longest) finish(t, head, heads, whole);
            }
        });
    }
}

}  // namespace

uint64_t attention_scratch(const AttentionKernels& kernels, const Signature& s) {
    const Layout layout(kernels, s.get<vks_mla_attention_params>(), s.args[kQLat].rows(), s.args[kCache].rows(),
                        s.threads);
    return static_cast<uint64_t>(layout.floats(s.threads)) * sizeof(float);
}

void attention(const AttentionKernels& kernels, const Call& call) {
    if (call.args[kQLat].rows() == 0 || call.args[kO].row_elements() == 0) return;
    Attention(kernels, call).run();
}

}  // namespace vks::cpu::simd
