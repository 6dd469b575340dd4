// A pool whose idle workers cost nothing and whose caller never waits for a worker that hasn't woken yet: a region is a
// gate that workers may join while it is open; the caller closes it when its own share runs out and waits for those
// inside.
#include "plugins/cpu/pool.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <mutex>
#include <system_error>
#include <thread>
#include <vector>

#if defined(__linux__)
#include <sched.h>
#endif
#if defined(__x86_64__) || defined(__i386__)
#include <immintrin.h>
#endif

#include "plugins/cpu/machine.h"

namespace vks::cpu {
namespace {

// How long an idle worker looks for work before it sleeps: longer than the gap between two launches, and than that
// between two steps, where an id is chosen. Waking it takes the launching thread some 30 us.
constexpr std::chrono::microseconds kSpin{300};
// How much an idle worker fetches beforehand: memory's work of some microseconds. Decoding bench-m with two threads,
// against none: 32 and 64 KiB 3 % more tokens, 128 KiB 1.5 %, 256 KiB 2 % less.
constexpr int64_t kFetched = int64_t{64} << 10;
// Room for a thread's times: regions of some steps.
constexpr size_t kTimes = 1 << 14;
// The gate's bit that lets workers in; below it, how many are inside.
constexpr uint32_t kOpen = 1u << 31;

void relax() {
#if defined(__x86_64__) || defined(__i386__)
    _mm_pause();
#elif defined(__aarch64__)
    asm volatile("yield");
#endif
}

// Which pools the current thread is inside of, as which worker: a nested region runs inline under the same number.
struct Frame {
    const void* pool;
    int worker;
    const Frame* outer;
};
thread_local const Frame* innermost = nullptr;  // NOLINT(*-non-const-global-variables): what this thread runs

const Frame* inside(const void* pool) {
    for (const Frame* frame = innermost; frame; frame = frame->outer) {
        if (frame->pool == pool) return frame;
    }
    return nullptr;
}

class Enter {
public:
    Enter(const void* pool, int worker) : frame_{pool, worker, innermost} { innermost = &frame_; }
    ~Enter() { innermost = frame_.outer; }
    Enter(const Enter&) = delete;
    Enter& operator=(const Enter&) = delete;

private:
    Frame frame_;
};

void prefetch(const std::byte* p) {
#if defined(__x86_64__) || defined(__i386__)
    _mm_prefetch(reinterpret_cast<const char*>(p), _MM_HINT_T1);
#else
    __builtin_prefetch(p, 0, 2);
#endif
}

// What a worker will read, as told by whoever launches. The two may be of different tellings: it is a hint.
struct alignas(64) Next {
    std::atomic<const std::byte*> data{nullptr};
    std::atomic<int64_t> bytes{0};
};

// A run of items, taken from its front. On a cache line of its own.
struct alignas(64) Share {
    std::atomic<int64_t> next{0};
    int64_t end = 0;

