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
    // kAgain: what is left is to be asked for. kRefused: not read this way, while another may do.
    enum class Next : uint8_t { kAgain, kDone, kRefused, kFailed };

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
    // Null where the kernel, its settings or this build have no io_uring, or one without such reads (Linux before 5.6).
    static std::unique_ptr<ReadRing> create(unsigned depth);
    ~ReadRing();
    ReadRing(const ReadRing&) = delete;
    ReadRing& operator=(const ReadRing&) = delete;

    unsigned in_flight() const { return in_flight_; }
    // Begins a read. `tag`, below `depth` and no other's that is under way, comes back with the result.
    void begin(const PartialRead& read, uint64_t tag);
    // Waits for one or more that are over: their tags, and how they ended. What was read in part goes on.
    std::vector<std::pair<uint64_t, PartialRead::Next>> wait();

private:
    struct Ring;
    ReadRing(std::unique_ptr<Ring> ring, unsigned depth);
    void submit(uint64_t tag);

    std::unique_ptr<Ring> ring_;
    std::vector<PartialRead> reads_;  // by tag
    unsigned in_flight_ = 0;
};

}  // namespace vks
