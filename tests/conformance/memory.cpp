// Group memory: buffers of every kind and size, copies of every dtype, and that nothing beside them is touched.
#include <algorithm>
#include <cstdlib>

#include "tests/conformance/groups.h"

namespace vks::conformance {
namespace {

std::vector<std::byte> pattern(size_t bytes, unsigned seed) {
    std::vector<std::byte> data(bytes);
    for (size_t i = 0; i < bytes; ++i) data[i] = std::byte((i * 2654435761u + seed * 97u) >> 11);
    return data;
}

void check_sizes(Target& t, Report& report) {
    for (const uint64_t bytes : {1, 2, 3, 63, 64, 65, 4096, (1 << 20) + 1}) {
        for (const uint32_t kind : {VKS_BUFFER_DEVICE, VKS_BUFFER_HOST}) {
            const std::string name =
                fmt::format("{} buffer of {} bytes", kind == VKS_BUFFER_HOST ? "host" : "device", bytes);
            vks_buffer* buffer = t.buffer(bytes, kind);
            if (!report.check(name, buffer, describe(t.status, t.error))) continue;
            auto* mapped = static_cast<std::byte*>(t.api.buffer_map(t.device, buffer));
            if (kind == VKS_BUFFER_HOST)
                report.check(name + " is mapped", mapped && reinterpret_cast<uintptr_t>(mapped) % 16 == 0,
                             "wanted an address, a multiple of 16");
            if (mapped) {
                const auto data = pattern(bytes, 3);
                std::copy(data.begin(), data.end(), mapped);
                const bool same = t.api.buffer_map(t.device, buffer) == mapped;
                report.check(name + " stays where it is", same && std::equal(data.begin(), data.end(), mapped),
                             "wanted one address and the bytes written there");
            }
            t.destroy(buffer);
        }
    }
}

void check_odd_requests(Target& t, Report& report) {
    for (const uint32_t kind : {VKS_BUFFER_DEVICE, VKS_BUFFER_HOST}) {
        // May work or be refused.
        if (vks_buffer* none = t.buffer(0, kind)) t.destroy(none);
    }
    report.check("a buffer of no bytes does no harm", true);
    const auto refused = [&](const char* name, uint64_t bytes, uint32_t kind, void* import) {
        vks_buffer* made = t.buffer(bytes, kind, import);
        report.check(name, !made && t.status != VKS_OK && t.error.text[0] != 0, "wanted an error with a text");
        if (made) t.destroy(made);
    };
    refused("a buffer larger than any memory is refused", uint64_t{1} << 62, VKS_BUFFER_DEVICE, nullptr);
    refused("a host buffer larger than any memory is refused", UINT64_MAX, VKS_BUFFER_HOST, nullptr);
    refused("an unknown kind of buffer is refused", 64, 99, nullptr);
    refused("an import of nothing is refused", 64, VKS_BUFFER_IMPORT, nullptr);
    vks_buffer* made = nullptr;
    const vks_status status =
        t.api.buffer_create(t.device, uint64_t{1} << 62, VKS_BUFFER_DEVICE, nullptr, &made, nullptr);
    report.check("buffer_create takes a null error", status != VKS_OK, "wanted an error");
}

void check_import(Target& t, Report& report) {
    const bool promised = t.info.flags & VKS_DEVICE_HOST_MEMORY;
    struct Free {
        void operator()(void* p) const { std::free(p); }
    };
    constexpr size_t kBytes = size_t{1} << 20;  // plugins may take the trouble for large tensors only
    const std::unique_ptr<void, Free> range(std::aligned_alloc(4096, kBytes));
    const auto data = pattern(kBytes, 5);
    std::memcpy(range.get(), data.data(), data.size());
    // A mapped file's tensors begin anywhere.
    for (const size_t at : {0, 256, 4}) {
        const std::string name = fmt::format("import at byte {} of a page", at);
        auto* first = static_cast<std::byte*>(range.get()) + at;
        vks_buffer* buffer = t.buffer(kBytes - at, VKS_BUFFER_IMPORT, first);
        if (!buffer) {
            const std::string why = describe(t.status, t.error);
            if (promised && at % 256 == 0) {
                report.check(name, false, "wanted success beside HOST_MEMORY, found " + why);
            } else {
                report.skip(name, why);
            }
            continue;
        }
        std::vector<std::byte> back(kBytes - at);
        const bool read = t.read(buffer, 0, back.data(), back.size());
        report.check(name, read && std::equal(back.begin(), back.end(), data.begin() + long(at)),
                     read ? "found other bytes" : describe(t.status, t.error));
        t.destroy(buffer);
    }
}

// One tensor up, across and down again, with guards around it everywhere.
std::string round_trip(Target& t, uint32_t dtype, const std::vector<int64_t>& dims) {
    uint64_t bytes = static_cast<uint64_t>(abi::element_bytes(dtype));
    for (const int64_t d : dims) bytes *= static_cast<uint64_t>(d);
    const uint64_t guard = std::max<uint64_t>(256, t.alignment()), whole = 2 * guard + bytes;
    const auto data = pattern(bytes, dtype + 10 * static_cast<unsigned>(dims.size()));
    std::vector<std::byte> filled(whole, kGuard);
    std::copy(data.begin(), data.end(), filled.begin() + long(guard));
    const std::vector<std::byte> empty(whole, kGuard);
    vks_buffer *up = t.buffer(whole, VKS_BUFFER_HOST), *a = t.buffer(whole, VKS_BUFFER_DEVICE),
               *b = t.buffer(whole, VKS_BUFFER_DEVICE), *down = t.buffer(whole, VKS_BUFFER_HOST);
    std::string problem;
    if (!up || !a || !b || !down) {
        problem = describe(t.status, t.error);
    } else if (!t.write(a, 0, empty.data(), whole) || !t.write(b, 0, empty.data(), whole)) {
        problem = describe(t.status, t.error);
    } else {
        auto* source = static_cast<std::byte*>(t.api.buffer_map(t.device, up));
        auto* target = static_cast<std::byte*>(t.api.buffer_map(t.device, down));
        std::copy(filled.begin(), filled.end(), source);
        std::copy(empty.begin(), empty.end(), target);
        vks_buffer* const way[] = {up, a, b, down};
        for (int i = 0; i < 3 && problem.empty(); ++i) {
            const vks_tensor from = tensor_at(dtype, dims, way[i], guard),
                             to = tensor_at(dtype, dims, way[i + 1], guard);
            t.error = {};
            if (!t.note(t.api.copy(t.stream, &from, &to, &t.error))) problem = describe(t.status, t.error);
        }
        if (!t.finish() && problem.empty()) problem = describe(t.status, t.error);
        std::vector<std::byte> between(whole);
        if (problem.empty() && !std::equal(filled.begin(), filled.end(), target)) problem = "found other bytes";
        if (problem.empty() && (!t.read(a, 0, between.data(), whole) || between != filled))
            problem = "found other bytes on the device";
    }
    for (vks_buffer* buffer : {up, a, b, down})
        if (buffer) t.destroy(buffer);
    return problem;
}

void check_copies(Target& t, Report& report) {
    const std::vector<std::vector<int64_t>> shapes = {{1}, {1001}, {3, 129}, {2, 3, 5}, {2, 3, 4, 7}, {128, 7168}};
    for (const uint32_t dtype : {VKS_F32, VKS_BF16, VKS_F16, VKS_F8_E4M3, VKS_I32, VKS_I64, VKS_U8}) {
        std::string problem;
        for (const auto& shape : shapes)
            if (problem.empty()) problem = round_trip(t, dtype, shape);
        report.check(fmt::format("copies of {}", abi::dtype_name(dtype)), problem.empty(), problem);
    }
    vks_buffer *a = t.buffer(1024, VKS_BUFFER_DEVICE), *b = t.buffer(1024, VKS_BUFFER_DEVICE);
    const auto refused = [&](const char* name, const vks_tensor& from, const vks_tensor& to) {
        t.error = {};
        const vks_status status = t.api.copy(t.stream, &from, &to, &t.error);
        report.check(name, status != VKS_OK && t.error.text[0] != 0, "wanted an error with a text");
        t.finish();
    };
    if (a && b) {
        const vks_tensor plain = tensor_at(VKS_F32, {8, 8}, a, 0), there = tensor_at(VKS_F32, {8, 8}, b, 0);
        refused("a copy between dtypes is refused", plain, tensor_at(VKS_I64, {4, 8}, b, 0));
        refused("a copy between shapes is refused", plain, tensor_at(VKS_F32, {4, 16}, b, 0));
        refused("a copy of an unknown dtype is refused", tensor_at(99, {8}, a, 0), tensor_at(99, {8}, b, 0));
        vks_tensor odd = there;
        odd.layout = VKS_LAYOUT_PRIVATE + 0x7777;
        refused("a copy to an unknown layout is refused", plain, odd);
        refused("a copy past the end of its buffer is refused", plain, tensor_at(VKS_F32, {8, 8}, b, 1000));
    }
    for (vks_buffer* buffer : {a, b})
        if (buffer) t.destroy(buffer);
}

}  // namespace

void check_memory(Target& target, Report& report) {
    report.group("memory");
    check_sizes(target, report);
    check_odd_requests(target, report);
    check_import(target, report);
    check_copies(target, report);
}

}  // namespace vks::conformance
