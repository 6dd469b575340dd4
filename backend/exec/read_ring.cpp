#include "backend/exec/read_ring.h"

#include "backend/base/check.h"
#ifdef VKS_HAS_LIBURING
#include <liburing.h>
#endif

#include <cerrno>

namespace vks {

PartialRead::Next PartialRead::add(int result) {
    if (result == -EINTR || result == -EAGAIN) return Next::kAgain;
    // Of direct reads: offsets, sizes or memory that aren't aligned as the file system wants them.
    if (result == -EINVAL || result == -EOPNOTSUPP || result == -ENOSYS) return Next::kRefused;
    const auto read = static_cast<uint64_t>(result);
    if (result <= 0 || read > left_) return Next::kFailed;
    offset_ += read;
    to_ += read;
    left_ -= read;
    return left_ == 0 ? Next::kDone : Next::kAgain;
}

#ifdef VKS_HAS_LIBURING

struct ReadRing::Ring {
    io_uring ring{};
};

std::unique_ptr<ReadRing> ReadRing::create(unsigned depth) {
    auto ring = std::make_unique<Ring>();
    if (io_uring_queue_init(depth, &ring->ring, 0) != 0) return nullptr;
    io_uring_probe* probe = io_uring_get_probe_ring(&ring->ring);  // null before Linux 5.6
    const bool reads = probe != nullptr && io_uring_opcode_supported(probe, IORING_OP_READ) != 0;
    io_uring_free_probe(probe);
    if (!reads) {
        io_uring_queue_exit(&ring->ring);
        return nullptr;
    }
    return std::unique_ptr<ReadRing>(new ReadRing(std::move(ring), depth));
}

ReadRing::~ReadRing() {
    io_uring_queue_exit(&ring_->ring);
}

void ReadRing::begin(const PartialRead& read, uint64_t tag) {
    reads_[tag] = read;
    ++in_flight_;
    submit(tag);
}

void ReadRing::submit(uint64_t tag) {
    const PartialRead& read = reads_[tag];
    io_uring_sqe* entry = io_uring_get_sqe(&ring_->ring);
    CHECK(entry != nullptr, "more reads than the ring holds: {}", in_flight_);
    io_uring_prep_read(entry, read.fd(), read.to(), static_cast<unsigned>(read.left()), read.offset());
    entry->user_data = tag;
    // What isn't taken now is taken by wait().
    static_cast<void>(io_uring_submit(&ring_->ring));
}

std::vector<std::pair<uint64_t, PartialRead::Next>> ReadRing::wait() {
    std::vector<std::pair<uint64_t, PartialRead::Next>> over;
    io_uring_cqe* entry = nullptr;
    while (over.empty()) {
        int status = 0;
        do {
            status = io_uring_submit_and_wait(&ring_->ring, 1);
        } while (status == -EINTR || status == -EAGAIN);
        CHECK(status >= 0, "io_uring: {}", status);
        while (io_uring_peek_cqe(&ring_->ring, &entry) == 0) {
            const uint64_t tag = entry->user_data;
            const PartialRead::Next next = reads_[tag].add(entry->res);
            io_uring_cqe_seen(&ring_->ring, entry);
            if (next == PartialRead::Next::kAgain) {
                submit(tag);
                continue;
            }
            over.emplace_back(tag, next);
            --in_flight_;
        }
    }
    return over;
}

#else

struct ReadRing::Ring {};
std::unique_ptr<ReadRing> ReadRing::create(unsigned) {
    return nullptr;
}
ReadRing::~ReadRing() = default;
void ReadRing::begin(const PartialRead&, uint64_t) {
    CHECK(false, "this build has no io_uring");
}
std::vector<std::pair<uint64_t, PartialRead::Next>> ReadRing::wait() {
    return {};
}

#endif

ReadRing::ReadRing(std::unique_ptr<Ring> ring, unsigned depth) : ring_(std::move(ring)), reads_(depth) {}

}  // namespace vks
