// Where constants live on one device. Host-memory devices read the mapped file in place; others get a copy. Shared by
// all plans over the same weights, so that prefill and decode hold them once.
#pragma once
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <tuple>

#include "backend/graph/graph.h"
#include "backend/registry/lane.h"

namespace vks {

using WeightKey = std::tuple<const std::byte*, uint32_t, uint32_t>;  // host address, dtype, layout

// Bytes of a constant on a device, in the layout that query asked for.
uint64_t weight_bytes(Device& device, const Graph& graph, const Value& value, uint32_t layout);

class WeightStore {
public:
    // Takes from `earlier`, of the same device, what get() asks for and that one has: both then hold the same memory.
    // Reads nothing of `earlier` later.
    explicit WeightStore(Device& device, const WeightStore* earlier = nullptr);

    // The constant as the device holds it: imported in place when it can be, else copied or packed once.
    // `layout`: what query asked for. Thread-safe.
    Result<vks_tensor> get(const Graph& graph, const Value& value, uint32_t layout);
    // Lets go of what was for loading: an earlier store's weights, memory for transfers, and what was asked for and
    // isn't among `used`.
    void settle(const std::set<const vks_buffer*>& used);

    bool empty() const { return held_.empty(); }
    uint64_t imported_bytes() const { return bytes(true); }
    uint64_t owned_bytes() const { return bytes(false); }
    void count(MemoryUse& use) const;

private:
    struct Weight {
        Buffer buffer;
        vks_tensor tensor{};
        uint64_t bytes = 0;
        bool imported = false;
    };
    Result<std::shared_ptr<Weight>> load(const Graph& graph, const Value& value, uint32_t layout);
    Status import_or_copy(const Value& value, Weight& weight);
    uint64_t bytes(bool imported) const;

    Device& device_;
    std::mutex mutex_;
    std::unique_ptr<Lane> lane_;
    std::map<WeightKey, std::shared_ptr<Weight>> held_, earlier_;
};

// By device; shared by the plans of a model.
using WeightStores = std::map<Device*, std::unique_ptr<WeightStore>>;

}  // namespace vks
