#include "backend/plan/weights.h"

#include "backend/plan/placement.h"
#include "backend/registry/left_behind.h"

namespace vks {

uint64_t weight_bytes(Device& device, const Graph& graph, const Value& value, uint32_t layout) {
    if (layout == VKS_ROW_MAJOR) return uint64_t(graph.max_bytes(value));
    vks_tensor packed = describe(graph, value);
    packed.layout = layout;
    return device.packed_bytes(packed);
}

WeightStore::WeightStore(Device& device, const WeightStore* earlier) : device_(device) {
    if (earlier) earlier_ = earlier->held_;
}

Status WeightStore::import_or_copy(const Value& value, Weight& weight) {
    // A plugin may decline to import (alignment, no host memory access): then it gets a copy.
    auto* host = const_cast<std::byte*>(value.host);
    auto imported = device_.buffer(weight.bytes, VKS_BUFFER_IMPORT, host, "import of " + value.name);
    weight.imported = bool(imported);
    if (imported) {
        weight.buffer = *std::move(imported);
        return {};
    }
    VKS_ASSIGN(weight.buffer, device_.buffer(weight.bytes, VKS_BUFFER_DEVICE, nullptr, "memory for " + value.name));
    auto* mapped = static_cast<std::byte*>(device_.map(weight.buffer));
    return lane_->upload(value.host, {weight.buffer.get(), 0, mapped}, weight.bytes);
}

Result<std::shared_ptr<WeightStore::Weight>> WeightStore::load(const Graph& graph, const Value& value,
                                                               uint32_t layout) {
    if (!lane_) {
        VKS_ASSIGN(lane_, Lane::create(device_));
    }
    // A device that hangs may still read what it imported.
    const auto let_go = [&device = device_, host = graph.keep](Weight* weight) {
        if (weight->imported && device.hangs()) leave_behind(new std::shared_ptr<const void>(host));
        delete weight;
    };
    const std::shared_ptr<Weight> weight(new Weight, let_go);
    weight->tensor = describe(graph, value);
    weight->bytes = weight_bytes(device_, graph, value, layout);
    if (layout == VKS_ROW_MAJOR) {
        VKS_TRY(import_or_copy(value, *weight));
        weight->tensor.buffer = weight->buffer.get();
    } else {
        vks_tensor packed = weight->tensor;
        packed.layout = layout;
        VKS_ASSIGN(weight->buffer,
                   device_.buffer(weight->bytes, VKS_BUFFER_DEVICE, nullptr, "memory for " + value.name));
        packed.buffer = weight->buffer.get();
        VKS_TRY(lane_->pack(value.host, weight->tensor, packed));
        weight->tensor = packed;
    }
    VKS_TRY(lane_->finish());
    return weight;
}

Result<vks_tensor> WeightStore::get(const Graph& graph, const Value& value, uint32_t layout) {
    std::lock_guard lock(mutex_);
    const WeightKey key(value.host, value.dtype, layout);
    if (const auto it = held_.find(key); it != held_.end()) return it->second->tensor;
    std::shared_ptr<Weight> weight;
    if (const auto it = earlier_.find(key); it != earlier_.end()) {
        weight = it->second;
    } else {
        VKS_ASSIGN(weight, load(graph, value, layout));
    }
    return held_.emplace(key, std::move(weight)).first->second->tensor;
}

void WeightStore::settle(const std::set<const vks_buffer*>& used) {
    std::erase_if(held_, [&](const auto& entry) { return !used.contains(entry.second->buffer.get()); });
    earlier_.clear();
    lane_.reset();
}

uint64_t WeightStore::bytes(bool imported) const {
    uint64_t total = 0;
    for (const auto& [key, weight] : held_)
        if (weight->imported == imported) total += weight->bytes;
    return total;
}

void WeightStore::count(MemoryUse& use) const {
    for (const auto& [key, weight] : held_) use[{&device_, weight->buffer.get()}] = weight->bytes;
}

}  // namespace vks
