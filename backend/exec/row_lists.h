// The lists of experts' rows that a node goes by, with those of some experts left out: launches over a part of them
// write those rows only.
#pragma once
#include <cstdint>
#include <functional>
#include <span>

#include "backend/registry/device.h"

namespace vks {

using LaunchWith = std::function<Status(std::span<const vks_tensor>)>;

// Used by one thread; a list holds until the next one is made.
class RowLists {
public:
    // In this device's memory, which has an address.
    explicit RowLists(Device& device) : device_(device) {}

    // `tensor`, which holds `offset`, with the rows of all but experts [first, last) taken out.
    Result<vks_tensor> of(vks_tensor tensor, const int32_t* offset, size_t first, size_t last);

private:
    Device& device_;
    Buffer offsets_;
    int32_t* map_ = nullptr;
    size_t count_ = 0;
};

}  // namespace vks
