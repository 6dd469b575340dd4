// The driver of mla_attention's vector variants.
//
// Many tokens: each is one thread's, split after split. Few, as an id and its drafts: the splits of all of them are
// shared out, in rounds that fit the scratch; where there are enough of them, a split of all tokens at once, so that
// the cache is read once. Whoever completes four merges them, most of which are in its cache; what that leaves is
// merged after the round. With few splits the heads are shared out too.
#include "plugins/cpu/simd/attention.h"

#include <algorithm>
#include <atomic>
#include <cstring>

#include "plugins/cpu/sizes.h"

namespace vks::cpu::simd {
namespace {

enum { kQLat, kQPe, kCache, kSpan, kO };

// Heads of a token that one thread works on together when there are many tokens: three partials of them stay in L2.
constexpr int64_t kHeads = 32;
// Heads whose partials are merged by one thread.
constexpr int64_t kMergedHeads = 8;
// So many tokens are few whatever the threads.
constexpr int64_t kFew = 8;
// Splits that are merged with one another first.
constexpr int64_t kFour = 4;
// A worker's own state.
constexpr int64_t kOwnBytes = 64;
// Partial results of a round.
constexpr int64_t kSlotBytes = int64_t{24} << 20;

// How a span's rows are cut. Merging costs as much as some ten rows; that threads finish together takes some splits for
// each. The last split has half to one and a half times the others' rows. Up to 128 rows in splits of 32 instead of 64,
// bench-m on two cores: attention 182 us a token instead of 231, on one 187 instead of 177.
struct Cut {
    int64_t rows, size, count;

    explicit Cut(int64_t n) : rows(n), size(n <= 128 ? 32 : n <= 512 ? 64 : n <= 1024 ? 128 : n <= 8192 ? 256 : 512) {
        count = n == 0 ? 0 : std::max<int64_t>(1, (n + size / 2) / size);
    }
    int64_t rows_of(int64_t split) const { return split + 1 < count ? size : rows - split * size; }
};
// The most splits that a span of up to so many rows has; at least 1.
int64_t most_splits(int64_t rows) {
    int64_t most = std::max<int64_t>(1, Cut(rows).count);
    for (const int64_t n : {512, 1024, 8192}) most = std::max(most, Cut(std::min(n, rows)).count);
    return most;
}

struct Layout {
    int64_t heads, stride;
    int64_t slot;         // floats of a partial of all heads
    int64_t kernel;       // floats of a worker's scratch
    int64_t few;          // up to so many tokens are few
    int64_t rows, slots;  // few tokens: at most `rows` of them, partials in a round
    int64_t counters;     // few tokens, for each four of a token's splits and each group of heads

