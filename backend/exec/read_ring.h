// Reads under way at the same time, by io_uring. Not a scheduler: whoever owns it keeps to the depth.
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

namespace vks {

// What is left of one read, as results come in: the system may read less than it was asked for.
class PartialRead {
public:
    enum class Next : uint8_t { kAgain, kDone, kFailed };  // kAgain: what is left is to be asked for

    PartialRead() = default;
    PartialRead(int fd, uint64_t offset, std::byte* to, uint64_t bytes)
        : fd_(fd), offset_(offset), to_(to), left_(bytes) {}

    int fd() const { return fd_; }
    uint64_t offset() const { return offset_; }
    std::byte* to() const { return to_; }
    uint64_t left() const { return left_; }
    // `result`: bytes that were read, 0 at the end of the file, or the negative errno.
    Next add(int result);

private:
    int fd_ = -1;
    uint64_t offset_ = 0;
    std::byte* to_ = nullptr;
    uint64_t left_ = 0;
};

// One thread's.
class ReadRing {
public:
    // Null where the kernel, its settings or this build have no io_uring.
    static std::unique_ptr<ReadRing> create(unsigned depth);
    ~ReadRing();
    ReadRing(const ReadRing&) = delete;
    ReadRing& operator=(const ReadRing&) = delete;

    unsigned in_flight() const { return in_flight_; }
    // Begins a read. `tag`, below `depth` and no other's that is under way, comes back with the result.
    void begin(const PartialRead& read, uint64_t tag);
    // Waits for one or more that are over: their tags, and whether all of their bytes were read. What was read in part
    // goes on.
    std::vector<std::pair<uint64_t, bool>> wait();

private:
    struct Ring;
    ReadRing(std::unique_ptr<Ring> ring, unsigned depth);
    void submit(uint64_t tag);

    std::unique_ptr<Ring> ring_;
    std::vector<PartialRead> reads_;  // by tag
    unsigned in_flight_ = 0;
};

}  // namespace vks
