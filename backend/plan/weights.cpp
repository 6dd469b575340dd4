#include "backend/plan/weights.h"

#include "backend/plan/placement.h"

namespace vks {

Result<Buffer> WeightStore::import_or_copy(const Value& value, uint64_t bytes) {
    // A plugin may decline to import (alignment, no host memory access): then it gets a copy.
    auto* host = const_cast<std::byte*>(value.host);
    auto imported = device_.buffer(bytes, VKS_BUFFER_IMPORT, host, "import of " + value.name);
    if (imported) {
        imported_bytes_ += bytes;
        return imported;
    }
    VKS_ASSIGN(Buffer copy, device_.buffer(bytes, VKS_BUFFER_DEVICE, nullptr, "memory for " + value.name));
    auto* mapped = static_cast<std::byte*>(device_.map(copy));
    VKS_TRY(lane_->upload(value.host, {copy.get(), 0, mapped}, bytes));
    owned_bytes_ += bytes;
    return copy;
}

Result<vks_tensor> WeightStore::get(const Graph& graph, const Value& value, uint32_t layout) {
    std::lock_guard lock(mutex_);
    const auto key = std::make_tuple(value.host, value.dtype, layout);
    if (const auto it = held_.find(key); it != held_.end()) return it->second.second;
    if (!lane_) {
        VKS_ASSIGN(lane_, Lane::create(device_));
    }
    vks_tensor tensor = describe(graph, value);
    Buffer buffer;
    if (layout == VKS_ROW_MAJOR) {
        VKS_ASSIGN(buffer, import_or_copy(value, uint64_t(graph.max_bytes(value))));
        tensor.buffer = buffer.get();
    } else {
        vks_tensor packed = tensor;
        packed.layout = layout;
        const uint64_t bytes = device_.packed_bytes(packed);
        VKS_ASSIGN(buffer, device_.buffer(bytes, VKS_BUFFER_DEVICE, nullptr, "memory for " + value.name));
        packed.buffer = buffer.get();
        VKS_TRY(lane_->pack(value.host, tensor, packed));
        owned_bytes_ += bytes;
        tensor = packed;
    }
    VKS_TRY(lane_->finish());
    held_.emplace(key, std::make_pair(std::move(buffer), tensor));
    return tensor;
}

}  // namespace vks
