#include "backend/registry/lane.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace vks {
namespace {

constexpr uint64_t kStagingMax = 32 << 20;

vks_tensor bytes_at(vks_buffer* buffer, uint64_t offset, uint64_t bytes) {
    vks_tensor t = abi::tensor(VKS_U8, {int64_t(bytes)});
    t.buffer = buffer;
    t.offset = offset;
    return t;
}

}  // namespace

Result<std::unique_ptr<Lane>> Lane::create(Device& device) {
    std::unique_ptr<Lane> lane(new Lane(device));
    VKS_ASSIGN(lane->stream_, device.stream());
    VKS_ASSIGN(lane->fence_, device.fence());
    return lane;
}

Lane::~Lane() {
    if (stream_ && fence_ && device_.health() != Health::kLost) static_cast<void>(finish());
}

Status Lane::submit() {
    if (!pending_) return {};
    pending_ = false;
    VKS_TRY(device_.submit(stream_, fence_, submitted_ + 1));
    ++submitted_;
    return {};
}

Status Lane::finish() {
    const InFlight work = std::exchange(in_flight_, {});
    VKS_TRY(submit());
    if (finished_ == submitted_) return {};
    finished_ = submitted_;  // in either case: an error is told once
    return device_.await(fence_, submitted_, work);
}

Status Lane::stage(uint64_t bytes) {
    const uint64_t wanted = std::min(bytes, kStagingMax);
    if (staging_bytes_ >= wanted) return {};
    VKS_TRY(finish());  // a copy may still be reading the smaller one
    staging_bytes_ = 0;
    VKS_ASSIGN(staging_, device_.buffer(wanted, VKS_BUFFER_HOST, nullptr, "staging memory"));
    staging_map_ = static_cast<std::byte*>(device_.map(staging_));
    if (!staging_map_)
        return Error{Code::kNoBackend,
                     fmt::format("staging memory ({}): wanted a host address, found none", device_.id())};
    staging_bytes_ = wanted;
    return {};
}

Status Lane::upload(const void* from, const Location& to, uint64_t bytes) {
    if (to.mapped) {
        VKS_TRY(finish());
        std::memcpy(to.mapped, from, bytes);
        return {};
    }
    VKS_TRY(stage(bytes));
    for (uint64_t at = 0; at < bytes; at += staging_bytes_) {
        const uint64_t n = std::min(bytes - at, staging_bytes_);
        VKS_TRY(finish());  // the staging memory is free again
        std::memcpy(staging_map_, static_cast<const std::byte*>(from) + at, n);
        VKS_TRY(device_.copy(stream_, bytes_at(staging_.get(), 0, n), bytes_at(to.buffer, to.offset + at, n)));
        touched();
    }
    return {};
}

Status Lane::download(const Location& from, void* to, uint64_t bytes) {
    VKS_TRY(finish());
    if (from.mapped) {
        std::memcpy(to, from.mapped, bytes);
        return {};
    }
    VKS_TRY(stage(bytes));
    for (uint64_t at = 0; at < bytes; at += staging_bytes_) {
        const uint64_t n = std::min(bytes - at, staging_bytes_);
        VKS_TRY(device_.copy(stream_, bytes_at(from.buffer, from.offset + at, n), bytes_at(staging_.get(), 0, n)));
        touched();
        VKS_TRY(finish());
        std::memcpy(static_cast<std::byte*>(to) + at, staging_map_, n);
    }
    return {};
}

Status Lane::pack(const void* from, vks_tensor row_major, vks_tensor packed) {
    const uint64_t bytes = uint64_t(abi::element_count(row_major) * abi::element_bytes(row_major.dtype));
    VKS_ASSIGN(Buffer source, device_.buffer(bytes, VKS_BUFFER_HOST, nullptr, "packing memory"));
    void* mapped = device_.map(source);
    if (!mapped)
        return Error{Code::kNoBackend,
                     fmt::format("packing memory ({}): wanted a host address, found none", device_.id())};
    std::memcpy(mapped, from, bytes);
    row_major.buffer = source.get();
    row_major.offset = 0;
    row_major.flags = packed.flags = 0;
    VKS_TRY(device_.copy(stream_, row_major, packed));
    touched();
    return finish();
}

}  // namespace vks
