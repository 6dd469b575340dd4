// Where constants live on one device. Host-memory devices read the mapped file in place; others get a copy. Shared by
// all plans over the same weights, so that prefill and decode hold them once.
#pragma once
#include <map>
#include <mutex>
#include <tuple>

#include "backend/graph/graph.h"
#include "backend/registry/lane.h"

namespace vks {

class WeightStore {
public:
    explicit WeightStore(Device& device) : device_(device) {}

    // The constant as the device holds it: imported in place when it can be, else copied or packed once.
    // `layout`: what query asked for. Thread-safe.
    Result<vks_tensor> get(const Graph& graph, const Value& value, uint32_t layout);

    uint64_t imported_bytes() const { return imported_bytes_; }
    uint64_t owned_bytes() const { return owned_bytes_; }

private:
    Result<Buffer> import_or_copy(const Value& value, uint64_t bytes);

    Device& device_;
    std::mutex mutex_;
    std::unique_ptr<Lane> lane_;
    std::map<std::tuple<const std::byte*, uint32_t, uint32_t>, std::pair<Buffer, vks_tensor>> held_;
    uint64_t imported_bytes_ = 0, owned_bytes_ = 0;
};

}  // namespace vks
