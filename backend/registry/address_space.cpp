#include "backend/registry/address_space.h"

#include <algorithm>
#include <cinttypes>
#include <cstdio>
#include <cstring>
#include <fstream>

namespace vks {

AddressSpace::AddressSpace() {
    std::ifstream maps("/proc/self/maps");
    for (std::string line; std::getline(maps, line);) {
        Range range{};
        char rights[5] = {};  // "r-xp"
        if (std::sscanf(line.c_str(), "%" SCNxPTR "-%" SCNxPTR " %4s", &range.begin, &range.end, rights) != 3) continue;
        range.read = rights[0] == 'r';
        range.run = rights[2] == 'x';
        ranges_.push_back(range);
    }
    unknown_ = ranges_.empty();
}

size_t AddressSpace::readable(const void* address) const {
    const auto first = reinterpret_cast<uintptr_t>(address);
    if (unknown_) return address ? SIZE_MAX - first : 0;
    uintptr_t end = first;
    for (const Range& range : ranges_)
        if (range.read && range.begin <= end && end < range.end) end = range.end;
    return end - first;
}

bool AddressSpace::runnable(const void* address) const {
    const auto at = reinterpret_cast<uintptr_t>(address);
    return unknown_ || std::any_of(ranges_.begin(), ranges_.end(), [&](const Range& range) {
               return range.run && range.begin <= at && at < range.end;
           });
}

std::string AddressSpace::text(const char* address, size_t limit) const {
    return {address, strnlen(address, std::min(limit, readable(address)))};
}

}  // namespace vks
