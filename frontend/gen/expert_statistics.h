// How often each expert of a model was routed to, kept from run to run in the user's cache: under a memory cap the next
// run has those on the device, and begins to read those, that were used most.
#pragma once
#include <filesystem>
#include <unordered_map>
#include <vector>

#include "backend/exec/pager.h"
#include "frontend/model/pieces.h"

namespace vks {

// Of one run.
class ExpertStatistics {
public:
    // Of the modules that run. A file that is damaged counts as none, and is written anew.
    ExpertStatistics(const Checkpoint& checkpoint, int64_t mtp);

    // Experts that were used more are read more, as far as there are counts of their layer; the model's pieces.
    void weigh(std::vector<ModelPiece>& pieces) const;
    // Tells a fresh pager what to expect, and to begin with the experts that were used most.
    void prepare(Pager& pager);
    // Adds how often experts were used, by the address of one of their weights.
    void add(const std::unordered_map<const std::byte*, uint64_t>& uses);
    // Failing changes nothing but the next run's speed.
    void save() const;

    const std::vector<uint32_t>& counts() const { return counts_; }
    const std::filesystem::path& path() const { return path_; }

private:
    std::vector<ModelPiece> experts_;
    std::vector<uint32_t> counts_;  // by expert
    uint64_t model_ = 0;
    std::filesystem::path path_;  // empty: there is no place for it
};

}  // namespace vks
