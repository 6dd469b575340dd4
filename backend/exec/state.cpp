#include "backend/exec/state.h"

namespace vks {

Result<Location> State::get(Device& device, const Graph& graph, const Value& value) {
    Memory& state = states_[value.name];
    const uint64_t bytes = uint64_t(graph.max_bytes(value));
    CHECK(state.copies.empty() || state.bytes == bytes, "state {} has {} bytes in one plan, {} in another", value.name,
          state.bytes, bytes);
    for (const Copy& copy : state.copies)
        if (copy.device == &device) return copy.location;
    VKS_ASSIGN(Buffer buffer, device.buffer(bytes, VKS_BUFFER_DEVICE, nullptr, "memory for " + value.name));
    const Location location = {buffer.get(), 0, static_cast<std::byte*>(device.map(buffer))};
    state.bytes = bytes;
    state.buffers.push_back(std::move(buffer));
    state.copies.push_back({&device, location, 0});
    return location;
}

uint64_t State::bytes(const Device& device) const {
    uint64_t total = 0;
    for (const auto& [name, state] : states_)
        for (const Copy& copy : state.copies)
            if (copy.device == &device) total += state.bytes;
    return total;
}

}  // namespace vks
