// One plugin that is wrong in one way: the way its file name says (libvkseek_<way>.so), so that a test makes the plugin
// it wants by copying the file. All that isn't wrong is right: a host-memory device that claims rms_norm and computes
// nothing.
#include <dlfcn.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <csignal>
#include <cstdlib>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "backend/abi/draft/findings.h"
#include "backend/abi/draft/stats.h"
#include "backend/abi/plugin.hpp"

struct vks_device {};
struct vks_buffer {
    std::vector<std::byte> storage;
    void* data = nullptr;
};
struct vks_kernel {};
struct vks_stream {};
struct vks_fence {
    std::atomic<uint64_t> value{0};
};

namespace {

using vks::abi::fail;

// "open_throws" of ".../libvkseek_open_throws.so"
std::string way() {
    Dl_info self{};
    if (dladdr(reinterpret_cast<const void*>(&way), &self) == 0 || !self.dli_fname) return {};
    std::string name = self.dli_fname;
    name.erase(0, name.rfind("libvkseek_") + 10);
    return name.substr(0, name.rfind(".so"));
}
const std::string kBad = way();
bool bad(std::string_view name) {
    return kBad == name;
}

// What no caller can catch.
void end_the_process(std::string_view where) {
    if (bad(std::string(where) + "_aborts")) std::abort();
    if (bad(std::string(where) + "_exits")) std::_Exit(0);
    if (bad(std::string(where) + "_crashes")) raise(SIGSEGV);
    if (bad(std::string(where) + "_throws_early")) throw std::runtime_error("out of a constructor");
}
const struct Early {
    Early() { end_the_process("constructor"); }
} kEarly;

// Fills a text to its last byte: no terminator, not UTF-8, control characters.
template <size_t kSize>
void shout(char (&text)[kSize]) {
    for (size_t i = 0; i < kSize; ++i) text[i] = "A\x1b\xff\n"[i % 4];
}

// An address that nothing is at, as a T.
template <class T>
T nowhere() {
    return reinterpret_cast<T>(uintptr_t{0x1238});
}

// Bytes of a T at the end of a page behind which nothing is.
template <class T>
T* at_the_edge(const T& value) {
    const auto page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
    void* pages = mmap(nullptr, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (pages == MAP_FAILED) return nullptr;
    char* edge = static_cast<char*>(pages) + page;
    mprotect(edge, page, PROT_NONE);
    return static_cast<T*>(std::memcpy(edge - sizeof value, &value, sizeof value));
}

// What a wrong status function does.
vks_status wrong(std::string_view name, vks_error* error) {
    if (bad(std::string(name) + "_throws")) throw std::runtime_error("out of a plugin");
    if (bad(std::string(name) + "_throws_int")) throw 42;
    if (bad(std::string(name) + "_garbage")) return 4711;
    if (bad(std::string(name) + "_fails")) return fail(error, VKS_INTERNAL, "told to fail");
    if (bad(std::string(name) + "_lost")) return fail(error, VKS_DEVICE_LOST, "fell off the bus");
    if (bad(std::string(name) + "_shouts")) {
        if (error) shout(error->text);
        return VKS_INVALID;
    }
    return VKS_OK;
}

vks_status describe(vks_info* out) {
    std::strcpy(out->name, "bad");
    std::strcpy(out->detail, "wrong on purpose");
    out->bytes_total = out->bytes_free = out->max_buffer = out->max_binding = uint64_t{1} << 40;
    out->alignment = bad("info_alignment") ? 48 : 64;
    out->flags = VKS_DEVICE_SOFTWARE | VKS_DEVICE_HOST_MEMORY;
    if (bad("unusable")) out->flags |= VKS_DEVICE_UNUSABLE;
    if (bad("info_shouts")) {
        shout(out->name);
        shout(out->detail);
    }
    return VKS_OK;
}

vks_status info(vks_device*, vks_info* out, vks_error* error) {
    describe(out);
    return bad("info_shouts") ? vks_status{VKS_OK} : wrong("info", error);
}

vks_status buffer_create(vks_device*, uint64_t bytes, uint32_t kind, void* import, vks_buffer** out, vks_error* error) {
    if (bad("buffer_null")) return VKS_OK;
    if (const vks_status status = wrong("buffer", error)) return status;
    *out = new vks_buffer;
    if (kind != VKS_BUFFER_IMPORT) (*out)->storage.resize(bytes);
    (*out)->data = kind == VKS_BUFFER_IMPORT ? import : (*out)->storage.data();
    return VKS_OK;
}
void buffer_destroy(vks_device*, vks_buffer* buffer) {
    delete buffer;
    wrong("buffer_destroy", nullptr);
}
void* buffer_map(vks_device*, vks_buffer* buffer) {
    wrong("map", nullptr);
    return bad("map_null") ? nullptr : buffer->data;
}

vks_status query(vks_device*, const vks_op* op, vks_support* out, vks_error* error) {
    if (const vks_status status = wrong("query", error)) return status;
    out->verdict = VKS_OK;
    if (bad("query_verdict")) out->verdict = -77;
    out->est_ns = 1;
    out->scratch_bytes = bad("query_scratch") ? UINT64_MAX - 100 : 0;
    const uint32_t layout = bad("query_layout") ? 5u : bad("query_packs") ? uint32_t{VKS_LAYOUT_PRIVATE} : 0u;
    std::fill_n(out->arg_layout, op->arg_count, layout);
    std::strcpy(out->variant, "bad");
    if (bad("variant_shouts")) shout(out->variant);
    return VKS_OK;
}
uint64_t packed_bytes(vks_device*, const vks_tensor*) {
    wrong("packed_bytes", nullptr);
    return 64;
}
vks_status prepare(vks_device*, const vks_op*, vks_kernel** out, vks_error* error) {
    if (bad("prepare_null")) return VKS_OK;
    if (const vks_status status = wrong("prepare", error)) return status;
    *out = new vks_kernel;
    return VKS_OK;
}
void kernel_destroy(vks_device*, vks_kernel* kernel) {
    delete kernel;
    wrong("kernel_destroy", nullptr);
}
vks_status stream_create(vks_device*, vks_stream** out, vks_error* error) {
    if (bad("stream_null")) return VKS_OK;
    if (const vks_status status = wrong("stream", error)) return status;
    *out = new vks_stream;
    return VKS_OK;
}
void stream_destroy(vks_stream* stream) {
    delete stream;
    wrong("stream_destroy", nullptr);
}
vks_status copy(vks_stream*, const vks_tensor*, const vks_tensor*, vks_error* error) {
    return wrong("copy", error);
}
vks_status launch(vks_stream*, vks_kernel*, const vks_tensor*, uint64_t, const vks_tensor*, vks_error* error) {
    return wrong("launch", error);
}
vks_status wait(vks_stream*, vks_fence*, uint64_t, vks_error* error) {
    return wrong("wait", error);
}
vks_status submit(vks_stream*, vks_fence* fence, uint64_t value, vks_error* error) {
    fence->value = value;
    return wrong("submit", error);
}
vks_status fence_create(vks_device*, vks_fence** out, vks_error* error) {
    if (bad("fence_null")) return VKS_OK;
    if (const vks_status status = wrong("fence", error)) return status;
    *out = new vks_fence;
    return VKS_OK;
}
vks_status fence_await(vks_fence*, uint64_t, uint64_t, vks_error* error) {
    if (bad("await_never")) return fail(error, VKS_TIMEOUT, "still busy");
    return wrong("await", error);
}
void fence_destroy(vks_fence* fence) {
    delete fence;
    wrong("fence_destroy", nullptr);
}

vks_status enumerate(uint32_t index, vks_info* out, vks_error* error) {
    if (const vks_status status = wrong("enumerate", error)) return status;
    if (index == 0 || bad("enumerate_endless")) return describe(out);
    return fail(error, VKS_UNSUPPORTED, "there is one device");
}
vks_status open_device(const vks_host*, uint32_t, const char*, vks_device** out, vks_error* error) {
    if (bad("open_null")) return VKS_OK;
    if (const vks_status status = wrong("open", error)) return status;
    *out = new vks_device;
    return VKS_OK;
}
void close_device(vks_device* device) {
    delete device;
    wrong("close", nullptr);
}

vks_status stats_read(vks_device*, vks_stats*, vks_error* error) {
    return wrong("stats", error);
}
vks_status findings_get(uint32_t, uint32_t, vks_finding* out, vks_error* error) {
    if (bad("findings_endless")) {
        out->grade = UINT64_MAX;
        shout(out->topic);
        shout(out->text);
        shout(out->advice);
        return VKS_OK;
    }
    return wrong("findings", error);
}

// Both extensions' tables: a size and a function.
struct Extension {
    uint64_t size;
    const void* function;
};
const void* extension(const char* id) {
    static const Extension small = {sizeof(uint64_t), nullptr}, without = {sizeof(Extension), nullptr},
                           wild = {sizeof(Extension), nowhere<const void*>()}, data = {sizeof(Extension), &kBad},
                           huge = {uint64_t{1} << 40, reinterpret_cast<const void*>(stats_read)};
    static const vks_stats_api stats = {sizeof(vks_stats_api), stats_read};
    static const vks_findings_api findings = {sizeof(vks_findings_api), findings_get};
    wrong("extension", nullptr);
    if (bad("extension_wild")) return nowhere<const void*>();
    if (bad("extension_at_the_edge")) return at_the_edge(uint64_t{sizeof(Extension)});
    if (bad("extension_small")) return &small;
    if (bad("extension_huge")) return &huge;
    if (bad("extension_without_function")) return &without;
    if (bad("extension_wild_function")) return &wild;
    if (bad("extension_data_function")) return &data;
    if (kBad.starts_with("stats") && id == std::string_view(VKS_STATS_ID)) return &stats;
    if (kBad.starts_with("findings") && id == std::string_view(VKS_FINDINGS_ID)) return &findings;
    return nullptr;
}

const vks_device_api kDevice = {
    bad("device_small")  ? sizeof(vks_device_api) - 8
    : bad("device_huge") ? uint64_t{1} << 40
                         : sizeof(vks_device_api),
    info,
    buffer_create,
    buffer_destroy,
    buffer_map,
    query,
    packed_bytes,
    prepare,
    kernel_destroy,
    stream_create,
    stream_destroy,
    bad("device_without_copy") ? nullptr
    : bad("device_wild_copy")  ? nowhere<decltype(&copy)>()
    : bad("device_data_copy")  ? reinterpret_cast<decltype(&copy)>(const_cast<std::string*>(&kBad))
                               : copy,
    launch,
    wait,
    submit,
    fence_create,
    fence_await,
    bad("device_without_fence_destroy") ? nullptr : fence_destroy,
};

// More operators than any plugin has, and no NULL.
const std::array<const char*, 5000> kEndless = [] {
    std::array<const char*, 5000> list{};
    list.fill("rms_norm/1");
    return list;
}();
constexpr const char* kOps[] = {"rms_norm/1", nullptr};
constexpr const char* kPlainName[] = {"rms_norm/1", "rms_norm", nullptr};
constexpr const char* kLongName[] = {"rms_norm/11111111111111111111111111111111111111111111111111111111111111",
                                     nullptr};
const char* const kWildName[] = {"rms_norm/1", nowhere<const char*>(), nullptr};
constexpr std::array<char, 256> kUnterminated = [] {
    std::array<char, 256> text{};
    text.fill('a');
    return text;
}();
constexpr const char* kUnterminatedName[] = {kUnterminated.data(), nullptr};
constexpr const char* kDirtyName[] = {"\x1b[31m/\xff", "no revision", nullptr};

const vks_plugin kPlugin = {
    bad("table_small")  ? sizeof(vks_plugin) - 8
    : bad("table_huge") ? UINT64_MAX
                        : sizeof(vks_plugin),
    bad("table_major") ? 2u : VKS_ABI_MAJOR,
    VKS_ABI_MINOR,
    bad("name_null")           ? nullptr
    : bad("name_empty")        ? ""
    : bad("name_path")         ? "../evil"
    : bad("name_long")         ? "abcdefghijklmnopqrstuvwxyz0123456789"
    : bad("name_taken")        ? "cpu"
    : bad("name_wild")         ? nowhere<const char*>()
    : bad("name_unterminated") ? kUnterminated.data()
    : bad("name_at_the_edge")  ? at_the_edge<std::array<char, 4>>({'e', 'd', 'g', '!'})->data()
                               : kBad.c_str(),
    bad("build_null")           ? nullptr
    : bad("build_wild")         ? nowhere<const char*>()
    : bad("build_unterminated") ? kUnterminated.data()
                                : "1",
    bad("ops_null")                ? nullptr
    : bad("ops_endless")           ? kEndless.data()
    : bad("ops_plain_name")        ? kPlainName
    : bad("ops_long_name")         ? kLongName
    : bad("ops_dirty_name")        ? kDirtyName
    : bad("ops_wild")              ? nowhere<const char* const*>()
    : bad("ops_wild_name")         ? kWildName
    : bad("ops_unterminated_name") ? kUnterminatedName
    : bad("ops_at_the_edge")       ? at_the_edge<std::array<const char*, 2>>({"rms_norm/1", "add/1"})->data()
                                   : kOps,
    bad("device_null")   ? nullptr
    : bad("device_wild") ? nowhere<const vks_device_api*>()
                         : &kDevice,
    bad("table_without_enumerate") ? nullptr : enumerate,
    bad("table_without_open") ? nullptr : open_device,
    close_device,
    extension,
};

const vks_plugin* negotiate(uint32_t, uint32_t, vks_error* error) {
    end_the_process("negotiate");
    if (wrong("negotiate", error) != VKS_OK) return nullptr;
    if (bad("negotiate_refuses")) {
        fail(error, VKS_UNSUPPORTED, "needs a newer driver");
        return nullptr;
    }
    if (bad("table_wild")) return nowhere<const vks_plugin*>();
    if (bad("table_odd")) return reinterpret_cast<const vks_plugin*>(reinterpret_cast<const char*>(&kPlugin) + 1);
    if (bad("table_at_the_edge")) return reinterpret_cast<const vks_plugin*>(at_the_edge(uint64_t{sizeof kPlugin}));
    return &kPlugin;
}

}  // namespace

extern "C" VKS_EXPORT const vks_entry vks_plugin_entry = {
    bad("entry_small")  ? 8
    : bad("entry_huge") ? uint64_t{1} << 40
                        : sizeof(vks_entry),
    {'V', 'K', 'S', 'P', 'L', 'U', 'G', bad("entry_magic") ? '2' : '\0'},
    bad("entry_major") ? 2u : VKS_ABI_MAJOR,
    bad("entry_minor_new") ? VKS_ABI_MINOR + 1 : 0,
    VKS_ABI_MINOR + 3,
    0,
    bad("entry_without_negotiate") ? nullptr
    : bad("entry_wild_negotiate")  ? nowhere<decltype(&negotiate)>()
                                   : negotiate,
};
