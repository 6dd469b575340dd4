// What a stream through much memory can do about the tables that map it.
#pragma once
#include <cstddef>
#include <cstdint>

namespace vks::cpu::simd {

// Reads a byte of every page of data[0, bytes). Taken one after the other, each page's first use waits for the table
// walk that finds it, which no prefetch does beforehand; here the walks overlap. Worth it where a page is worked on for
// so long that the core can't look ahead to the next one by itself.
inline void touch_pages(const void* data, int64_t bytes) {
    constexpr int64_t kPage = 4096;
    const auto* p = static_cast<const volatile std::byte*>(data);
    for (int64_t i = 0; i < bytes; i += kPage) static_cast<void>(p[i]);
}

}  // namespace vks::cpu::simd
