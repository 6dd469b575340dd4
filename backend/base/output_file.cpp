#include "backend/base/output_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "backend/base/bad_input.h"
#include "backend/base/check.h"

namespace vks {

OutputFile::OutputFile(std::string what, std::filesystem::path path, int fd, bool made)
    : what_(std::move(what)), path_(std::move(path)), fd_(fd), made_(made) {}

OutputFile::OutputFile(OutputFile&& other) noexcept
    : what_(std::move(other.what_)),
      path_(std::move(other.path_)),
      fd_(std::exchange(other.fd_, -1)),
      made_(std::exchange(other.made_, false)) {}

OutputFile::~OutputFile() {
    if (fd_ < 0) return;
    close(fd_);
    if (made_) unlink(path_.c_str());
}

Error OutputFile::failure(int error) const {
    return bad_input("{} ({}): wanted a file that can be written, found: {}", what_, path_.string(),
                     std::strerror(error));
}

Result<OutputFile> OutputFile::open(std::string what, const std::filesystem::path& path) {
    constexpr int kFlags = O_WRONLY | O_CREAT | O_CLOEXEC;
    int fd = ::open(path.c_str(), kFlags | O_EXCL, 0666);
    const bool made = fd >= 0;
    // Also what isn't a file: /dev/stdout, a pipe, a link to what isn't there yet.
    if (fd < 0 && errno == EEXIST) fd = ::open(path.c_str(), kFlags, 0666);
    const int error = errno;
    OutputFile file(std::move(what), path, fd, made);
    if (fd < 0) return file.failure(error);
    return file;
}

Status OutputFile::write(std::string_view text) {
    CHECK(fd_ >= 0, "{}: written twice", path_.string());
    made_ = false;
    // Pipes and devices have no length to set.
    if (ftruncate(fd_, 0) != 0 && errno != EINVAL) return failure(errno);
    while (!text.empty()) {
        const ssize_t done = ::write(fd_, text.data(), text.size());
        if (done < 0 && errno == EINTR) continue;
        if (done < 0) return failure(errno);
        text.remove_prefix(static_cast<size_t>(done));
    }
    // Some file systems report a full disk only here.
    if (close(std::exchange(fd_, -1)) != 0) return failure(errno);
    return {};
}

}  // namespace vks
