// Which addresses of this process can be read or run: what a plugin hands over is asked about before it is touched.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace vks {

// As it was when the object was made. Where the system doesn't tell (no /proc), everything passes.
class AddressSpace {
public:
    AddressSpace();
    // Bytes that can be read from `address` on; 0: not even one.
    size_t readable(const void* address) const;
    bool runnable(const void* address) const;
    // The text at `address`, up to its terminator, `limit` or the end of what can be read.
    std::string text(const char* address, size_t limit) const;

private:
    struct Range {
        uintptr_t begin, end;
        bool read, run;
    };
    std::vector<Range> ranges_;  // ascending
    bool unknown_ = false;
};

}  // namespace vks
