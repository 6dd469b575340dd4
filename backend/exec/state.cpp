#include "backend/exec/state.h"

#include <algorithm>

namespace vks {
namespace {

std::shared_ptr<State::Copy> find_copy(const State::Memory& memory, const Device& device) {
    const auto here = [&](const auto& copy) { return copy->device == &device; };
    const auto found = std::find_if(memory.copies.begin(), memory.copies.end(), here);
    return found == memory.copies.end() ? nullptr : *found;
}

}  // namespace

State State::after(const State& earlier) {
    State state;
    state.earlier_ = earlier.states_;
    return state;
}

Result<Location> State::get(Device& device, const Graph& graph, const Value& value) {
    Memory& state = states_[value.name];
    const uint64_t bytes = uint64_t(graph.max_bytes(value));
    CHECK(state.copies.empty() || state.bytes == bytes, "state {} has {} bytes in one plan, {} in another", value.name,
          state.bytes, bytes);
    state.bytes = bytes;
    state.row_bytes = bytes / uint64_t(value.shape[0].bind(graph.max));
    if (const auto copy = find_copy(state, device)) return copy->location;
    auto copy = find_copy(earlier_[value.name], device);
    if (!copy) {
        copy = std::make_shared<Copy>();
        copy->device = &device;
        VKS_ASSIGN(copy->buffer, device.buffer(bytes, VKS_BUFFER_DEVICE, nullptr, "memory for " + value.name));
        copy->location = {copy->buffer.get(), 0, static_cast<std::byte*>(device.map(copy->buffer))};
    }
    state.copies.push_back(copy);
    return copy->location;
}

void State::settle(const std::set<const vks_buffer*>& used) {
    earlier_.clear();
    for (auto& [name, state] : states_)
        std::erase_if(state.copies, [&](const auto& copy) { return !used.contains(copy->buffer.get()); });
}

uint64_t State::bytes(const Device& device) const {
    uint64_t total = 0;
    for (const auto& [name, state] : states_)
        if (find_copy(state, device)) total += state.bytes;
    return total;
}

void State::count(MemoryUse& use) const {
    for (const auto& [name, state] : states_)
        for (const auto& copy : state.copies) use[{copy->device, copy->buffer.get()}] = state.bytes;
}

}  // namespace vks
