// Experts that have no home on a device, in slots of its memory: fetched in the background while they are used, or for
// the step that needs them where that is quicker than what the host takes, by what was measured; the host computes the
// others in the same step. For graphs whose experts are split (plan/split.h).
#pragma once
#include <algorithm>
#include <condition_variable>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <thread>
#include <vector>

#include "backend/exec/expert_guess.h"
#include "backend/exec/paging.h"
#include "backend/exec/slot_cache.h"
#include "backend/exec/slot_memory.h"

namespace vks {

struct SlotStats {
    uint64_t slots = 0, bytes = 0;
    uint64_t uses = 0, hits = 0;  // of experts without a home on the device; of those, in a slot
    uint64_t at_once = 0;         // fetched for the step that needed them
    uint64_t fetched = 0;         // in the background
    double fetch_seconds = 0;     // one expert takes, lately
};

// Used by one thread, that of the executor; fetches by one of its own.
class ExpertSlots {
public:
    // When an expert is fetched for the step that needs it.
    enum class AtOnce : uint8_t { kMeasured, kAlways, kNever };

    // `bytes`: for slots, in the device's memory. `read`: see SlotMemory.
    ExpertSlots(Device& device, uint64_t bytes, SlotMemory::Read read, AtOnce at_once = AtOnce::kMeasured);
    ~ExpertSlots();
    ExpertSlots(const ExpertSlots&) = delete;
    ExpertSlots& operator=(const ExpertSlots&) = delete;

    const Device& device() const { return device_; }
    // Prepares what a plan's layers need whose experts are partly on the device; slow. Other layers stay as they are.
    Status add(const Plan& plan);
    SlotStats stats();

    void begin_step();
    // Before a node is launched: at the first of a layer's on the device, decides which experts run in slots. `lane`:
    // of the node's device.
    Status choose(const Plan& plan, size_t node, Lane& lane);
    // After a node was launched: the same over the experts in slots, whose rows were zeros until then.
    Status run(const Plan& plan, size_t node, std::span<const vks_tensor> args, Lane& lane);
    // Whether it is a node with a layer's other experts, on the host.
    bool has_others(const Plan& plan, size_t node) const;
    // Such a node's launches without the experts that slots have, of which it gives zeros. `launch` waits until its
    // work is done. `paging`: of its device, or null.
    Status run_others(const Plan& plan, size_t node, std::span<const vks_tensor> args, Lane& lane, Paging* paging,
                      const LaunchWith& launch);

private:
    struct Expert {
        Constants constants;  // none: its home is on the device
        SlotCache::Key key = nullptr;
    };
    // An operator on a layer's experts.
    struct Part {
        size_t node = 0;
        size_t list_arg = 0;  // of its launch's arguments: where each expert's rows begin
    };
    // A layer of a plan: its parts in order, on the device and on the host.
    struct Layer {
        std::vector<Part> here, others;
        const int32_t* offset = nullptr;  // where each expert's rows begin, in host memory
        std::byte* result = nullptr;      // of the others' last part, in host memory
        uint64_t row_bytes = 0;           // of it
        std::vector<Expert> experts;
        // Of this step:
        std::vector<bool> taken;                      // by expert: a slot has it
        std::vector<std::pair<size_t, size_t>> runs;  // expert and slot
        double host_seconds = 0;                      // that the others took
    };
    struct PlanUse {
        std::vector<Layer> layers;
        std::map<size_t, std::pair<size_t, size_t>> here, others;  // layer and part by node
        std::vector<Kernel> kernels;                               // by part and slot
        std::vector<bool> scratch;                                 // by part: it needs some
        ExpertGuess guess;
    };
    struct Wanted {
        std::shared_ptr<const Graph> graph;  // has the constants
        Expert expert;
    };

    static bool listed_early(const Plan& plan, const Layer& layer, ValueId list, size_t host);
    std::vector<Layer> layers_of(const Plan& plan) const;
    Status make_slots(const Graph& graph, const Layer& like);
    Result<bool> prepare(const Plan& plan, PlanUse& use);
    bool suits(const Graph& graph, const Layer& layer, const Layer& first) const;
    uint64_t list_stride() const { return std::max<uint64_t>(device_.info().alignment, 2 * sizeof(int32_t)); }
    Status take_or_want(const Plan& plan, PlanUse& use, size_t index, Lane& lane);
    bool worth_at_once(int64_t rows) const;
    Status run_around(const Layer& layer, size_t list_arg, std::span<const vks_tensor> args, const LaunchWith& launch);
    void note_host(const Layer& layer);
    void want_next(const Plan& plan, PlanUse& use, size_t index, std::span<const size_t> used);
    void work();

    Device& device_;
    const uint64_t bytes_;
    const SlotMemory::Read read_;
    const AtOnce at_once_;
    std::unique_ptr<SlotMemory> memory_;
    size_t experts_ = 0;  // of each layer
    std::optional<RowLists> host_lists_;
    std::unique_ptr<Lane> fetching_;
    Buffer lists_buffer_;  // two numbers for each expert in a slot
    Location lists_;
    Buffer scratch_buffer_;
    vks_tensor scratch_{};
    std::map<const Plan*, PlanUse> plans_;  // kernels go before the memory that is bound into them
    std::vector<std::byte> room_;           // for fetching at once
    std::vector<int32_t> pairs_;
    std::vector<double> host_seconds_;  // an expert takes on the host, by the logarithm of its rows; 0: not known

    std::mutex mutex_;  // guards what follows
    std::condition_variable wanted_there_;
    std::optional<SlotCache> cache_;
    std::deque<Wanted> wanted_;  // the next one first
    SlotStats stats_;
    std::optional<Error> failed_;
    bool stop_ = false;
    std::thread fetcher_;  // once there are slots
};

}  // namespace vks
