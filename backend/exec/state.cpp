#include "backend/exec/state.h"

namespace vks {

Result<Location> State::get(Device& device, const Graph& graph, const Value& value) {
    const auto key = std::make_pair(value.name, static_cast<const Device*>(&device));
    const uint64_t bytes = uint64_t(graph.max_bytes(value));
    if (const auto it = copies_.find(key); it != copies_.end()) {
        CHECK(it->second.bytes == bytes, "state {} has {} bytes in one plan, {} in another", value.name,
              it->second.bytes, bytes);
        return it->second.location;
    }
    VKS_ASSIGN(Buffer buffer, device.buffer(bytes, VKS_BUFFER_DEVICE, nullptr, "memory for " + value.name));
    const Location location = {buffer.get(), 0, static_cast<std::byte*>(device.map(buffer))};
    copies_.emplace(key, Copy{std::move(buffer), location, bytes});
    return location;
}

uint64_t State::bytes(const Device& device) const {
    uint64_t total = 0;
    for (const auto& [key, copy] : copies_)
        if (key.second == &device) total += copy.bytes;
    return total;
}

}  // namespace vks
