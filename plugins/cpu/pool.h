// The CPU plugin's threads: one pool per open device, with as many threads as this process may use cores unless asked
// otherwise.
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <type_traits>

namespace vks::cpu {

// Cores usable by this process: affinity mask, capped by the cgroup's CPU quota (rounded up). At least 1.
int usable_cores();

// parallel_for splits work over the calling thread and `threads - 1` workers that sleep when idle. Fewer threads than
// asked for if the system grants no more.
// Thread-safe: one parallel region at a time; a second caller waits for it. A nested call runs on the calling thread.
class Pool {
public:
    explicit Pool(int threads);
    ~Pool();
    Pool(const Pool&) = delete;
    Pool& operator=(const Pool&) = delete;

    int threads() const;

    // Calls body(context, first, last, worker) for ranges that cover [0, count) exactly once, each a multiple of
    // `grain` items (but where count ends): first large ones, then smaller ones. worker < threads() is unique among
    // concurrent calls: an index for scratch. No allocation. `body` must not throw.
    using Body = void (*)(void* context, int64_t first, int64_t last, int worker);
    void run(int64_t count, int64_t grain, Body body, void* context);

    template <class F>
    void parallel_for(int64_t count, int64_t grain, F&& f) {
        run(
            count, grain,
            [](void* context, int64_t first, int64_t last, int worker) {
                (*static_cast<std::remove_reference_t<F>*>(context))(first, last, worker);
            },
            &f);
    }

    // What a worker will read next: while it has nothing else to do it brings the first of it into its cache. Memory
    // that isn't there does no harm. [any thread]
    void foresee(int worker, const std::byte* data, int64_t bytes);

    // When a thread was at work in a region, in ns of the steady clock.
    struct Span {
        int worker = 0;
        int64_t begin = 0, end = 0;
    };
    // From now on that is noted, as far as there is room, or not, as at first. Allocates.
    void note_times(bool on);
    // Takes out what was noted, each thread's in its order. Returns how many.
    size_t take_times(std::span<Span> to);

private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace vks::cpu
