// What the Vulkan plugin takes of what devices list, which are no devices of the machine that runs this: drivers'
// memory types in their order, as Mesa makes them.
#include "plugins/vulkan/choose.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace vks::vulkan {

void PrintTo(const MemoryType& type, std::ostream* out) {
    *out << type.index << (type.mapped ? " mapped" : "");
}

namespace {

constexpr VkMemoryPropertyFlags L = VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT;
constexpr VkMemoryPropertyFlags V = VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT;
constexpr VkMemoryPropertyFlags VC = V | VK_MEMORY_PROPERTY_HOST_COHERENT_BIT;
constexpr VkMemoryPropertyFlags K = VK_MEMORY_PROPERTY_HOST_CACHED_BIT;
constexpr VkMemoryPropertyFlags kUncached =
    VK_MEMORY_PROPERTY_DEVICE_COHERENT_BIT_AMD | VK_MEMORY_PROPERTY_DEVICE_UNCACHED_BIT_AMD;
constexpr uint32_t kAll = UINT32_MAX;
constexpr auto kDiscrete = VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU;
constexpr auto kIntegrated = VK_PHYSICAL_DEVICE_TYPE_INTEGRATED_GPU;
constexpr auto kCpu = VK_PHYSICAL_DEVICE_TYPE_CPU;

struct Listed {
    const char* name;
    VkPhysicalDeviceType type;
    std::vector<VkMemoryHeap> heaps;
    std::vector<VkMemoryType> types;       // flags and heap
    uint32_t allowed;                      // for buffers
    std::vector<MemoryType> device, host;  // wanted
};

void PrintTo(const Listed& listed, std::ostream* out) {
    *out << listed.name;
}

class Chosen : public testing::TestWithParam<Listed> {
protected:
    VkPhysicalDeviceMemoryProperties listed() const {
        VkPhysicalDeviceMemoryProperties p{};
        p.memoryTypeCount = uint32_t(GetParam().types.size());
        std::copy(GetParam().types.begin(), GetParam().types.end(), p.memoryTypes);
        p.memoryHeapCount = uint32_t(GetParam().heaps.size());
        std::copy(GetParam().heaps.begin(), GetParam().heaps.end(), p.memoryHeaps);
        return p;
    }
    std::vector<MemoryType> chosen(Memory kind) const {
        return choose_memory(listed(), GetParam().type, GetParam().allowed, kind);
    }
};

TEST_P(Chosen, Memory) {
    EXPECT_EQ(chosen(Memory::kDevice), GetParam().device);
    EXPECT_EQ(chosen(Memory::kHost), GetParam().host);
}

// Whoever asks for host memory writes to it.
TEST_P(Chosen, HostMemoryIsMapped) {
    ASSERT_FALSE(chosen(Memory::kHost).empty());
    for (const MemoryType& type : chosen(Memory::kHost)) {
        EXPECT_TRUE(type.mapped);
        EXPECT_EQ(GetParam().types[type.index].propertyFlags & VC, VC);
    }
}

constexpr VkMemoryHeap kLocal{uint64_t{8} << 30, VK_MEMORY_HEAP_DEVICE_LOCAL_BIT}, kSystem{uint64_t{16} << 30, 0},
    kWindow{uint64_t{256} << 20, VK_MEMORY_HEAP_DEVICE_LOCAL_BIT};

const Listed kListed[] = {
    {"RadvDiscrete",
     kDiscrete,
     {kSystem, kLocal},
     {{L, 1}, {VC, 0}, {L | VC, 1}, {VC | K, 0}},
     kAll,
     {{0, false}},
     {{3, true}}},
    {"RadvApu",
     kIntegrated,
     {kSystem, kLocal},
     {{L, 1}, {VC, 0}, {L | VC, 1}, {VC | K, 0}},
     kAll,
     {{0, false}, {3, true}},
     {{3, true}, {2, true}}},
    {"RadvUnifiedHeap", kIntegrated, {kLocal}, {{L, 0}, {L | VC, 0}}, kAll, {{0, false}}, {{1, true}}},
    // Compressed memory is for images, and comes first.
    {"Battlemage",
     kDiscrete,
     {kLocal, kSystem},
     {{L, 0}, {L, 0}, {VC | K, 1}, {L | VC, 0}},
     0b1110,
     {{1, false}},
     {{2, true}}},
    {"LunarLake",
     kIntegrated,
     {kLocal},
     {{L, 0}, {L, 0}, {L | VC, 0}, {L | VC | K, 0}},
     0b1110,
     {{3, true}},
     {{3, true}}},
    {"ProtectedFirst",
     kIntegrated,
     {kLocal},
     {{L | VK_MEMORY_PROPERTY_PROTECTED_BIT, 0}, {L | VK_MEMORY_PROPERTY_LAZILY_ALLOCATED_BIT, 0}, {L | VC, 0}},
     kAll,
     {{2, false}},
     {{2, true}}},
    {"DeviceCoherentFirst",
     kDiscrete,
     {kSystem, kLocal},
     {{L | kUncached, 1}, {VC | K | kUncached, 0}, {L, 1}, {VC, 0}},
     kAll,
     {{2, false}},
     {{3, true}}},
    {"IntelWithLlc", kIntegrated, {kLocal}, {{L, 0}, {L | VC, 0}, {L | VC | K, 0}}, kAll, {{2, true}}, {{2, true}}},
    {"IntelWithoutLlc", kIntegrated, {kLocal}, {{L | VC, 0}, {L | V | K, 0}}, kAll, {{0, false}}, {{0, true}}},
    {"NvkSmallWindow",
     kDiscrete,
     {kLocal, kSystem, kWindow},
     {{L, 0}, {VC | K, 1}, {L | VC, 2}},
     kAll,
     {{0, false}},
     {{1, true}}},
    {"NvkTegra", kIntegrated, {kLocal}, {{L | VC, 0}}, kAll, {{0, false}}, {{0, true}}},
    {"TurnipCachedCoherent", kIntegrated, {kLocal}, {{L | VC, 0}, {L | VC | K, 0}}, kAll, {{1, true}}, {{1, true}}},
    {"Turnip", kIntegrated, {kLocal}, {{L | VC, 0}, {L | V | K, 0}}, kAll, {{0, false}}, {{0, true}}},
    {"PanVk", kIntegrated, {kLocal}, {{L | VC, 0}}, kAll, {{0, false}}, {{0, true}}},
    {"Honeykrisp", kIntegrated, {kLocal}, {{L | VC | K, 0}}, kAll, {{0, true}}, {{0, true}}},
    {"Lavapipe", kCpu, {kLocal}, {{L | VC | K, 0}}, kAll, {{0, true}}, {{0, true}}},
};

INSTANTIATE_TEST_SUITE_P(All, Chosen, testing::ValuesIn(kListed),
                         [](const testing::TestParamInfo<Listed>& info) { return std::string(info.param.name); });

// As many as DeepSeek-V3 has of experts' weights, on a device that holds them; and the largest that an allocation may
// be.
TEST(ChooseBlock, ExpertsNeedFewAllocations) {
    const uint64_t expert = uint64_t{2048} * 7168, heap = uint64_t{768} << 30, largest = uint64_t{1} << 30;
    uint64_t held = 0, free = 0, blocks = 0;
    for (int i = 0; i < 44'544; ++i) {
        if (free < expert) {
            const uint64_t block = choose_block(expert, Memory::kDevice, held, heap, largest);
            EXPECT_LE(block, largest);
            EXPECT_LE(block, std::max(uint64_t{256} << 20, held / 4));  // what is left over of it is little
            held += block;
            free = block;
            ++blocks;
        }
        free -= expert;
    }
    EXPECT_LT(blocks, 1000u);
}

TEST(ChooseBlock, SmallDevicesAndLargeRanges) {
    const uint64_t mib = uint64_t{1} << 20;
    EXPECT_EQ(choose_block(mib, Memory::kDevice, 0, 2048 * mib, 0), 64 * mib);
    EXPECT_EQ(choose_block(16 * mib, Memory::kDevice, 0, 8192 * mib, 0), 256 * mib);
    EXPECT_EQ(choose_block(16 * mib, Memory::kDevice, 0, 2048 * mib, 0), 128 * mib);
    EXPECT_EQ(choose_block(16 * mib, Memory::kDevice, 0, 128 * mib, 0), 16 * mib);
    EXPECT_EQ(choose_block(16 * mib, Memory::kDevice, 0, 8192 * mib, 100 * mib), 100 * mib);
    EXPECT_EQ(choose_block(65 * mib, Memory::kDevice, 0, 8192 * mib, 0), 65 * mib);
    EXPECT_EQ(choose_block(32 * mib, Memory::kHost, 0, 8192 * mib, 0), 32 * mib);
}

// What is left of a nearly full device serves as well: blocks that get smaller, in the end the range alone; and after
// the first heap the next one.
TEST(ChooseWays, EndWithTheRangeItself) {
    const uint64_t mib = uint64_t{1} << 20;
    VkPhysicalDeviceMemoryProperties p{};
    p.memoryTypes[1].heapIndex = 1;
    p.memoryHeaps[0].size = p.memoryHeaps[1].size = 8192 * mib;
    const std::vector<MemoryType> types = {{0, false}, {1, true}};
    const auto bytes = [&](uint64_t range, Memory kind, size_t count) {
        std::vector<uint64_t> found;
        for (const BlockWay& way : choose_ways(range, kind, 0, std::span(types).first(count), p, 0))
            found.push_back(way.bytes);
        return found;
    };
    using Bytes = std::vector<uint64_t>;
    const Bytes small = {64 * mib, 32 * mib, 16 * mib, 8 * mib, 4 * mib, 2 * mib, mib, 24};
    EXPECT_EQ(bytes(24, Memory::kHost, 1), small);
    EXPECT_EQ(bytes(24, Memory::kDevice, 1), small);
    EXPECT_EQ(bytes(5 * mib, Memory::kDevice, 1), (Bytes{64 * mib, 32 * mib, 16 * mib, 8 * mib, 5 * mib}));
    EXPECT_EQ(bytes(4 * mib, Memory::kDevice, 1), (Bytes{64 * mib, 32 * mib, 16 * mib, 8 * mib, 4 * mib}));
    EXPECT_EQ(bytes(16 * mib, Memory::kDevice, 1), (Bytes{256 * mib, 16 * mib}));
    EXPECT_EQ(bytes(65 * mib, Memory::kDevice, 2), (Bytes{65 * mib, 65 * mib}));
    const auto both = choose_ways(16 * mib, Memory::kDevice, 0, types, p, 0);
    const std::vector<BlockWay> wanted = {
        {types[0], 256 * mib}, {types[0], 16 * mib}, {types[1], 256 * mib}, {types[1], 16 * mib}};
    EXPECT_TRUE(both == wanted);
}

// Two cards in one slot after each other, an update of the driver: RADV's deviceUUID and driverUUID tell neither.
TEST(Identity, FollowsEverythingThatDiffers) {
    using Ids = VkPhysicalDeviceVulkan11Properties;
    const VkPhysicalDeviceProperties device{};
    const Ids ids{};
    const auto base = identity(device, ids);
    EXPECT_EQ(identity(device, ids), base);
    const auto changed = [&](auto change) {
        auto other = device;
        auto other_ids = ids;
        change(other, other_ids);
        return identity(other, other_ids) != base;
    };
    using Device = VkPhysicalDeviceProperties;
    EXPECT_TRUE(changed([](Device& d, Ids&) { d.pipelineCacheUUID[7] = 1; }));
    EXPECT_TRUE(changed([](Device& d, Ids&) { d.vendorID = 0x1002; }));
    EXPECT_TRUE(changed([](Device& d, Ids&) { d.deviceID = 0x744c; }));
    EXPECT_TRUE(changed([](Device& d, Ids&) { d.driverVersion = 1; }));
    EXPECT_TRUE(changed([](Device&, Ids& i) { i.deviceUUID[0] = 1; }));
    EXPECT_TRUE(changed([](Device&, Ids& i) { i.driverUUID[15] = 1; }));
    EXPECT_TRUE(changed([](Device& d, Ids& i) { i.driverUUID[3] = d.pipelineCacheUUID[3] = 9; }));  // the same twice
}

TEST(ChooseQueueFamily, TheFirstThatOnlyComputes) {
    const auto family = [](VkQueueFlags flags, uint32_t count) {
        return VkQueueFamilyProperties{flags, count, 64, {1, 1, 1}};
    };
    const VkQueueFlags draws = VK_QUEUE_GRAPHICS_BIT | VK_QUEUE_COMPUTE_BIT, computes = VK_QUEUE_COMPUTE_BIT;
    using Families = std::vector<VkQueueFamilyProperties>;
    EXPECT_EQ(choose_queue_family(Families{family(draws, 1), family(computes, 4), family(computes, 4)}), 1u);
    EXPECT_EQ(choose_queue_family(Families{family(VK_QUEUE_TRANSFER_BIT, 2), family(draws, 1)}), 1u);
    EXPECT_EQ(choose_queue_family(Families{family(draws, 1), family(computes, 0)}), 0u);
    EXPECT_EQ(choose_queue_family(Families{family(VK_QUEUE_GRAPHICS_BIT, 1)}), std::nullopt);
    EXPECT_EQ(choose_queue_family(Families{}), std::nullopt);
}

TEST(Rank, AGraphicsCardComesBeforeTheProcessorsOwn) {
    std::vector<VkPhysicalDeviceType> types = {VK_PHYSICAL_DEVICE_TYPE_CPU, VK_PHYSICAL_DEVICE_TYPE_INTEGRATED_GPU,
                                               VK_PHYSICAL_DEVICE_TYPE_OTHER, VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU,
                                               VK_PHYSICAL_DEVICE_TYPE_VIRTUAL_GPU};
    std::ranges::stable_sort(types, {}, rank);
    EXPECT_EQ(types,
              (std::vector<VkPhysicalDeviceType>{
                  VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU, VK_PHYSICAL_DEVICE_TYPE_INTEGRATED_GPU,
                  VK_PHYSICAL_DEVICE_TYPE_VIRTUAL_GPU, VK_PHYSICAL_DEVICE_TYPE_OTHER, VK_PHYSICAL_DEVICE_TYPE_CPU}));
}

TEST(ReadsMappedFiles, OnlyWhereThatIsKnown) {
    EXPECT_TRUE(reads_mapped_files(VK_DRIVER_ID_MESA_LLVMPIPE));
    for (const VkDriverId driver : {VK_DRIVER_ID_INTEL_OPEN_SOURCE_MESA, VK_DRIVER_ID_MESA_RADV,
                                    VK_DRIVER_ID_NVIDIA_PROPRIETARY, VK_DRIVER_ID_MESA_TURNIP, VkDriverId{}})
        EXPECT_FALSE(reads_mapped_files(driver)) << driver;
}

}  // namespace
}  // namespace vks::vulkan
