#include "backend/exec/slot_memory.h"

#include <algorithm>

#include "backend/plan/placement.h"

namespace vks {

SlotMemory::Kinds SlotMemory::kinds(const Graph& graph, const Constants& constants) {
    Kinds kinds;
    for (const Value* value : constants) {
        auto& [dtype, dims] = kinds.emplace_back();
        if (value == nullptr) continue;
        dtype = value->dtype;
        for (const Dim& dim : value->shape) dims.push_back(dim.bind(graph.max));
    }
    return kinds;
}

Result<std::unique_ptr<SlotMemory>> SlotMemory::create(Device& device, const Graph& graph, const Constants& like,
                                                       uint64_t bytes) {
    auto memory = std::make_unique<SlotMemory>();
    memory->kinds_ = kinds(graph, like);
    uint64_t one = 0;
    for (const Value* value : like) one += value ? uint64_t(graph.max_bytes(*value)) : 0;
    for (uint64_t count = bytes / std::max<uint64_t>(1, one); count > 0; --count) {
        std::vector<Held> slot;
        for (const Value* value : like) {
            Held& held = slot.emplace_back();
            if (value == nullptr) continue;
            held.bytes = uint64_t(graph.max_bytes(*value));
            VKS_ASSIGN(held.buffer, device.buffer(held.bytes, VKS_BUFFER_DEVICE, nullptr, "memory for an expert"));
            held.mapped = static_cast<std::byte*>(device.map(held.buffer));
            held.tensor = describe(graph, *value);
            held.tensor.buffer = held.buffer.get();
        }
        memory->slots_.push_back(std::move(slot));
        memory->bytes_ += one;
    }
    return memory;
}

Status SlotMemory::bring(Lane& lane, const Constants& constants, size_t slot, const Read& read,
                         std::vector<std::byte>& room) const {
    for (size_t i = 0; i < constants.size(); ++i) {
        const Held& held = slots_[slot][i];
        if (held.bytes == 0) continue;
        const std::byte* from = constants[i]->host;
        if (read) {
            room.resize(std::max<size_t>(room.size(), held.bytes));
            VKS_TRY(read(from, room.data(), held.bytes));
            from = room.data();
        }
        VKS_TRY(lane.upload(from, {held.buffer.get(), 0, held.mapped}, held.bytes));
    }
    return lane.finish();
}

}  // namespace vks
