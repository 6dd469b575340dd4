// What a stream will read next. Memory rests while a token's small operators run, one thread's work of a microsecond or
// two each; meanwhile idle threads fetch the beginnings of their shares of the next weights into their caches. Which
// those are is known because a step's launches are as a rule those of an earlier one. An operator that computes for
// long is told, too, and fetches more.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "plugins/cpu/op.h"

struct vks_kernel;

namespace vks::cpu {

// The launches of a stream between two submissions, and of a few earlier ones: a model's step for one id, for drafts,
// an MTP module's. For the one thread that launches. Allocates only for what is new. Kernels are looked into only while
// nothing has been freed since they were noted, and with what is freed held back (vks_device::freeing).
class Ahead {
public:
    // Before `kernel` runs, its arguments being in order. Tells the device's pool. For an op that computes: what each
    // thread will read after it, until the next call; empty: not known.
    std::span<const Ranges> launched(const vks_kernel& kernel);
    void submitted();

private:
    struct Launch {
        const vks_kernel* kernel;  // maybe gone
        const Op* op;              // the kernel's
        size_t reader;             // the next launch behind it that reads weights, or at the end the first one
    };
    using Launches = std::vector<Launch>;
    template <class F>
    void with_call(const vks_kernel& kernel, const vks_kernel& reader, F&& f) const;
    void list_ahead(size_t launch);

    std::array<Launches, 4> known_;  // each begins with another kernel
    size_t oldest_ = 0;
    Launches now_;
    const Launches* follows_ = nullptr;  // the one that now_ has been like so far
    size_t told_ = SIZE_MAX;             // the reader that the pool knows
    uint64_t freed_ = 0;
    std::vector<Ranges> ahead_;  // of each thread
};

// Thread `thread`'s part of w's rows [first, first + count), in parts for so many threads.
Range part_of(const Arg& w, int64_t first, int64_t count, int64_t thread, int64_t threads);

}  // namespace vks::cpu
