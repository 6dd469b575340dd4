#include "backend/plan/residency.h"

#include <algorithm>
#include <numeric>

namespace vks {

// The time for a token is the sum of reads × bytes ÷ bandwidth of its home, so a byte of fast memory is worth the more
// the more of it is read: the greedy choice, exact but for what is left over at the end of a room.
std::vector<size_t> assign_homes(std::span<const Piece> pieces, std::span<const uint64_t> rooms) {
    std::vector<size_t> order(pieces.size());
    std::iota(order.begin(), order.end(), size_t{0});
    std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return pieces[a].reads > pieces[b].reads; });
    std::vector<uint64_t> left(rooms.begin(), rooms.end());
    std::vector<size_t> homes(pieces.size(), rooms.size());
    for (const size_t i : order) {
        if (!(pieces[i].reads > 0)) break;
        const auto room = std::ranges::find_if(left, [&](uint64_t bytes) { return bytes >= pieces[i].bytes; });
        if (room == left.end()) continue;
        *room -= pieces[i].bytes;
        homes[i] = static_cast<size_t>(room - left.begin());
    }
    return homes;
}

}  // namespace vks
