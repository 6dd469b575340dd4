#include "plugins/cpu/probe.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <memory>

#include "plugins/cpu/device.h"
#include "plugins/cpu/simd/probe.h"

namespace vks::cpu {
namespace {

using abi::fail;
using abi::guard;

constexpr uint64_t kMostBytes = uint64_t{1} << 32;
// Short tries, many of them: on a busy machine the best one is then one that nobody interrupted.
constexpr int kTries = 200;
constexpr double kTryNs = 1.5e6, kAllNs = 4e8;
constexpr uint64_t kLine = 64;

double now_ns() {
    return std::chrono::duration<double, std::nano>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// All threads at once, each `rounds` times body(thread, rounds) -> a float. The time until the last is done.
template <class Body>
double timed(Pool& pool, int64_t rounds, Body&& body) {
    static std::atomic<float> kept;  // so that no compiler leaves the work out
    const double begin = now_ns();
    pool.parallel_for(pool.threads(), 1, [&](int64_t first, int64_t last, int) {
        for (int64_t thread = first; thread < last; ++thread) kept = body(thread, rounds);
    });
    return now_ns() - begin;
}

// Finds how many rounds last long enough to time, then takes the best of several tries.
template <class Body>
void best_of(Pool& pool, double work_a_round, vks_probe& probe, Body&& body) {
    int64_t rounds = 1;
    double ns = timed(pool, rounds, body);
    while (ns < kTryNs && rounds < int64_t{1} << 40) {
        rounds *= 2;
        ns = timed(pool, rounds, body);
    }
    const double end = now_ns() + kAllNs;
    for (int i = 0; i < kTries && now_ns() < end; ++i) ns = std::min(ns, timed(pool, rounds, body));
    probe.work = uint64_t(work_a_round * double(rounds) * pool.threads());
    probe.ns = uint64_t(ns);
}

struct Free {
    void operator()(void* memory) const { std::free(memory); }  // NOLINT(cppcoreguidelines-no-malloc): aligned_alloc's
};

vks_status read(Pool& pool, vks_probe& probe, vks_error* error) {
    const auto threads = uint64_t(pool.threads());
    const uint64_t part = std::min(probe.bytes, kMostBytes) / threads / kLine * kLine;
    if (part == 0) return fail(error, VKS_INVALID, "probe: wanted %llu bytes or more", 1ULL * kLine * threads);
    // Each thread's is its own, from the first touch on.
    const std::unique_ptr<void, Free> memory(std::aligned_alloc(kLine, part * threads));
    if (!memory) return fail(error, VKS_NO_MEMORY, "probe: no memory");
    auto* floats = static_cast<float*>(memory.get());
    const size_t count = part / sizeof(float);
    pool.parallel_for(int64_t(threads), 1, [&](int64_t first, int64_t last, int) {
        std::fill(floats + size_t(first) * count, floats + size_t(last) * count, 1.0f);
    });
    best_of(pool, double(part), probe, [&](int64_t thread, int64_t rounds) {
        float sum = 0;
        for (int64_t i = 0; i < rounds; ++i) sum += simd::read_all(floats + size_t(thread) * count, count);
        return sum;
    });
    return VKS_OK;
}

vks_status run(vks_device* device, vks_probe* probe, vks_error* error) noexcept {
    return guard(error, [&] {
        if (!device || !probe || probe->size < sizeof(vks_probe)) return fail(error, VKS_INVALID, "probe: incomplete");
        if (probe->kind == VKS_PROBE_READ) return read(device->pool, *probe, error);
        const simd::Multiplier multiplier = simd::multiplier(probe->kind);
        if (!multiplier.run) return fail(error, VKS_UNSUPPORTED, "probe: this CPU has no such instruction");
        best_of(device->pool, multiplier.operations, *probe,
                [&](int64_t, int64_t rounds) { return multiplier.run(rounds); });
        return vks_status{VKS_OK};
    });
}

}  // namespace

const vks_probe_api kProbeApi = {sizeof(vks_probe_api), run};

}  // namespace vks::cpu
