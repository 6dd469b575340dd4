// Which expert is in which slot: a free one first, else that of what was used least lately, with ageing (Arlitt et al.
// 2000), gives way. Knows no memory. Not thread-safe.
#pragma once
#include <cstddef>
#include <cstdint>
#include <optional>
#include <unordered_map>
#include <vector>

namespace vks {

class SlotCache {
public:
    using Key = const std::byte*;  // of an expert: the address of one of its weights

    explicit SlotCache(size_t slots) : slots_(slots) {}

    // What earlier layers, or earlier steps, used may give way from now on.
    void begin_layer() { ++turn_; }
    void begin_step() { step_ = ++turn_; }

    // Counts a use of it, and gives its slot if it is there: it won't give way to another one of this layer.
    std::optional<size_t> use(Key key);
    bool has(Key key) const { return at_.contains(key); }  // or on its way
    // A slot to bring it into. `at_once`: what earlier layers used may go for it, whatever that is worth, else only
    // what this step didn't use and what is worth less. None: it is there, or none may go.
    std::optional<size_t> make_room(Key key, bool at_once);
    // It was brought there, or couldn't be.
    void brought(size_t slot, bool done);

    size_t size() const { return slots_.size(); }

private:
    struct Slot {
        Key key = nullptr;
        bool there = false;
        uint64_t turn = 0;  // of its last use
        double rank = 0;    // the least goes first
    };
    std::vector<Slot> slots_;
    std::unordered_map<Key, size_t> at_;
    std::unordered_map<Key, uint64_t> uses_;
    double age_ = 0;  // rank of the last one that went
    uint64_t turn_ = 1, step_ = 1;
};

}  // namespace vks
