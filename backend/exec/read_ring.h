// Reads under way at the same time, by io_uring. Not a scheduler: whoever owns it keeps to the depth.
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

namespace vks {

// One thread's.
class ReadRing {
public:
    // Null where the kernel, its settings or this build have no io_uring.
    static std::unique_ptr<ReadRing> create(unsigned depth);
    ~ReadRing();
    ReadRing(const ReadRing&) = delete;
    ReadRing& operator=(const ReadRing&) = delete;

    unsigned in_flight() const { return in_flight_; }
    // Begins to read `bytes` at `offset` of a file. `tag` comes back with the result. At most `depth` at a time.
    void begin(int fd, uint64_t offset, std::byte* to, uint64_t bytes, uint64_t tag);
    // Waits for one or more that are done: their tags, and the bytes that were read or the negative errno.
    std::vector<std::pair<uint64_t, int>> wait();

private:
    struct Ring;
    explicit ReadRing(std::unique_ptr<Ring> ring);

    std::unique_ptr<Ring> ring_;
    unsigned in_flight_ = 0;
};

}  // namespace vks
