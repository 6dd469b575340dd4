// Which memory holds which weights: what a token reads most of goes where there is room first. Arithmetic only; knows
// no device, file or model.
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace vks {

// Weights that are read together and live in one place, e.g. an expert.
struct Piece {
    uint64_t bytes = 0;
    // The part of it that a token is expected to read: 1 for what every token needs, 8/256 for an expert that 8 of 256
    // tokens are routed to, a row's share for a table of which one row is read, 0 for what is never read.
    double reads = 1;
};

// A home for each piece: an index into `rooms`, the free bytes of memories from the fastest to the slowest, or
// rooms.size() for the file that it came from. Pieces that are read most come first, in their order among equals; each
// gets the first room that still holds it. Those that are never read stay in the file.
std::vector<size_t> assign_homes(std::span<const Piece> pieces, std::span<const uint64_t> rooms);

}  // namespace vks
