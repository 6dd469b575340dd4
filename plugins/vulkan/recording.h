// Work as a stream was given it, and the commands made of it.
#pragma once
#include "plugins/vulkan/device.h"

namespace vks::vulkan {

// An argument, so that two are equal exactly when the commands would be.
struct Place {
    uint64_t buffer = 0;  // vks_buffer::id
    VkBuffer handle = VK_NULL_HANDLE;
    uint64_t offset = 0, bytes = 0;
    int64_t dim[4] = {};
    bool operator==(const Place&) const = default;
};

struct Item {
    const vks_kernel* kernel = nullptr;  // null: a copy of places[0] to places[1]
    uint64_t kernel_id = 0;
    size_t first_place = 0, places = 0;  // of a launch: all arguments, then scratch
    size_t first_region = 0, regions = 0;
    // The kernel's address may be another one's after it has gone, its number not.
    bool operator==(const Item& o) const {
        return kernel_id == o.kernel_id && first_place == o.first_place && places == o.places &&
               first_region == o.first_region && regions == o.regions;
    }
};

struct Region {
    uint64_t from = 0, to = 0, bytes = 0;
    bool operator==(const Region&) const = default;
};

struct Work {
    std::vector<Item> items;
    std::vector<Place> places;
    std::vector<Region> regions;

    bool operator==(const Work&) const = default;
    void clear() {  // keeps the memory
        items.clear();
        places.clear();
        regions.clear();
    }
};

// Command buffers and descriptor sets of some work. Owned by a stream.
class Recording {
public:
    // Encodes; `timed`: between two timestamps. Throws what a pipeline's compilation threw.
    Recording(vks_device& device, VkCommandPool pool, Work work, bool timed);
    ~Recording();
    Recording(const Recording&) = delete;
    Recording& operator=(const Recording&) = delete;

    const Work& work() const { return work_; }
    // In order, a submission each, of about as many operations as the device takes at once.
    std::span<const VkCommandBuffer> pieces() const { return pieces_; }
    uint64_t dispatches() const { return dispatches_; }
    uint64_t barriers() const { return barriers_; }  // between them
    VkQueryPool times() const { return times_; }     // of its beginning and its end; null unless timed

private:
    Recording(vks_device& device, VkCommandPool pool, Work work);
    VkCommandBuffer begin();

    vks_device& device_;
    VkCommandPool pool_;
    Work work_;
    VkDescriptorPool sets_ = VK_NULL_HANDLE;
    VkQueryPool times_ = VK_NULL_HANDLE;
    std::vector<VkCommandBuffer> pieces_;
    uint64_t dispatches_ = 0, barriers_ = 0;
};

}  // namespace vks::vulkan
