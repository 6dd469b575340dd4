// A whole file mapped read-only. Not a reader: it knows nothing of what is in the file.
#pragma once
#include <cstddef>
#include <filesystem>
#include <memory>
#include <string>

#include "backend/base/result.h"

namespace vks {

// Move-only; the address of the data stays the same when the object moves. Const members may be called from any thread.
//
// Reading a page that the file no longer has (it was truncated, or the disk failed) ends the process with one line on
// stderr and exit status 3: the first open() installs a SIGBUS handler for that. Faults elsewhere keep the handler that
// was there before.
class FileMap {
public:
    // What is expected of a range; kPopulate reads it in now, kDontNeed gives its pages back, also those the system
    // keeps. kLargePages: what isn't read yet comes in large pages (2 MiB on x86), if the system has them for files;
    // a touch then reads that much.
    enum class Advice { kNormal, kRandom, kSequential, kWillNeed, kDontNeed, kPopulate, kLargePages };

    // Maps a regular file; nothing of it is read. An empty file gives data() == nullptr, size() == 0.
    // Errors: not there, not readable, not a regular file, more than 4096 maps at a time.
    static Result<FileMap> open(const std::filesystem::path& path);

    FileMap(const FileMap&) = delete;
    FileMap& operator=(const FileMap&) = delete;
    FileMap(FileMap&& other) noexcept;
    FileMap& operator=(FileMap&& other) noexcept;
    ~FileMap();

    const std::byte* data() const { return data_; }
    size_t size() const { return size_; }  // bytes, when it was opened
    const std::filesystem::path& path() const { return path_; }
    int fd() const { return fd_; }  // for direct reads; closed with the map

    // A hint about bytes [offset, offset + bytes), widened to whole pages and cut at the end of the file.
    // Failing changes nothing but speed, so nothing is returned.
    void advise(size_t offset, size_t bytes, Advice advice) const;
    // Reads the range in now and waits for it. False: the file no longer has all of it, or the disk failed. A system
    // that can't do this (Linux before 5.14) leaves it to the first touch, and this to the SIGBUS handler.
    bool populate(size_t offset, size_t bytes) const;

    // Whether the file still has its size. A file cut within its last page reads as zeros without any fault, so a run
    // asks this before it trusts what it computed.
    Status check_size() const;

private:
    struct Pages {
        void* begin = nullptr;
        size_t bytes = 0;
    };
    FileMap() = default;
    Pages pages(size_t offset, size_t bytes) const;
    const std::byte* data_ = nullptr;
    size_t size_ = 0;
    int fd_ = -1;
    int slot_ = -1;                               // in the table the SIGBUS handler reads
    std::unique_ptr<const std::string> message_;  // what the handler writes; the table points to it
    std::filesystem::path path_;
};

}  // namespace vks
