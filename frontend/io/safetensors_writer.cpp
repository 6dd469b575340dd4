// Writing safetensors files through a temporary one.
#include "frontend/io/safetensors_writer.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <nlohmann/json.hpp>
#include <unordered_map>
#include <utility>

#include "backend/base/bad_input.h"

namespace vks {
namespace {

Error write_error(const std::filesystem::path& path, int error) {
    return bad_input("output ({}): wanted to write it, found: {}", path.string(), std::strerror(error));
}

// The length, the JSON and spaces, so that the data begins at a multiple of 256: no Vulkan device asks for more of a
// tensor it is to use where it lies.
std::string encode_header(std::span<const TensorInfo> tensors) {
    std::string json = R"({"__metadata__":{"format":"pt"})";
    uint64_t at = 0;
    for (const TensorInfo& tensor : tensors) {
        const uint64_t end = at + tensor.bytes();
        const auto& dim = tensor.shape.dim;
        json += fmt::format(R"(,{}:{{"dtype":"{}","shape":[{}],"data_offsets":[{},{}]}})", json_string(tensor.name),
                            dtype_name(tensor.dtype), fmt::join(dim.begin(), dim.begin() + tensor.shape.rank, ","), at,
                            end);
        at = end;
    }
    json += '}';
    constexpr size_t kAlignment = 256;
    json.resize((sizeof(uint64_t) + json.size() + kAlignment - 1) / kAlignment * kAlignment - sizeof(uint64_t), ' ');
    const uint64_t length = json.size();
    std::string header(sizeof length, '\0');
    std::memcpy(header.data(), &length, sizeof length);
    return header + json;
}

// What a symbolic link leads to, there or not: renaming would replace the link. A chain without an end stays as it is,
// to be refused like any name that can't be opened.
std::filesystem::path behind_links(std::filesystem::path path) {
    constexpr int kMostLinks = 40;  // as many as the system follows
    std::error_code none;
    for (int i = 0; i < kMostLinks && std::filesystem::is_symlink(path, none); ++i) {
        const std::filesystem::path to = std::filesystem::read_symlink(path, none);
        if (none) break;
        path = path.parent_path() / to;
    }
    return path;
}

}  // namespace

std::string json_string(const std::string& text) {
    return nlohmann::json(text).dump(-1, ' ', true, nlohmann::json::error_handler_t::replace);
}

uint64_t TensorInfo::bytes() const {
    const uint64_t bits = static_cast<uint64_t>(shape.elements()) * dtype_bits(dtype);
    CHECK(bits % 8 == 0, "tensor {} of {} ends within a byte", name, dtype_name(dtype));
    return bits / 8;
}

Result<SafetensorsWriter> SafetensorsWriter::create(const std::filesystem::path& named,
                                                    std::vector<TensorInfo> tensors) {
    std::unordered_map<std::string_view, int> names;
    for (const TensorInfo& tensor : tensors) {
        if (++names[tensor.name] > 1) {
            return bad_input("tensor {} ({}): wanted it once, found it twice", quote(tensor.name), named.string());
        }
    }
    // Renaming over /dev/null or a folder would replace it.
    std::error_code ignored;
    const auto kind = std::filesystem::status(named, ignored).type();
    if (kind != std::filesystem::file_type::not_found && kind != std::filesystem::file_type::regular) {
        return bad_input("output ({}): wanted a regular file, found another kind", named.string());
    }
    const std::filesystem::path target = behind_links(named);

    SafetensorsWriter writer;
    writer.tensors_ = std::move(tensors);
    std::ranges::stable_sort(writer.tensors_, std::greater{}, [](const TensorInfo& t) { return dtype_bits(t.dtype); });
    const std::string header = encode_header(writer.tensors_);
    writer.file_bytes_ = header.size();
    for (const TensorInfo& tensor : writer.tensors_) {
        writer.begin_.push_back(writer.file_bytes_);
        writer.file_bytes_ += tensor.bytes();
    }

    writer.target_ = target;
    // O_EXCL: the name is ours alone, also beside another process that writes the same target.
    for (int i = 0; writer.fd_ < 0; ++i) {
        writer.temporary_ = fmt::format("{}.{}-{}.tmp", target.string(), getpid(), i);
        writer.fd_ = ::open(writer.temporary_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (writer.fd_ < 0 && errno != EEXIST) return write_error(target, errno);
    }
    VKS_TRY(writer.write(std::as_bytes(std::span(header))));
    return writer;
}

SafetensorsWriter::SafetensorsWriter(SafetensorsWriter&& other) noexcept
    : target_(std::move(other.target_)),
      temporary_(std::move(other.temporary_)),
      tensors_(std::move(other.tensors_)),
      fd_(std::exchange(other.fd_, -1)),
      begin_(std::move(other.begin_)),
      at_(other.at_),
      written_(other.written_),
      file_bytes_(other.file_bytes_) {}

SafetensorsWriter::~SafetensorsWriter() {
    if (fd_ < 0) return;
    close(fd_);
    unlink(temporary_.c_str());
}

Status SafetensorsWriter::put(uint64_t at, std::span<const std::byte> bytes) {
    written_ += bytes.size();
    while (!bytes.empty()) {
        const ssize_t done = pwrite(fd_, bytes.data(), bytes.size(), static_cast<off_t>(at));
        if (done < 0 && errno == EINTR) continue;
        if (done < 0) return write_error(target_, errno);
        bytes = bytes.subspan(static_cast<size_t>(done));
        at += static_cast<uint64_t>(done);
    }
    return {};
}

Status SafetensorsWriter::write(std::span<const std::byte> bytes) {
    CHECK(bytes.size() <= file_bytes_ - at_, "{}: more bytes than the header says", target_.string());
    at_ += bytes.size();
    return put(at_ - bytes.size(), bytes);
}

Status SafetensorsWriter::write_at(size_t tensor, uint64_t offset, std::span<const std::byte> bytes) {
    const uint64_t size = tensors_[tensor].bytes();
    CHECK(offset <= size && bytes.size() <= size - offset, "{}: more bytes than tensor {} has", target_.string(),
          tensors_[tensor].name);
    return put(begin_[tensor] + offset, bytes);
}

Status SafetensorsWriter::skip(uint64_t bytes) {
    CHECK(bytes <= file_bytes_ - at_, "{}: more bytes than the header says", target_.string());
    at_ += bytes;
    written_ += bytes;
    return {};
}

Status SafetensorsWriter::finish() {
    CHECK(written_ == file_bytes_, "{}: {} of {} bytes were written", target_.string(), written_, file_bytes_);
    // Gives a hole at the end its size.
    if (ftruncate(fd_, static_cast<off_t>(file_bytes_)) != 0) return write_error(target_, errno);
    // Some file systems report a full disk only here.
    const bool closed = close(std::exchange(fd_, -1)) == 0;
    if (!closed || rename(temporary_.c_str(), target_.c_str()) != 0) {
        const int error = errno;
        unlink(temporary_.c_str());
        return write_error(target_, error);
    }
    return {};
}

Status write_safetensors(const std::filesystem::path& target, std::span<const TensorData> tensors) {
    std::vector<TensorInfo> infos;
    std::unordered_map<std::string_view, const void*> data;
    for (const TensorData& tensor : tensors) {
        infos.push_back(tensor.info);
        data.emplace(tensor.info.name, tensor.data);
    }
    VKS_ASSIGN(SafetensorsWriter writer, SafetensorsWriter::create(target, std::move(infos)));
    for (const TensorInfo& info : writer.tensors()) {
        VKS_TRY(writer.write({static_cast<const std::byte*>(data.at(info.name)), info.bytes()}));
    }
    return writer.finish();
}

}  // namespace vks
