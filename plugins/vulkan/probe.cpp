// vks.probe/1: what the device does at best, by the shaders of shaders/peak.
#include <algorithm>
#include <bit>
#include <chrono>

#include "plugins/vulkan/alone.h"
#include "shaders/peak.h"

namespace vks::vulkan {
namespace {

constexpr uint32_t kChains = 12, kMatrices = 4;  // of an invocation, of a subgroup
constexpr uint32_t kRounds = 4096;               // llvmpipe ends loops after 65535
constexpr uint32_t kSlice = 4096;                // 16-byte elements: of a group
// Short tries, many of them: on a busy machine the best one is then one that nobody interrupted.
constexpr int kTries = 100;
constexpr uint64_t kTryNs = 2'000'000;
constexpr double kAllSeconds = 0.3;
constexpr uint32_t kMostGroups = 1u << 24, kNever = 0x7fc12345;

double now() {
    return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// A shader, its buffer, and what a group of it does.
struct Peak {
    Program program;
    uint64_t bytes = 256;
    shaders::PeakPush push{0, kRounds, 0, kNever};
    double work_a_group = 0;
};

uint64_t timed(Alone& shader, Peak& peak, uint32_t groups) {
    peak.push.groups = groups;
    AloneRun run{.groups = groups};
    static_assert(sizeof run.push == sizeof peak.push);
    std::memcpy(run.push, &peak.push, sizeof peak.push);
    if (!shader.run(run)) throw Failure(VKS_TIMEOUT, "probe: " + peak.program.shader + " doesn't end");
    return std::max<uint64_t>(1, shader.ns());
}

// As many groups as take long enough to time; then the best of several tries.
void best_of(Alone& shader, Peak& peak, vks_probe& out) {
    uint32_t groups = 16;
    timed(shader, peak, groups);  // compiles
    uint64_t ns = timed(shader, peak, groups);
    for (; ns < kTryNs && groups < kMostGroups; ns = timed(shader, peak, groups)) groups *= 2;
    const double end = now() + kAllSeconds;
    for (int i = 0; i < kTries && now() < end; ++i) ns = std::min(ns, timed(shader, peak, groups));
    out.work = uint64_t(peak.work_a_group * groups);
    out.ns = ns;
}

uint32_t workgroup(const Caps& caps) {
    return caps.software ? std::bit_floor(caps.subgroup) : std::min(256u, std::bit_floor(caps.max_invocations));
}

Peak read(const Caps& caps, uint64_t bytes) {
    Peak peak{.program = {"peak_read", workgroup(caps), {}}};
    const uint64_t least = uint64_t{32} * peak.program.workgroup;
    if (bytes < least)
        throw Failure(VKS_INVALID,
                      "probe: wanted " + std::to_string(least) + " bytes or more, found " + std::to_string(bytes));
    if (bytes > caps.max_binding) throw Failure(VKS_UNSUPPORTED, "probe: larger than the device's bindings");
    peak.bytes = bytes;
    peak.push.size = uint32_t(bytes / 16);
    peak.push.slice = std::min(kSlice, std::bit_floor(peak.push.size));
    peak.work_a_group = 16.0 * peak.push.slice;
    return peak;
}

Peak chains(const Caps& caps, const char* shader, double operations) {
    Peak peak{.program = {shader, workgroup(caps), {}}};
    peak.work_a_group = double(kRounds) * kChains * operations * peak.program.workgroup;
    return peak;
}

Peak matrices(const MatrixShape& m) {
    Peak peak{.program = {"peak_matrix", m.subgroup, {{"TM", m.m}, {"TN", m.n}, {"TK", m.k}}, m.ask ? m.subgroup : 0}};
    peak.work_a_group = double(kRounds) * kMatrices * 2.0 * m.m * m.n * m.k;
    return peak;
}

// UNSUPPORTED: there is no such instruction.
Peak peak_of(const Caps& caps, const vks_probe& probe) {
    if (probe.kind == VKS_PROBE_READ) return read(caps, probe.bytes);
    if (probe.kind == VKS_PROBE_F32) return chains(caps, "peak_f32", 2);
    if (probe.kind == VKS_PROBE_F16 && caps.float16) return chains(caps, "peak_f16", 4);
    if (probe.kind == VKS_PROBE_I8 && caps.integer_dot) return chains(caps, "peak_i8", 8);
    if (probe.kind == VKS_PROBE_MATRIX && caps.matrix && has_shader("peak_matrix")) return matrices(caps.matrix);
    throw Failure(VKS_UNSUPPORTED, "probe: this device has no such instruction");
}

vks_status run(vks_device* device, vks_probe* probe, vks_error* error) noexcept {
    return guarded(error, [&] {
        if (!device || !probe || probe->size < sizeof(vks_probe)) throw Failure(VKS_INVALID, "probe: incomplete");
        device->check_alive();
        Peak peak = peak_of(device->caps(), *probe);
        Alone shader(*device, peak.program, peak.bytes, Memory::kDevice);
        if (probe->kind == VKS_PROBE_READ) {
            // Memory that was never written may be one page of zeros, over and over.
            peak.push.never = 1;
            timed(shader, peak, peak.push.size / peak.push.slice);
            peak.push.never = kNever;
        }
        best_of(shader, peak, *probe);
        return vks_status{VKS_OK};
    });
}

}  // namespace

extern constinit const vks_probe_api kProbeApi = {.size = sizeof(vks_probe_api), .run = run};

}  // namespace vks::vulkan
