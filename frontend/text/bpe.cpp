// Byte-pair merging with a heap over a linked list of symbols.
#include "frontend/text/bpe.h"

#include <algorithm>
#include <bit>
#include <functional>
#include <utility>

#include "backend/base/check.h"

namespace vks {
namespace {

constexpr size_t kMaxMerges = size_t{1} << 30;

uint64_t pair_of(int32_t left, int32_t right) {
    return static_cast<uint64_t>(static_cast<uint32_t>(left)) << 32 | static_cast<uint32_t>(right);
}

// The finalizer of MurmurHash3: neighbouring ids must not share slots.
uint64_t spread(uint64_t x) {
    x = (x ^ x >> 33) * 0xFF51AFD7ED558CCDull;
    x = (x ^ x >> 33) * 0xC4CEB9FE1A85EC53ull;
    return x ^ x >> 33;
}

}  // namespace

void Bpe::reserve(size_t merges) {
    if (const size_t slots = std::bit_ceil(2 * std::min(merges, kMaxMerges)); slots > slots_.size()) rehash(slots);
}

bool Bpe::add_merge(int32_t left, int32_t right, int32_t result) {
    CHECK(left >= 0 && right >= 0 && result >= 0 && size_ < kMaxMerges, "merge {} of {} and {}", size_, left, right);
    if (2 * (size_t{size_} + 1) > slots_.size()) rehash(2 * slots_.size());
    Slot& slot = slots_[find_slot(pair_of(left, right))];
    if (slot.rank != kNone) return false;
    slot = {pair_of(left, right), size_++, result};
    return true;
}

std::optional<uint8_t> Bpe::encode(std::string_view word, Workspace& work, std::vector<int32_t>& ids) const {
    CHECK(word.size() < kNone, "a word of {} bytes", word.size());
    auto& symbols = work.symbols;
    auto& heap = work.heap;
    symbols.clear();
    heap.clear();
    for (const char c : word) {
        const int32_t id = byte_ids_[static_cast<uint8_t>(c)];
        if (id < 0) return static_cast<uint8_t>(c);
        const auto at = static_cast<uint32_t>(symbols.size());
        symbols.push_back({id, at - 1, at + 1 < word.size() ? at + 1 : kNone, kNone, -1});  // -1 is kNone
    }

    // Entries are (rank, position), so the smallest is the merge to make. One goes stale when its symbol or the next is
    // merged otherwise; the rank in the symbol then differs, since a symbol only ever grows.
    const auto push = [&](uint32_t at) {
        look_up(work, at);
        if (symbols[at].rank == kNone) return;
        heap.push_back(uint64_t{symbols[at].rank} << 32 | at);
        std::push_heap(heap.begin(), heap.end(), std::greater<>());
    };
    for (uint32_t at = 0; at + 1 < symbols.size(); ++at) {
        look_up(work, at);
        if (symbols[at].rank != kNone) heap.push_back(uint64_t{symbols[at].rank} << 32 | at);
    }
    std::make_heap(heap.begin(), heap.end(), std::greater<>());
    while (!heap.empty()) {
        const auto at = static_cast<uint32_t>(heap.front());
        const auto rank = static_cast<uint32_t>(heap.front() >> 32);
        std::pop_heap(heap.begin(), heap.end(), std::greater<>());
        heap.pop_back();
        auto& symbol = symbols[at];
        if (symbol.rank != rank) continue;
        auto& gone = symbols[symbol.next];
        gone.rank = kNone;
        symbol.id = symbol.merged;
        symbol.next = gone.next;
        if (symbol.next != kNone) symbols[symbol.next].prev = at;
        push(at);
        if (symbol.prev != kNone) push(symbol.prev);
    }
    // The first symbol is never merged into another.
    for (uint32_t at = symbols.empty() ? kNone : 0; at != kNone; at = symbols[at].next) ids.push_back(symbols[at].id);
    return std::nullopt;
}

void Bpe::look_up(Workspace& work, uint32_t at) const {
    auto& symbol = work.symbols[at];
    symbol.rank = kNone;
    if (symbol.next == kNone) return;
    const Slot& slot = slots_[find_slot(pair_of(symbol.id, work.symbols[symbol.next].id))];
    symbol.rank = slot.rank;
    symbol.merged = slot.result;
}

// The slot of `pair`, or the empty one where it would go.
size_t Bpe::find_slot(uint64_t pair) const {
    const size_t mask = slots_.size() - 1;
    size_t at = spread(pair) & mask;
    while (slots_[at].rank != kNone && slots_[at].pair != pair) at = (at + 1) & mask;
    return at;
}

void Bpe::rehash(size_t slots) {
    const std::vector<Slot> old = std::exchange(slots_, std::vector<Slot>(slots));
    for (const Slot& slot : old) {
        if (slot.rank != kNone) slots_[find_slot(slot.pair)] = slot;
    }
}

}  // namespace vks
