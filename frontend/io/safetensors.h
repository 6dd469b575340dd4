// The safetensors container, read through a map: names, types, shapes and where the bytes are. It does not look at the
// bytes and knows no model. Format: https://github.com/huggingface/safetensors#format
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <initializer_list>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "backend/base/file_map.h"
#include "backend/base/result.h"
#include "frontend/io/dtype.h"

namespace vks {

// Sizes of a tensor, outermost first.
struct Shape {
    static constexpr size_t kMaxRank = 8;
    std::array<int64_t, kMaxRank> dim{};
    size_t rank = 0;

    Shape() = default;
    Shape(std::initializer_list<int64_t> sizes);  // at most kMaxRank, each >= 0
    int64_t operator[](size_t i) const { return dim[i]; }
    bool operator==(const Shape&) const = default;
    int64_t elements() const;  // 1 for rank 0. Only for shapes whose product is known to fit, as it does in a file
    std::string text() const;  // "[288, 176]"
};

// What the header says of the file it begins.
struct SafetensorsHeader {
    static constexpr uint64_t kMaxBytes = 100'000'000;  // the format's own limit
    // What so many bytes could hold would take seconds. DeepSeek-V3 has 91,991 tensors in all its files; as many as
    // here may be in an index, too.
    static constexpr size_t kMaxTensors = size_t{1} << 18, kMaxMetadata = size_t{1} << 16;
    struct Entry {
        std::string name;
        DType dtype = DType::kNone;
        Shape shape;
        uint64_t begin = 0, end = 0;  // in the data part of the file
    };
    std::vector<Entry> entries;     // in the order of the header
    std::vector<uint32_t> by_name;  // into entries, sorted by their names
    std::map<std::string, std::string> metadata;
    uint64_t data_begin = 0;  // of the data part in the file

    // Reads the header of a file with these contents and checks that it describes the rest exactly: every byte belongs
    // to one tensor. That rest is not looked at. Errors name the tensor and `file`.
    static Result<SafetensorsHeader> parse(std::span<const std::byte> contents, const std::string& file);
};

// A tensor in a mapped file; borrowed from its SafetensorsFile. Row-major, little-endian.
struct TensorView {
    std::string_view name;
    DType dtype = DType::kNone;
    Shape shape;
    const std::byte* data = nullptr;  // not always aligned to its type: see aligned()
    uint64_t bytes = 0;
    const FileMap* file = nullptr;

    // Whether data may be read as an array of its type. The format only promises byte alignment.
    bool aligned() const;
    std::string file_name() const { return file->path().string(); }  // for messages
};

// An open safetensors file. Move-only; moving keeps views valid. Const members may be called from any thread.
class SafetensorsFile {
public:
    // Maps the file and reads its header. Errors name the file and the tensor.
    static Result<SafetensorsFile> open(const std::filesystem::path& path);

    std::span<const TensorView> tensors() const { return tensors_; }  // in the order of the header
    const TensorView* find(std::string_view name) const;              // nullptr: no such tensor
    const std::map<std::string, std::string>& metadata() const { return metadata_; }
    const FileMap& file() const { return *file_; }

private:
    SafetensorsFile() = default;
    std::unique_ptr<const FileMap> file_;
    std::vector<std::string> names_;  // what the views' names point into
    std::vector<TensorView> tensors_;
    std::vector<uint32_t> by_name_;
    std::map<std::string, std::string> metadata_;
};

}  // namespace vks
