// Writing a checkpoint's weights: tensors cut into safetensors files, written by several threads, and their index.
#pragma once
#include <atomic>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "backend/base/result.h"
#include "frontend/io/safetensors_writer.h"

namespace vks {

// Of tensors a file, as in the release of DeepSeek-V3, which so comes to 163 files.
inline constexpr uint64_t kReleasedShardBytes = 4'260'000'000;

struct ShardOptions {
    std::filesystem::path dir;  // where the files go
    uint64_t max_shard_bytes = kReleasedShardBytes;
    unsigned threads = 0;  // 0: as many as there are processors, at most one a shard
    // Bytes done, bytes in all; may come from any thread, one at a time.
    std::function<void(uint64_t, uint64_t)> progress;
};

// The files of one checkpoint: one model.safetensors, or shards and an index. Used by one thread; `fill` of write() is
// called from several.
class ShardSet {
public:
    using Group = std::vector<TensorInfo>;  // tensors that stay in one file

    // Cuts the tensors, in their order, into files of at most max_shard_bytes; a larger group is a file of its own.
    ShardSet(ShardOptions options, const std::vector<Group>& groups);

    size_t size() const { return shards_.size(); }
    uint64_t total_bytes() const { return total_; }  // of all tensors
    // Whether the file system has room for them.
    Status check_room() const;

    // Writes every file: `fill` writes all bytes of one and calls report() as it goes. After an error no further file
    // is begun. Errors: the first of `fill`, whatever the file system says.
    Status write(const std::function<Status(SafetensorsWriter&)>& fill);
    void report(uint64_t bytes);  // so many more are done; any thread
    // The index, if there are several files.
    Status write_index() const;
    // What write() and write_index() wrote.
    void remove() const;

private:
    std::filesystem::path path(size_t shard) const;
    void work(const std::function<Status(SafetensorsWriter&)>& fill);
    Status write_one(size_t shard, const std::function<Status(SafetensorsWriter&)>& fill);

    const ShardOptions options_;
    std::vector<std::vector<TensorInfo>> shards_;
    uint64_t total_ = 0;
    std::atomic<size_t> next_{0};
    std::atomic<bool> failed_{false};
    std::mutex mutex_;
    uint64_t done_ = 0;             // guarded by mutex_
    std::optional<Error> failure_;  // guarded by mutex_ while threads run
};

// A small text file as a whole.
Status write_text(const std::filesystem::path& path, std::string_view text);

}  // namespace vks