    // Takes a quarter of what is left, at least `grain` items: threads seldom meet here, and finish together. False:
    // there was none.
    bool take(int64_t grain, int64_t& first, int64_t& last) {
        first = next.load(std::memory_order_relaxed);
        do {
            if (first >= end) return false;
            last = std::min(end, first + std::max(grain, (end - first) / (4 * grain) * grain));
        } while (!next.compare_exchange_weak(first, last, std::memory_order_relaxed));
        return true;
    }
};

int64_t now_ns() {
    return std::chrono::nanoseconds(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// Spins on `changed` for a while when spinning is worth it, then sleeps until `value` differs from `old`.
template <class Changed>
void wait_for(const std::atomic<uint32_t>& value, uint32_t old, bool spin, Changed&& changed) {
    if (spin) {
        const auto end = std::chrono::steady_clock::now() + kSpin;
        do {
            for (int i = 0; i < 64; ++i) {
                if (changed()) return;
                relax();
            }
        } while (std::chrono::steady_clock::now() < end);
    }
    value.wait(old, std::memory_order_acquire);
}

}  // namespace

int usable_cores() {
    int cores = static_cast<int>(std::thread::hardware_concurrency());
#if defined(__linux__)
    // The kernel's mask may be wider than cpu_set_t: ask with growing sets until it fits.
    for (int width = 1024; width <= 1 << 20; width *= 4) {
        cpu_set_t* set = CPU_ALLOC(static_cast<size_t>(width));
        if (!set) break;
        const size_t bytes = CPU_ALLOC_SIZE(static_cast<size_t>(width));
        const bool fits = sched_getaffinity(0, bytes, set) == 0;
        if (fits) cores = CPU_COUNT_S(bytes, set);
        CPU_FREE(set);
        if (fits) break;
    }
#endif
    const int quota = quota_cores();
    if (quota > 0 && quota < cores) cores = quota;
    return cores < 1 ? 1 : cores;
}

struct Pool::Impl {
    std::vector<std::thread> workers;
    bool spin = true;
    std::mutex region;  // held by the caller of the running region

    // The open region's description: written with the gate closed, read by those who passed it.
    int64_t grain = 1, shares = 0;
    Body body = nullptr;
    void* context = nullptr;
    std::unique_ptr<Share[]> share;  // one per thread, of which the region has the first `shares`

    std::unique_ptr<Next[]> next;  // one per thread

    bool noting = false;
    std::vector<std::vector<Span>> times;  // by thread, which alone adds to its own while a region is open

    std::atomic<uint32_t> gate{0};
    std::atomic<uint32_t> epoch{0};  // grows with every region; idle workers watch it
    std::atomic<bool> stop{false};

    // Cuts [0, count) into as many shares as there are threads to work on it.
    void divide(int64_t count) {
        const int64_t pieces = (count + grain - 1) / grain;
        shares = std::min(pieces, static_cast<int64_t>(workers.size()) + 1);
        for (int64_t i = 0; i < shares; ++i) {
            share[static_cast<size_t>(i)].next.store(pieces * i / shares * grain, std::memory_order_relaxed);
            share[static_cast<size_t>(i)].end = std::min(count, pieces * (i + 1) / shares * grain);
        }
    }

    // A thread's own share first: it reads on where its last piece ended. Then what others have left. False: nothing
    // was.
    bool take_shares(int worker) const {
        bool any = false;
        for (int64_t i = 0; i < shares; ++i) {
            Share& from = share[static_cast<size_t>((worker + i) % shares)];
            for (int64_t first = 0, last = 0; from.take(grain, first, last); any = true) {
                body(context, first, last, worker);
            }
        }
        return any;
    }

    void work(int worker) {
        if (!noting) {
            take_shares(worker);
            return;
        }
        const int64_t begin = now_ns();
        std::vector<Span>& mine = times[static_cast<size_t>(worker)];
        if (take_shares(worker) && mine.size() < mine.capacity()) mine.push_back({worker, begin, now_ns()});
    }

    // Passes the gate if it is open, works, leaves.
    void join(int worker) {
        uint32_t seen = gate.load(std::memory_order_relaxed);
        do {
            if (!(seen & kOpen)) return;
        } while (!gate.compare_exchange_weak(seen, seen + 1, std::memory_order_acquire, std::memory_order_relaxed));
        work(worker);
        if (gate.fetch_sub(1, std::memory_order_release) == 1) gate.notify_one();
    }

    // Until there is work again, fetches what worker will read next; `fetched` is what it did that for last.
    void fetch_next(int worker, uint32_t seen, const std::byte*& fetched) const {
        const Next& told = next[static_cast<size_t>(worker)];
        const std::byte* data = told.data.load(std::memory_order_relaxed);
        if (data == fetched) return;
        fetched = data;
        constexpr int64_t kLine = 64, kStep = 8 * kLine;
        const int64_t bytes = std::min(told.bytes.load(std::memory_order_relaxed), kFetched);
        for (int64_t i = 0; i < bytes; i += kStep) {
            if (epoch.load(std::memory_order_relaxed) != seen) return;
            for (int64_t j = 0; j < kStep; j += kLine) prefetch(data + i + j);
        }
    }

    void serve(int worker) {
        const Enter enter(this, worker);
        uint32_t seen = 0;
        const std::byte* fetched = nullptr;
        while (!stop.load(std::memory_order_acquire)) {
            const uint32_t now = epoch.load(std::memory_order_acquire);
            if (now == seen) {
                fetch_next(worker, seen, fetched);
                wait_for(epoch, seen, spin, [&] { return epoch.load(std::memory_order_relaxed) != seen; });
                continue;
            }
            seen = now;
            join(worker);
        }
    }

    void wake(int64_t wanted) {
        epoch.fetch_add(1, std::memory_order_release);
        if (wanted >= static_cast<int64_t>(workers.size())) {
            epoch.notify_all();
        } else {
            for (; wanted > 0; --wanted) epoch.notify_one();
        }
    }

    Impl() = default;
    Impl(const Impl&) = delete;
    Impl& operator=(const Impl&) = delete;
    ~Impl() {
        stop.store(true, std::memory_order_release);
        epoch.fetch_add(1, std::memory_order_release);
        epoch.notify_all();
        for (std::thread& worker : workers) worker.join();
    }
};

Pool::Pool(int threads) : impl_(std::make_unique<Impl>()) {
    Impl& impl = *impl_;
    // With more threads than cores a spinning one only keeps a working one from running.
    impl.spin = threads <= usable_cores();
    impl.share = std::make_unique<Share[]>(static_cast<size_t>(std::max(threads, 1)));
    impl.next = std::make_unique<Next[]>(static_cast<size_t>(std::max(threads, 1)));
    try {
        for (int worker = 1; worker < threads; ++worker) {
            impl.workers.emplace_back([&impl, worker] { impl.serve(worker); });
        }
    } catch (const std::system_error&) {  // no more threads to be had: go on with those there are
    }
}

Pool::~Pool() = default;

int Pool::threads() const {
    return static_cast<int>(impl_->workers.size()) + 1;
}

void Pool::foresee(int worker, const std::byte* data, int64_t bytes) {
    Next& told = impl_->next[static_cast<size_t>(worker)];
    told.bytes.store(bytes, std::memory_order_relaxed);
    told.data.store(data, std::memory_order_relaxed);
}

void Pool::note_times(bool on) {
    const std::lock_guard lock(impl_->region);
    impl_->noting = false;  // until there is room for all
    impl_->times.assign(on ? static_cast<size_t>(threads()) : 0, {});
    for (std::vector<Span>& of_thread : impl_->times) of_thread.reserve(kTimes);
    impl_->noting = on;
}

size_t Pool::take_times(std::span<Span> to) {
    const std::lock_guard lock(impl_->region);
    size_t taken = 0;
    for (std::vector<Span>& of_thread : impl_->times) {
        const size_t n = std::min(of_thread.size(), to.size() - taken);
        const auto end = of_thread.begin() + static_cast<std::ptrdiff_t>(n);
        std::copy(of_thread.begin(), end, to.begin() + static_cast<std::ptrdiff_t>(taken));
        of_thread.erase(of_thread.begin(), end);
        taken += n;
    }
    return taken;
}

void Pool::run(int64_t count, int64_t grain, Body body, void* context) {
    Impl& impl = *impl_;
    if (grain < 1) grain = 1;
    const Frame* outer = inside(&impl);
    if (outer) {
        for (int64_t first = 0; first < count; first += grain) {
            body(context, first, count - first < grain ? count : first + grain, outer->worker);
        }
        return;
    }
    const std::lock_guard lock(impl.region);
    const Enter enter(&impl, 0);
    impl.grain = grain;
    impl.body = body;
    impl.context = context;
    impl.divide(count);
    const int64_t wanted = impl.shares - 1;
    if (wanted <= 0) {
        impl.work(0);
        return;
    }
    impl.gate.store(kOpen, std::memory_order_release);
    impl.wake(wanted);
    impl.work(0);
    uint32_t left = impl.gate.fetch_and(~kOpen, std::memory_order_acq_rel) & ~kOpen;
    while (left != 0) {
        wait_for(impl.gate, left, impl.spin, [&] { return impl.gate.load(std::memory_order_relaxed) != left; });
        left = impl.gate.load(std::memory_order_acquire);
    }
}

}  // namespace vks::cpu
