#include "plugins/vulkan/kept_numbers.h"

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <sstream>
#include <vector>

#include "plugins/vulkan/cache_file.h"
#include "plugins/vulkan/device.h"

namespace vks::vulkan {
namespace {

constexpr const char* kFirstLine = "vkseek numbers 1";

// By device and driver, as its pipelines are.
std::filesystem::path path_of(const Gpu& gpu) {
    std::filesystem::path path = cache_path(gpu);
    return path.empty() ? path : path.replace_extension(".numbers");
}

struct Tunable {
    std::string name;
    std::vector<uint64_t> values;
};

// What attention and operators of rows ask for (mla_attention.cpp, rows.cpp).
void add_rows(const Caps& caps, std::vector<Tunable>& list) {
    if (!caps.software) list.push_back({"mla_attention.team.ROWS", {1, 2, 4, 8}});
    if (!caps.software) list.push_back({"mla_attention.team.TILE", {2, 4, 8, 16}});
    list.push_back({"mla_attention.split.GROUPS", {8, 32, 128, 512}});
    for (const std::string shader :
         {"act_quant", "add", "add_rms_norm", "embed", "mla_rope_append", "moe_combine", "rms_norm", "swiglu_quant"}) {
        if (caps.software) list.push_back({shader + ".row.WORKGROUP", {4, 8, 16, 32}});
        if (!caps.software) list.push_back({shader + ".row.WORKGROUP", {64, 128, 256, 512}});
    }
}

// What the device takes of that, and of what the ways of matmul.cpp ask for.
std::vector<Tunable> tunables(const Caps& caps) {
    std::vector<Tunable> list;
    add_rows(caps, list);
    for (const std::string shader : {"gemm", "grouped_gemm", "head_gemm"}) {
        for (const char* few : {".few1.", ".few2.", ".few4.", ".few8."}) {
            list.push_back({shader + few + "ROWS", {2, 4, 8}});
            if (caps.software) list.push_back({shader + few + "WORKGROUP", {4, 8, 16}});
            if (!caps.software) list.push_back({shader + few + "TEAM", {32, 64, 128}});
        }
        if (caps.software || shader == "head_gemm") continue;
        const std::string way = caps.matrix ? ".matrix." : ".many.";
        for (const char* name : {"BM", "BN"}) list.push_back({shader + way + name, {32, 64, 128}});
        if (!caps.matrix) list.push_back({shader + way + "BK", {16, 32}});
    }
    return list;
}

vks_status tunable(vks_device* device, uint32_t nth, vks_tunable* out, vks_error* error) noexcept {
    return guarded(error, [&] {
        if (!device || !out) throw Failure(VKS_INVALID, "found a null argument");
        const std::vector<Tunable> all = tunables(device->caps());
        if (nth >= all.size()) throw Failure(VKS_UNSUPPORTED, "there are " + std::to_string(all.size()) + " numbers");
        vks_tunable full{};
        full.size = out->size;
        std::snprintf(full.name, sizeof full.name, "%s", all[nth].name.c_str());
        full.count = std::min(all[nth].values.size(), std::size(full.values));
        std::copy_n(all[nth].values.begin(), full.count, full.values);
        std::memcpy(out, &full, std::min<uint64_t>(out->size, sizeof full));
        return vks_status{VKS_OK};
    });
}

vks_status keep(vks_device* device, const vks_number* numbers, uint64_t count, vks_error* error) noexcept {
    return guarded(error, [&] {
        if (!device || (count != 0 && !numbers)) throw Failure(VKS_INVALID, "found a null argument");
        const std::filesystem::path path = path_of(device->gpu);
        if (path.empty())
            throw Failure(VKS_INTERNAL,
                          "numbers (XDG_CACHE_HOME, HOME): wanted a folder to keep them in, found neither set");
        std::filesystem::path fresh = path;
        fresh += ".new";
        std::error_code failed;
        std::filesystem::create_directories(path.parent_path(), failed);
        std::ofstream file(fresh);
        file << kFirstLine << '\n';
        for (uint64_t i = 0; i < count; ++i)
            file << std::string(numbers[i].name, strnlen(numbers[i].name, sizeof numbers[i].name)) << ' '
                 << numbers[i].value << '\n';
        file.close();
        if (file) std::filesystem::rename(fresh, path, failed);
        if (!file || failed) {
            std::filesystem::remove(fresh, failed);
            throw Failure(VKS_INTERNAL, "numbers (" + path.string() + "): wanted a file that can be written");
        }
        return vks_status{VKS_OK};
    });
}

}  // namespace

void load_numbers(Gpu& gpu) {
    std::ifstream file(path_of(gpu));
    std::string line, name;
    if (!std::getline(file, line) || line != kFirstLine) return;
    for (uint32_t value = 0; std::getline(file, line);) {
        std::istringstream words(line);
        if (words >> name >> value) gpu.caps.tuning.set(name, value);
    }
}

extern constinit const vks_tuning_api kTuningApi = {.size = sizeof(vks_tuning_api), .tunable = tunable, .keep = keep};

}  // namespace vks::vulkan
