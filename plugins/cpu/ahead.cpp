#include "plugins/cpu/ahead.h"

#include <algorithm>
#include <mutex>

#include "plugins/cpu/device.h"

namespace vks::cpu {
namespace {

// Steps with more rows of x take longer to multiply than to read.
constexpr int64_t kFewRows = 24;
// For each thread of an op that computes: its L2 and some of what is behind it.
constexpr int64_t kAheadBytes = int64_t{3} << 19;
// No step of a model has so many launches; a stream that is never submitted may.
constexpr size_t kMostLaunches = 8192;

}  // namespace

std::span<const Ranges> Ahead::launched(const vks_kernel& kernel) {
    const vks_device& device = *kernel.device;
    if (const uint64_t freed = device.freed.load(std::memory_order_relaxed); freed != freed_) {
        for (Launches& launches : known_) launches.clear();
        now_.clear();
        follows_ = nullptr;
        freed_ = freed;
    }
    const size_t i = now_.size();
    if (i == kMostLaunches) return {};
    now_.push_back({&kernel, kernel.op, SIZE_MAX});
    if (i == 0) {
        for (const Launches& launches : known_)
            if (!launches.empty() && launches[0].kernel == &kernel) follows_ = &launches;
    }
    if (!follows_) return {};
    if (i >= follows_->size() || (*follows_)[i].kernel != &kernel) {
        follows_ = nullptr;
        return {};
    }
    if (kernel.op->computes) {
        list_ahead(i);
        return ahead_;
    }
    if (device.pool.threads() == 1) return {};
    const size_t next = (*follows_)[i].reader;
    if (next == SIZE_MAX || next == told_) return {};
    const Launch& reader = (*follows_)[next];
    // Lists that this step hasn't written yet would name the last step's experts.
    if (reader.op->by_lists && reader.op != kernel.op) return {};
    told_ = next;
    with_call(kernel, *reader.kernel, [&](const Call& call, int threads) {
        for (int thread = 1; thread < threads; ++thread) {  // the caller is never idle
            const Range range = reader.op->weights(call, thread, threads, 0);
            call.pool->foresee(thread, range.data, range.bytes);
        }
    });
    return {};
}

// f(reader's last call, threads), if it can be looked into and is one that reads more than it computes. Other threads
// may destroy kernels and buffers, though not this one.
template <class F>
void Ahead::with_call(const vks_kernel& kernel, const vks_kernel& reader, F&& f) const {
    if (&reader == &kernel) return;
    vks_device& device = *kernel.device;
    const std::unique_lock here(device.freeing, std::try_to_lock);
    if (!here || device.freed.load(std::memory_order_relaxed) != freed_) return;
    const std::unique_lock lock(reader.bound.mutex, std::try_to_lock);
    if (!lock || reader.bound.given.empty() || reader.bound.freed != freed_) return;
    const Call call{reader.bound.args, reader.params.data(), nullptr, &device.pool};
    if (call.args[0].rows() <= kFewRows) f(call, device.pool.threads());
}

// Fills ahead_ with what is read by those behind `launch`, of those it is like.
void Ahead::list_ahead(size_t launch) {
    const vks_kernel& kernel = *(*follows_)[launch].kernel;
    ahead_.resize(static_cast<size_t>(kernel.device->pool.threads()));
    for (Ranges& ranges : ahead_) ranges.count = 0;
    int64_t listed = 0;  // the first thread's bytes
    for (size_t i = launch + 1; i < follows_->size() && listed < kAheadBytes; ++i) {
        const Launch& reader = (*follows_)[i];
        if (!reader.op->weights) continue;
        if (reader.op->by_lists) return;
        with_call(kernel, *reader.kernel, [&](const Call& call, int threads) {
            for (int thread = 0; thread < threads; ++thread) {
                Ranges& ranges = ahead_[static_cast<size_t>(thread)];
                for (int64_t piece = 0; ranges.count < ranges.list.size(); ++piece) {
                    const Range range = reader.op->weights(call, thread, threads, piece);
                    if (range.bytes == 0) break;
                    ranges.list[ranges.count++] = range;
                    if (thread == 0) listed += range.bytes;
                }
            }
        });
    }
}

void Ahead::submitted() {
    if (now_.empty()) return;
    const bool whole = now_.size() < kMostLaunches;
    if (whole && (!follows_ || follows_->size() != now_.size())) {
        size_t reader = SIZE_MAX;
        for (int round = 0; round < 2; ++round) {  // the second knows what comes after the end
            for (size_t i = now_.size(); i-- > 0;) {
                now_[i].reader = reader;
                if (now_[i].op->weights) reader = i;
            }
        }
        const auto same = [&](const Launches& l) { return !l.empty() && l[0].kernel == now_[0].kernel; };
        auto at = std::find_if(known_.begin(), known_.end(), same);
        if (at == known_.end()) at = known_.begin() + static_cast<std::ptrdiff_t>(oldest_++ % known_.size());
        at->swap(now_);
    }
    now_.clear();
    follows_ = nullptr;
    told_ = SIZE_MAX;
}

Range part_of(const Arg& w, int64_t first, int64_t count, int64_t thread, int64_t threads) {
    const int64_t row = w.dim[1] * abi::element_bytes(w.dtype);
    const int64_t from = count * thread / threads, to = count * (thread + 1) / threads;
    return {w.as<std::byte>() + (first + from) * row, (to - from) * row};
}

}  // namespace vks::cpu
