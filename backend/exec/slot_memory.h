// A device's memory for experts in slots: one as large as the other, each with room for the constants of an expert's
// matrices, row-major as they are in host memory.
#pragma once
#include <functional>
#include <memory>
#include <vector>

#include "backend/graph/graph.h"
#include "backend/registry/lane.h"

namespace vks {

// Of one expert, in the order of the operators and their arguments; null where there is no scale.
using Constants = std::vector<const Value*>;

class SlotMemory {
public:
    // Copies `bytes` of a constant, for whoever may not touch it where it is mapped. From any thread.
    using Read = std::function<Status(const std::byte* from, std::byte* to, uint64_t bytes)>;

    // As many slots as `bytes` hold, for experts whose constants are like these.
    static Result<std::unique_ptr<SlotMemory>> create(Device& device, const Graph& graph, const Constants& like,
                                                      uint64_t bytes);

    size_t size() const { return slots_.size(); }
    uint64_t bytes() const { return bytes_; }
    bool suits(const Graph& graph, const Constants& constants) const { return kinds_ == kinds(graph, constants); }
    // What is in the slot; dtype VKS_NONE where there is no such constant.
    const vks_tensor& tensor(size_t slot, size_t constant) const { return slots_[slot][constant].tensor; }
    // Waits until they are there. From any thread, for different slots. `read` may be null; `room` is kept for it.
    Status bring(Lane& lane, const Constants& constants, size_t slot, const Read& read,
                 std::vector<std::byte>& room) const;

private:
    struct Held {
        Buffer buffer;
        vks_tensor tensor{};
        std::byte* mapped = nullptr;
        uint64_t bytes = 0;
    };
    using Kinds = std::vector<std::pair<uint32_t, std::vector<int64_t>>>;  // dtype and dims
    static Kinds kinds(const Graph& graph, const Constants& constants);

    Kinds kinds_;
    uint64_t bytes_ = 0;
    std::vector<std::vector<Held>> slots_;  // by constant
};

}  // namespace vks
