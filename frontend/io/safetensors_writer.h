// Writes safetensors files, whole or as a stream, so that a reader sees the finished file or none.
#pragma once
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "backend/base/result.h"
#include "frontend/io/dtype.h"
#include "frontend/io/safetensors.h"

namespace vks {

// What the header says of a tensor.
struct TensorInfo {
    std::string name;
    DType dtype = DType::kNone;
    Shape shape;
    uint64_t bytes() const;  // elements × size of the type
};

// Streams one file: create, then write() all bytes of tensors() in their order, then finish(). Move-only, one thread.
// The bytes go to a temporary file beside the target that finish() renames; without finish() it is removed again.
class SafetensorsWriter {
public:
    // A target that is a symbolic link stays one: what it leads to is written. Errors: a name twice, a target that is
    // not a regular file, one that can't be created. Tensors with larger elements come first in the file (in the given
    // order otherwise), so that all are aligned to their type.
    static Result<SafetensorsWriter> create(const std::filesystem::path& target, std::vector<TensorInfo> tensors);

    SafetensorsWriter(const SafetensorsWriter&) = delete;
    SafetensorsWriter& operator=(const SafetensorsWriter&) = delete;
    SafetensorsWriter(SafetensorsWriter&& other) noexcept;
    SafetensorsWriter& operator=(SafetensorsWriter&&) = delete;
    ~SafetensorsWriter();

    std::span<const TensorInfo> tensors() const { return tensors_; }  // in the order their bytes are wanted
    uint64_t file_bytes() const { return file_bytes_; }

    // The next bytes; they may begin and end anywhere in a tensor.
    Status write(std::span<const std::byte> bytes);
    // The next bytes are zeros and take no room on the disk (a hole).
    Status skip(uint64_t bytes);
    // Bytes of tensors()[tensor] from `offset` on, out of turn; a file is written all in order or all out of turn.
    Status write_at(size_t tensor, uint64_t offset, std::span<const std::byte> bytes);
    // All bytes must have been written. Puts the file in its place, over one that was there.
    Status finish();

private:
    SafetensorsWriter() = default;
    Status put(uint64_t at, std::span<const std::byte> bytes);
    std::filesystem::path target_, temporary_;
    std::vector<TensorInfo> tensors_;
    int fd_ = -1;
    std::vector<uint64_t> begin_;  // of each tensor in the file
    uint64_t at_ = 0;              // where the next bytes go, when they come in order
    uint64_t written_ = 0, file_bytes_ = 0;
};

// A tensor in memory; borrowed.
struct TensorData {
    TensorInfo info;
    const void* data = nullptr;  // info.bytes() bytes
};

// A name as JSON, quotes and all; ASCII.
std::string json_string(const std::string& text);

// The whole file at once.
Status write_safetensors(const std::filesystem::path& target, std::span<const TensorData> tensors);

}  // namespace vks