    Layout(const AttentionKernels& k, const vks_mla_attention_params& p, int64_t tokens, int64_t cache_rows,
           int64_t threads) {
        heads = p.heads;
        stride = round_up(p.lora, k.out_step);
        slot = round_up(heads * (stride + 2), 16);
        kernel = kOwnBytes / 4 + round_up(static_cast<int64_t>(k.scratch(heads, p.lora, p.rope)), 64) / 4;
        few = std::max(2 * threads - 1, kFew);
        rows = std::min(tokens, few);
        slots =
            std::min(rows * round_up(most_splits(cache_rows), kFour), std::max(rows * kFour, kSlotBytes / 4 / slot));
        counters = round_up(slots / kFour * ((heads + k.together - 1) / k.together), 16);
    }
    int64_t floats(int64_t threads) const {
        // Many tokens: a worker's merged partials, those of the four at hand, and one more. Few: the merged ones and a
        // round's.
        return threads * kernel + std::max(3 * threads * slot, (rows + slots) * slot + counters);
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
        for (int64_t worker = 0; worker < threads_; ++worker) *own(worker) = {{-1, 0, 0}, later(worker)};
    }
    void run() { tokens_ > layout_.few ? many() : few(); }

private:
    // Some heads of a token.
    struct Part {
        int64_t token, head, heads;
        bool operator==(const Part&) const = default;
    };
    struct CutSpan {
        int64_t first;
        Cut cut;
    };
    CutSpan span(int64_t t) const {
        const Span rows = span_of(call_.args[kSpan], t, call_.args[kCache].rows());
        return {rows.first, Cut(rows.last - rows.first)};
    }
    int64_t splits(int64_t t) const { return span(t).cut.count; }
    // A worker's, before the kernel's scratch.
    struct Own {
        Part part;  // whose queries are there
        Later later;
    };
    static_assert(sizeof(Own) <= kOwnBytes);
    Own* own(int64_t worker) const { return reinterpret_cast<Own*>(worker_scratch_ + worker * layout_.kernel); }
    Later later(int64_t worker) const {
        if (call_.ahead.empty()) return {};
        const Ranges& ranges = call_.ahead[static_cast<size_t>(worker)];
        return {ranges.list.data(), ranges.list.data() + ranges.count};
    }
    void split(const Part& part, int64_t index, const Partial& to, int worker) const;
    void finish(const Part& part, const Partial& from) const;
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

void Attention::split(const Part& part, int64_t index, const Partial& to, int worker) const {
    const Arg &q_lat = call_.args[kQLat], &q_pe = call_.args[kQPe], &cache = call_.args[kCache];
    const CutSpan s = span(part.token);
    const int64_t first = s.first + index * s.cut.size, lora = p_.lora, rope = p_.rope;
    const int64_t query = part.token * layout_.heads + part.head;
    Own* mine = own(worker);
    const Split work = {.q_lat = q_lat.as<std::byte>() + query * lora * abi::element_bytes(q_lat.dtype),
                        .q_pe = q_pe.as<std::byte>() + query * rope * abi::element_bytes(q_pe.dtype),
                        .cache = cache.as<std::byte>() + first * (lora + rope) * abi::element_bytes(cache.dtype),
                        .q_lat_dtype = q_lat.dtype,
                        .q_pe_dtype = q_pe.dtype,
                        .cache_dtype = cache.dtype,
                        .heads = part.heads,
                        .lora = lora,
                        .rope = rope,
                        .rows = s.cut.rows_of(index),
                        .scale = p_.scale,
                        .to = to,
                        .scratch = reinterpret_cast<std::byte*>(mine) + kOwnBytes,
                        .later = &mine->later};
    if (mine->part != part) {
        k_.queries(work);
        mine->part = part;
    }
    k_.split(work);
}

void Attention::finish(const Part& part, const Partial& from) const {
    const Arg& o = call_.args[kO];
    const int64_t bytes = p_.lora * abi::element_bytes(o.dtype);
    std::byte* to = o.out<std::byte>() + (part.token * layout_.heads + part.head) * bytes;
    if (splits(part.token) == 0) {
        std::memset(to, 0, static_cast<size_t>(part.heads * bytes));
    } else {
        k_.finish(from, part.heads, p_.lora, o.dtype, to);
    }
}

void Attention::many() const {
    const int64_t groups = (layout_.heads + kHeads - 1) / kHeads;
    call_.pool->parallel_for(tokens_ * groups, 1, [&](int64_t item, int64_t last, int worker) {
        float* partials = partials_ + worker * 3 * layout_.slot;
        const Partial whole = layout_.at(partials, 0), four = layout_.at(partials, 1), next = layout_.at(partials, 2);
        for (; item < last; ++item) {
            // The longest spans are usually the last tokens': those first.
            const int64_t t = tokens_ - 1 - item / groups, head = item % groups * kHeads;
            const Part part = {t, head, std::min(kHeads, layout_.heads - head)};
            const int64_t count = splits(t);
            for (int64_t s = 0; s < count; ++s) {
                const Partial& sum = s < kFour ? whole : four;
                split(part, s, s % kFour == 0 ? sum : next, worker);
                if (s % kFour != 0) k_.merge(sum, next, part.heads);
                if (s >= kFour && (s % kFour == kFour - 1 || s == count - 1)) k_.merge(whole, four, part.heads);
            }
            finish(part, whole);
        }
    });
}

void Attention::few() const {
    int64_t longest = 0, all = 0;
    for (int64_t t = 0; t < tokens_; ++t) {
        longest = std::max(longest, splits(t));
        all += splits(t);
    }
    // Few splits: each is computed by several threads, some heads each.
    const int64_t wanted = all <= 1 ? threads_ : (2 * threads_ + all - 1) / all;
    const int64_t group = round_up((layout_.heads + wanted - 1) / wanted, k_.together);
    const int64_t groups = (layout_.heads + group - 1) / group;
    // Of each token's splits, `depth` in a round; [token][depth] slots behind the merged ones.
    const int64_t depth =
        std::clamp(layout_.slots / tokens_ / kFour * kFour, kFour, round_up(std::max<int64_t>(1, longest), kFour));
    float* slots = partials_ + layout_.rows * layout_.slot;
    auto* behind = reinterpret_cast<std::byte*>(slots + layout_.slots * layout_.slot);
    auto* counters = reinterpret_cast<int32_t*>(behind);
    // Where a round leaves work for all threads, a split's rows are one thread's for all tokens: the first one's reads
    // bring them into its cache.
    const int64_t together = std::min(depth, longest) * groups >= 2 * threads_ ? tokens_ : 1,
                  shares = tokens_ / together;

    for (int64_t done = 0; done == 0 || done < longest; done += depth) {
        const int64_t now = std::clamp<int64_t>(longest - done, 1, depth);
        // Of a token's splits, the round's d-th.
        const auto partial = [&](int64_t t, int64_t d, int64_t head) {
            return done + d == 0 ? layout_.at(partials_, t, head) : layout_.at(slots, t * depth + d, head);
        };
        std::fill_n(counters, tokens_ * (depth / kFour) * groups, 0);
        call_.pool->parallel_for(now * shares * groups, 1, [&](int64_t item, int64_t last, int worker) {
            for (; item < last; ++item) {
                const int64_t g = item % groups, from = item / groups % shares, d = item / groups / shares;
                const int64_t head = g * group, heads = std::min(group, layout_.heads - head),
                              first = d / kFour * kFour;
                for (int64_t t = from; t < from + together; ++t) {
                    const int64_t left = splits(t) - done;
                    if (d >= left) continue;
                    split({t, head, heads}, done + d, partial(t, d, head), worker);
                    const std::atomic_ref<int32_t> counter(counters[(t * depth + first) / kFour * groups + g]);
                    const int64_t members = std::min(kFour, left - first);
                    if (counter.fetch_add(1, std::memory_order_acq_rel) + 1 < members) continue;
                    for (int64_t i = 1; i < members; ++i)
                        k_.merge(partial(t, first, head), partial(t, first + i, head), heads);
                }
            }
        });
        const int64_t pieces = (layout_.heads + kMergedHeads - 1) / kMergedHeads;
        const int64_t grain = std::max<int64_t>(1, kFour * 2 / now);
        call_.pool->parallel_for(tokens_ * pieces, grain, [&](int64_t item, int64_t last, int) {
            for (; item < last; ++item) {
                const int64_t t = item / pieces, head = item % pieces * kMergedHeads;
                const int64_t heads = std::min(kMergedHeads, layout_.heads - head), left = splits(t) - done;
                const Partial whole = layout_.at(partials_, t, head);
                for (int64_t d = done == 0 ? kFour : 0; d < std::min(depth, left); d += kFour)
                    k_.merge(whole, partial(t, d, head), heads);
                if (done + depth >= longest) finish({t, head, heads}, whole);
            }
        });
    }
}

}  // namespace

uint64_t attention_scratch(const AttentionKernels& kernels, const Signature& s) {
    const auto& p = s.get<vks_mla_attention_params>();
    if (p.heads == 0 || p.lora == 0) return 0;  // o has no elements
    const Layout layout(kernels, p, s.args[kQLat].rows(), s.args[kCache].rows(), s.threads);
    return static_cast<uint64_t>(layout.floats(s.threads)) * sizeof(float);
}

void attention(const AttentionKernels& kernels, const Call& call) {
    if (call.args[kQLat].rows() == 0 || call.args[kO].row_elements() == 0) return;
    Attention(kernels, call).run();
}

}  // namespace vks::cpu::simd
