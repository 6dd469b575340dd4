// Writes down the plugin interface as the compiler sees it and compares that with layout.golden: sizes, offsets, types
// of fields, values of enumerators. Whoever changes the interface finds out here.
//
//   abi_layout GOLDEN            compares; prints the lines that differ
//   abi_layout --write GOLDEN    replaces the golden: only for an appended field or enumerator together with a new
//                                VKS_ABI_MINOR, or for a new operator
#include <cxxabi.h>
#include <fmt/format.h>

#include <cstddef>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <set>
#include <sstream>
#include <string>
#include <typeinfo>
#include <vector>

#include "backend/abi/ops.h"

namespace {

std::string text;
bool padded = false;

template <class T>
std::string type_name() {
    int status = 0;
    char* demangled = abi::__cxa_demangle(typeid(T).name(), nullptr, nullptr, &status);
    const std::string name = status == 0 ? demangled : typeid(T).name();
    std::free(demangled);
    return name;
}

struct Layout {
    Layout(const char* name, size_t size) : name_(name), size_(size) {
        text += fmt::format("struct {} {}\n", name, size);
    }
    ~Layout() {
        if (end_ == size_) return;
        std::cerr << fmt::format("{}: wanted fields without padding, found {} bytes of {}\n", name_, end_, size_);
        padded = true;
    }
    void field(const char* name, size_t offset, size_t size, const std::string& type) {
        text += fmt::format("  {} {} {} {}\n", name, offset, size, type);
        if (offset == end_) end_ = offset + size;
    }

private:
    const char* name_;
    size_t size_;
    size_t end_ = 0;
};

#define FIELD(type, name)                                                              \
    here.field(#name, offsetof(type, name), sizeof(static_cast<type*>(nullptr)->name), \
               type_name<decltype(type::name)>())
#define LAST(type, name)                                                                            \
    FIELD(type, name);                                                                              \
    static_assert(offsetof(type, name) + sizeof(static_cast<type*>(nullptr)->name) == sizeof(type), \
                  "a field without a line here, or padding at the end")
#define VALUE(name) text += fmt::format("{} {}\n", #name, static_cast<int64_t>(name))

void write_enumerators() {
    text += fmt::format("VKS_ABI_MAGIC {}\n", VKS_ABI_MAGIC);
    VALUE(VKS_ABI_MAJOR);
    VALUE(VKS_ABI_MINOR);
    VALUE(VKS_OK);
    VALUE(VKS_UNSUPPORTED);
    VALUE(VKS_INVALID);
    VALUE(VKS_NO_MEMORY);
    VALUE(VKS_TIMEOUT);
    VALUE(VKS_DEVICE_LOST);
    VALUE(VKS_INTERNAL);
    VALUE(VKS_NONE);
    VALUE(VKS_F32);
    VALUE(VKS_BF16);
    VALUE(VKS_F16);
    VALUE(VKS_F8_E4M3);
    VALUE(VKS_I32);
    VALUE(VKS_I64);
    VALUE(VKS_U8);
    VALUE(VKS_ROW_MAJOR);
    VALUE(VKS_LAYOUT_PRIVATE);
    VALUE(VKS_TENSOR_CONSTANT);
    VALUE(VKS_DEVICE_SOFTWARE);
    VALUE(VKS_DEVICE_HOST_MEMORY);
    VALUE(VKS_DEVICE_UNUSABLE);
    VALUE(VKS_DEVICE_FALLBACK);
    VALUE(VKS_BUFFER_DEVICE);
    VALUE(VKS_BUFFER_HOST);
    VALUE(VKS_BUFFER_IMPORT);
    VALUE(VKS_HEAD_ABSORB);
    VALUE(VKS_HEAD_EXPAND);
    text += fmt::format("vks_status {}\n", type_name<vks_status>());
}

// NOLINTBEGIN(bugprone-sizeof-expression): a field that is a pointer has a pointer's size
void write_data_structs() {
    {
        Layout here("vks_error", sizeof(vks_error));
        FIELD(vks_error, text);
        LAST(vks_error, native);
    }
    {
        Layout here("vks_tensor", sizeof(vks_tensor));
        FIELD(vks_tensor, dtype);
        FIELD(vks_tensor, layout);
        FIELD(vks_tensor, rank);
        FIELD(vks_tensor, flags);
        FIELD(vks_tensor, dim);
        FIELD(vks_tensor, stride);
        FIELD(vks_tensor, buffer);
        LAST(vks_tensor, offset);
    }
    {
        Layout here("vks_info", sizeof(vks_info));
        FIELD(vks_info, size);
        FIELD(vks_info, name);
        FIELD(vks_info, detail);
        FIELD(vks_info, bytes_total);
        FIELD(vks_info, bytes_free);
        FIELD(vks_info, max_buffer);
        FIELD(vks_info, max_binding);
        FIELD(vks_info, memory_bytes_per_s);
        FIELD(vks_info, link_bytes_per_s);
        FIELD(vks_info, alignment);
        LAST(vks_info, flags);
    }
    {
        Layout here("vks_op", sizeof(vks_op));
        FIELD(vks_op, size);
        FIELD(vks_op, op);
        FIELD(vks_op, params);
        FIELD(vks_op, params_size);
        FIELD(vks_op, args);
        LAST(vks_op, arg_count);
    }
    {
        Layout here("vks_support", sizeof(vks_support));
        FIELD(vks_support, size);
        FIELD(vks_support, verdict);
        FIELD(vks_support, scratch_bytes);
        FIELD(vks_support, est_ns);
        FIELD(vks_support, arg_layout);
        LAST(vks_support, variant);
    }
}

void write_tables() {
    {
        Layout here("vks_device_api", sizeof(vks_device_api));
        FIELD(vks_device_api, size);
        FIELD(vks_device_api, info);
        FIELD(vks_device_api, buffer_create);
        FIELD(vks_device_api, buffer_destroy);
        FIELD(vks_device_api, buffer_map);
        FIELD(vks_device_api, query);
        FIELD(vks_device_api, packed_bytes);
        FIELD(vks_device_api, prepare);
        FIELD(vks_device_api, kernel_destroy);
        FIELD(vks_device_api, stream_create);
        FIELD(vks_device_api, stream_destroy);
        FIELD(vks_device_api, copy);
        FIELD(vks_device_api, launch);
        FIELD(vks_device_api, wait);
        FIELD(vks_device_api, submit);
        FIELD(vks_device_api, fence_create);
        FIELD(vks_device_api, fence_await);
        LAST(vks_device_api, fence_destroy);
    }
    {
        Layout here("vks_host", sizeof(vks_host));
        FIELD(vks_host, size);
        FIELD(vks_host, user);
        FIELD(vks_host, log);
        LAST(vks_host, extension);
    }
    {
        Layout here("vks_plugin", sizeof(vks_plugin));
        FIELD(vks_plugin, size);
        FIELD(vks_plugin, major);
        FIELD(vks_plugin, minor);
        FIELD(vks_plugin, name);
        FIELD(vks_plugin, build);
        FIELD(vks_plugin, ops);
        FIELD(vks_plugin, device);
        FIELD(vks_plugin, enumerate);
        FIELD(vks_plugin, open);
        FIELD(vks_plugin, close);
        LAST(vks_plugin, extension);
    }
    {
        Layout here("vks_entry", sizeof(vks_entry));
        FIELD(vks_entry, size);
        FIELD(vks_entry, magic);
        FIELD(vks_entry, major);
        FIELD(vks_entry, minor_min);
        FIELD(vks_entry, minor_max);
        FIELD(vks_entry, reserved);
        LAST(vks_entry, negotiate);
    }
}
// NOLINTEND(bugprone-sizeof-expression)

void write_params() {
    {
        Layout here("vks_norm_params", sizeof(vks_norm_params));
        LAST(vks_norm_params, eps);
    }
    {
        Layout here("vks_act_quant_params", sizeof(vks_act_quant_params));
        LAST(vks_act_quant_params, ue8m0);
    }
    {
        Layout here("vks_head_gemm_params", sizeof(vks_head_gemm_params));
        FIELD(vks_head_gemm_params, mode);
        FIELD(vks_head_gemm_params, heads);
        FIELD(vks_head_gemm_params, nope);
        FIELD(vks_head_gemm_params, rope);
        FIELD(vks_head_gemm_params, v);
        LAST(vks_head_gemm_params, lora);
    }
    {
        Layout here("vks_mla_rope_append_params", sizeof(vks_mla_rope_append_params));
        FIELD(vks_mla_rope_append_params, heads);
        FIELD(vks_mla_rope_append_params, nope);
        FIELD(vks_mla_rope_append_params, rope);
        FIELD(vks_mla_rope_append_params, lora);
        LAST(vks_mla_rope_append_params, eps);
    }
    {
        Layout here("vks_mla_attention_params", sizeof(vks_mla_attention_params));
        FIELD(vks_mla_attention_params, heads);
        FIELD(vks_mla_attention_params, lora);
        FIELD(vks_mla_attention_params, rope);
        LAST(vks_mla_attention_params, scale);
    }
    {
        Layout here("vks_mla_expanded_params", sizeof(vks_mla_expanded_params));
        FIELD(vks_mla_expanded_params, heads);
        FIELD(vks_mla_expanded_params, nope);
        FIELD(vks_mla_expanded_params, rope);
        FIELD(vks_mla_expanded_params, v);
        FIELD(vks_mla_expanded_params, lora);
        LAST(vks_mla_expanded_params, scale);
    }
    {
        Layout here("vks_moe_route_params", sizeof(vks_moe_route_params));
        FIELD(vks_moe_route_params, groups);
        FIELD(vks_moe_route_params, groups_kept);
        FIELD(vks_moe_route_params, top_k);
        FIELD(vks_moe_route_params, normalize);
        LAST(vks_moe_route_params, scaling);
    }
    {
        Layout here("vks_moe_dispatch_params", sizeof(vks_moe_dispatch_params));
        FIELD(vks_moe_dispatch_params, first);
        LAST(vks_moe_dispatch_params, count);
    }
    {
        Layout here("vks_grouped_gemm_params", sizeof(vks_grouped_gemm_params));
        LAST(vks_grouped_gemm_params, experts);
    }
    {
        Layout here("vks_topk_params", sizeof(vks_topk_params));
        LAST(vks_topk_params, k);
    }
}

std::vector<std::string> lines(std::istream& in) {
    std::vector<std::string> all;
    for (std::string line; std::getline(in, line);) all.push_back(line);
    return all;
}

// Every line with the struct it belongs to in front, so that equal field names of two structs differ.
std::vector<std::string> qualified(const std::vector<std::string>& plain) {
    std::vector<std::string> all;
    std::string owner;
    for (const std::string& line : plain) {
        if (!line.starts_with("  ")) owner = line.substr(0, line.rfind(' '));
        all.push_back(line.starts_with("  ") ? owner + "." + line.substr(2) : line);
    }
    return all;
}

int compare(const char* path) {
    std::ifstream in(path);
    std::istringstream now(text);
    const auto wanted = qualified(lines(in)), found = qualified(lines(now));
    if (wanted == found) return 0;
    std::cerr << "The plugin interface is not the one of " << path << " (- there, + compiled):\n";
    const std::set<std::string> old(wanted.begin(), wanted.end()), fresh(found.begin(), found.end());
    for (const std::string& line : wanted)
        if (!fresh.contains(line)) std::cerr << "- " << line << "\n";
    for (const std::string& line : found)
        if (!old.contains(line)) std::cerr << "+ " << line << "\n";
    std::cerr << "A field that moved or changed breaks every plugin there is. If you only appended, with a new "
                 "VKS_ABI_MINOR, run: abi_layout --write "
              << path << "\n";
    return 5;
}

}  // namespace

int main(int argc, char** argv) {
    const bool write = argc == 3 && std::string(argv[1]) == "--write";
    if (argc != 2 && !write) {
        std::cerr << "usage: abi_layout [--write] GOLDEN\n";
        return 2;
    }
    write_enumerators();
    write_data_structs();
    write_tables();
    write_params();
    if (padded) return 5;
    if (!write) return compare(argv[1]);
    std::ofstream out(argv[2]);
    out << text;
    return out.good() ? 0 : 3;
}
