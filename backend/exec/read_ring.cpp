#include "backend/exec/read_ring.h"

#include "backend/base/check.h"
#ifdef VKS_HAS_LIBURING
#include <liburing.h>

#include <cerrno>
#endif

namespace vks {

#ifdef VKS_HAS_LIBURING

struct ReadRing::Ring {
    io_uring ring{};
};

std::unique_ptr<ReadRing> ReadRing::create(unsigned depth) {
    auto ring = std::make_unique<Ring>();
    if (io_uring_queue_init(depth, &ring->ring, 0) != 0) return nullptr;
    return std::unique_ptr<ReadRing>(new ReadRing(std::move(ring)));
}

ReadRing::~ReadRing() {
    io_uring_queue_exit(&ring_->ring);
}

void ReadRing::begin(int fd, uint64_t offset, std::byte* to, uint64_t bytes, uint64_t tag) {
    io_uring_sqe* entry = io_uring_get_sqe(&ring_->ring);
    CHECK(entry != nullptr, "more reads than the ring holds: {}", in_flight_);
    io_uring_prep_read(entry, fd, to, static_cast<unsigned>(bytes), offset);
    entry->user_data = tag;
    ++in_flight_;
    // What isn't taken now is taken by wait().
    static_cast<void>(io_uring_submit(&ring_->ring));
}

std::vector<std::pair<uint64_t, int>> ReadRing::wait() {
    std::vector<std::pair<uint64_t, int>> done;
    io_uring_cqe* entry = nullptr;
    int status = 0;
    do {
        status = io_uring_submit_and_wait(&ring_->ring, 1);
    } while (status == -EINTR || status == -EAGAIN);
    CHECK(status >= 0, "io_uring: {}", status);
    while (io_uring_peek_cqe(&ring_->ring, &entry) == 0) {
        done.emplace_back(entry->user_data, entry->res);
        io_uring_cqe_seen(&ring_->ring, entry);
        --in_flight_;
    }
    return done;
}

#else

struct ReadRing::Ring {};
std::unique_ptr<ReadRing> ReadRing::create(unsigned) {
    return nullptr;
}
ReadRing::~ReadRing() = default;
void ReadRing::begin(int, uint64_t, std::byte*, uint64_t, uint64_t) {
    CHECK(false, "this build has no io_uring");
}
std::vector<std::pair<uint64_t, int>> ReadRing::wait() {
    return {};
}

#endif

ReadRing::ReadRing(std::unique_ptr<Ring> ring) : ring_(std::move(ring)) {}

}  // namespace vks
