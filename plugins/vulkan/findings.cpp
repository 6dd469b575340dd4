#include "plugins/vulkan/findings.h"

#include <dirent.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

#include "plugins/vulkan/gpu.h"

namespace vks::vulkan {
namespace {

struct Finding {
    uint64_t grade = VKS_FINDING_GOOD;
    const char* topic = "";
    std::string text, advice;
};

std::string human(uint64_t bytes) {
    char text[32];
    const bool small = bytes < 1'000'000'000;
    std::snprintf(text, sizeof text, small ? "%.0f MB" : "%.1f GB", double(bytes) / (small ? 1e6 : 1e9));
    return text;
}

// GPUs the kernel knows, and how many of them this user may use.
struct RenderNodes {
    int all = 0, open = 0;
};

RenderNodes render_nodes() {
    RenderNodes nodes;
    DIR* folder = opendir("/dev/dri");
    if (!folder) return nodes;
    while (const dirent* entry = readdir(folder)) {
        const std::string name = entry->d_name;
        if (!name.starts_with("renderD")) continue;
        ++nodes.all;
        if (access(("/dev/dri/" + name).c_str(), R_OK | W_OK) == 0) ++nodes.open;
    }
    closedir(folder);
    return nodes;
}

Finding about_drivers(std::span<const Gpu> all) {
    const auto hardware = std::count_if(all.begin(), all.end(), [](const Gpu& g) { return !g.caps.software; });
    const RenderNodes nodes = render_nodes();
    if (nodes.open < nodes.all) {
        return {VKS_FINDING_WARNING, "drivers",
                std::to_string(nodes.all - nodes.open) + " of " + std::to_string(nodes.all) +
                    " GPUs in /dev/dri are closed to this user",
                "Add the user to the group \"render\" (usermod -aG render NAME) and log in again."};
    }
    if (hardware < nodes.all) {
        return {VKS_FINDING_WARNING, "drivers",
                "the kernel has " + std::to_string(nodes.all) + " GPUs, Vulkan shows " + std::to_string(hardware),
                "Install the GPU's Vulkan driver: mesa-vulkan-drivers for AMD and Intel, NVIDIA's own for NVIDIA; "
                "VK_DRIVER_FILES, if set, must name it."};
    }
    if (hardware == 0) {
        return {VKS_FINDING_NOTE, "drivers", "only devices run by the CPU",
                "Nothing, if there is no GPU: the CPU plugin is faster than they are."};
    }
    return {VKS_FINDING_GOOD, "drivers", std::to_string(hardware) + " GPUs", ""};
}

std::vector<Finding> about_machine() {
    std::string reason;
    const std::span<const Gpu> all = gpus(reason);
    const uint32_t version = volkGetInstanceVersion();
    if (version == 0) {
        return {{VKS_FINDING_WARNING, "loader", reason,
                 "Install it to use GPUs: package libvulkan1 on Debian and Ubuntu, vulkan-loader on Fedora, "
                 "vulkan-icd-loader on Arch."}};
    }
    const std::string number = std::to_string(VK_API_VERSION_MAJOR(version)) + "." +
                               std::to_string(VK_API_VERSION_MINOR(version)) + "." +
                               std::to_string(VK_API_VERSION_PATCH(version));
    std::vector<Finding> list = {{VKS_FINDING_GOOD, "loader", "Vulkan loader " + number, ""}};
    if (version < VK_API_VERSION_1_2) {
        list[0] = {VKS_FINDING_WARNING, "loader", reason + ", found " + number,
                   "Update the package that has libvulkan."};
    } else if (all.empty()) {
        list.push_back(
            {VKS_FINDING_WARNING, "drivers", reason,
             "Install a Vulkan driver: mesa-vulkan-drivers for AMD and Intel (and one that runs on the CPU), "
             "NVIDIA's own for NVIDIA; VK_DRIVER_FILES, if set, must name one that is there."});
    } else {
        list.push_back(about_drivers(all));
    }
    return list;
}

constexpr VkMemoryPropertyFlags kWindow = VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT | VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT;

// The largest device-local heap, and the largest one that the host can write to as well.
struct Heaps {
    uint64_t device = 0, window = 0;
    std::string list;  // "8.6 GB device, 16.7 GB host"
};

Heaps heaps_of(const Gpu& gpu) {
    VkPhysicalDeviceMemoryProperties memory{};
    vkGetPhysicalDeviceMemoryProperties(gpu.handle, &memory);
    Heaps heaps;
    for (uint32_t i = 0; i < memory.memoryHeapCount; ++i) {
        const VkMemoryHeap& heap = memory.memoryHeaps[i];
        const bool local = heap.flags & VK_MEMORY_HEAP_DEVICE_LOCAL_BIT;
        if (local) heaps.device = std::max<uint64_t>(heaps.device, heap.size);
        heaps.list += (i == 0 ? "" : ", ") + human(heap.size) + (local ? " device" : " host");
    }
    for (uint32_t i = 0; i < memory.memoryTypeCount; ++i) {
        const VkMemoryType& type = memory.memoryTypes[i];
        if ((type.propertyFlags & kWindow) == kWindow)
            heaps.window = std::max<uint64_t>(heaps.window, memory.memoryHeaps[type.heapIndex].size);
    }
    return heaps;
}

// What a card of its own shows the host of its memory (resizable BAR).
Finding about_window(const Heaps& heaps) {
    if (heaps.window >= heaps.device / 10 * 9) {
        return {VKS_FINDING_GOOD, "host-visible memory", "resizable BAR: the host sees all of the device's memory", ""};
    }
    return {
        VKS_FINDING_NOTE, "host-visible memory",
        "no resizable BAR: the host sees " + (heaps.window ? human(heaps.window) : std::string("nothing")) +
            " of the device's " + human(heaps.device),
        "Switch on \"Above 4G decoding\" and \"Resizable BAR\" in the firmware setup if the board has them; without, "
        "weights go through a staging buffer, which costs time at load only."};
}

// Where device and programs share one memory, heaps are numbers somebody chose.
Finding about_unified(const Heaps& heaps, bool software) {
    const auto pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
    const uint64_t ram = pages > 0 && page > 0 ? uint64_t(pages) * uint64_t(page) : 0;
    const std::string text = "shared with the CPU: the driver says " + human(heaps.device) + ", the machine has " +
                             human(ram) + " for everything";
    if (ram > 0 && heaps.device > ram / 10 * 9) {
        return {
            VKS_FINDING_NOTE, "heap sizes", text,
            "Do not count on all of it: leave what other programs need, and what the file cache needs for the model."};
    }
    if (software && heaps.device < ram / 4) {
        return {VKS_FINDING_NOTE, "heap sizes", text,
                "Nothing: the driver's number is a choice, not a size of memory."};
    }
    if (heaps.device < ram / 4) {
        return {
            VKS_FINDING_WARNING, "heap sizes", text,
            "Give the GPU a larger part in the firmware setup (\"UMA frame buffer size\") if a model does not fit."};
    }
    return {VKS_FINDING_GOOD, "heap sizes", text, ""};
}

Finding about_tier(const Caps& caps) {
    std::string missing;
    const auto lacks = [&](bool there, const char* name) {
        if (!there) missing += (missing.empty() ? "" : ", ") + std::string(name);
    };
    lacks(caps.subgroup_arithmetic, "subgroup arithmetic");
    lacks(caps.float16, "fp16");
    lacks(caps.storage16, "16-bit storage");
    lacks(caps.storage8, "8-bit storage");
    lacks(caps.addresses, "buffer addresses");
    lacks(caps.integer_dot, "accelerated integer dot product");
    lacks(bool(caps.matrix), "cooperative matrix");
    lacks(bool(caps.matrix8), "float8");
    const std::string text = "tier " + std::to_string(caps.tier()) + ", subgroups of " + std::to_string(caps.subgroup) +
                             (missing.empty() ? "" : "; without " + missing);
    if (caps.tier() > 0) return {VKS_FINDING_GOOD, "features", text, ""};
    return {VKS_FINDING_NOTE, "features", text,
            "Every operator runs, the faster variants do not; a newer driver may offer what is missing."};
}

std::vector<Finding> about_device(const Gpu& gpu) {
    if (!gpu.unusable.empty()) {
        return {{VKS_FINDING_WARNING, "driver", gpu.unusable,
                 "Update the GPU's driver; a GPU that is too old for Vulkan 1.2 stays unused."}};
    }
    const Caps& caps = gpu.caps;
    const bool discrete = gpu.properties.deviceType == VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU;
    const Heaps heaps = heaps_of(gpu);
    std::vector<Finding> list = {{VKS_FINDING_GOOD, "driver", gpu.driver, ""}};
    if (caps.software) {
        list.push_back({VKS_FINDING_NOTE, "kind", "run by the CPU: never chosen by \"auto\"",
                        "Name it (--backend vulkan) to try things out; the CPU plugin is faster."});
    }
    list.push_back(
        {VKS_FINDING_GOOD, "memory", heaps.list + (gpu.memory_budget ? "" : "; what is free is not told"), ""});
    list.push_back(discrete ? about_window(heaps) : about_unified(heaps, caps.software));
    list.push_back({VKS_FINDING_GOOD, "limits",
                    "bindings of " + human(caps.max_binding) + ", allocations of " + human(caps.max_allocation) +
                        ", workgroups of " + std::to_string(caps.max_invocations) + ", " +
                        std::to_string(caps.shared_bytes / 1024) + " KiB shared",
                    ""});
    list.push_back(about_tier(caps));
    return list;
}

void fill(vks_finding* out, const Finding& found) {
    vks_finding full{};
    full.size = out->size;
    full.grade = found.grade;
    std::snprintf(full.topic, sizeof full.topic, "%s", found.topic);
    std::snprintf(full.text, sizeof full.text, "%s", found.text.c_str());
    std::snprintf(full.advice, sizeof full.advice, "%s", found.advice.c_str());
    std::memcpy(out, &full, std::min<uint64_t>(out->size, sizeof full));
}

vks_status get(uint32_t device, uint32_t nth, vks_finding* out, vks_error* error) noexcept {
    return guarded(error, [&] {
        if (!out) throw Failure(VKS_INVALID, "found a null argument");
        std::string reason;
        const std::span<const Gpu> all = gpus(reason);
        std::vector<Finding> list;
        if (device == VKS_FINDINGS_MACHINE) {
            list = about_machine();
        } else if (device < all.size()) {
            list = about_device(all[device]);
        }
        if (nth >= list.size()) return abi::fail(error, VKS_UNSUPPORTED, "there are %zu findings", list.size());
        fill(out, list[nth]);
        return vks_status{VKS_OK};
    });
}

}  // namespace

extern constinit const vks_findings_api kFindingsApi = {.size = sizeof(vks_findings_api), .get = get};

}  // namespace vks::vulkan
