// Byte-pair merging of one word: bytes in, ids out. Knows neither how text is cut into words nor what ids mean.
#pragma once
#include <array>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

namespace vks {

// The merges of a byte-level BPE model, most wanted first. Immutable use is thread-safe.
class Bpe {
public:
    // Scratch memory of encode, to be kept from word to word; one per thread.
    struct Workspace {
        struct Symbol {
            int32_t id;
            uint32_t prev, next;  // indices of the neighbours, kNone at the ends
            uint32_t rank;        // of merging with the next symbol, kNone if there is no such merge
            int32_t merged;       // the id that merging with the next symbol gives
        };
        std::vector<Symbol> symbols;
        std::vector<uint64_t> heap;
    };

    // Room for so many merges, to spare growing.
    void reserve(size_t merges);
    // The id a byte starts as.
    void set_byte(uint8_t byte, int32_t id) { byte_ids_[byte] = id; }
    // The next merge: `left` followed by `right` becomes `result`; ids are not negative. False, and no change, if the
    // pair has a merge already.
    bool add_merge(int32_t left, int32_t right, int32_t result);

    // Appends the ids of `word` (shorter than 2^32 - 1 bytes) to `ids`: the merge of lowest rank first, among equals
    // the leftmost. Takes O(n log n) for n bytes. Returns a byte that has no id if `word` holds one; `ids` is unchanged
    // then.
    std::optional<uint8_t> encode(std::string_view word, Workspace& work, std::vector<int32_t>& ids) const;

private:
    static constexpr uint32_t kNone = UINT32_MAX;
    // Open addressing by (left, right); `rank` is kNone in an empty slot.
    struct Slot {
        uint64_t pair = 0;
        uint32_t rank = kNone;
        int32_t result = 0;
    };

    size_t find_slot(uint64_t pair) const;
    void rehash(size_t slots);
    void look_up(Workspace& work, uint32_t at) const;

    std::array<int32_t, 256> byte_ids_ = [] {
        std::array<int32_t, 256> none{};
        none.fill(-1);
        return none;
    }();
    std::vector<Slot> slots_ = std::vector<Slot>(16);  // a power of two, at most half full
    uint32_t size_ = 0;
};

}  // namespace vks
