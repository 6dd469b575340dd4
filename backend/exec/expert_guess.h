// Which experts a layer will be routed to, guessed from those of the layer before: by how often they went together so
// far.
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace vks {

class ExpertGuess {
public:
    // Layer `layer` has so many experts and was routed to `used`. A step's layers in order, from 0 on. When most were
    // used, as by a long prompt, that says nothing.
    void saw(size_t layer, size_t experts, std::span<const size_t> used);
    // Of the layer after that: the likeliest first, no more than that one used. Those never seen aren't guessed.
    std::vector<size_t> next() const;

private:
    struct Layer {
        size_t experts = 0;
        std::vector<uint16_t> together;  // [experts of the layer before][experts]
        std::vector<uint16_t> seen;      // of each of those, how often
    };
    std::vector<Layer> layers_;
    size_t last_ = 0;
    std::vector<size_t> used_;  // by it
};

}  // namespace vks
