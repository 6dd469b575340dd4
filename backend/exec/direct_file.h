// A mapped file whose pages can be replaced by memory that was read past the page cache, at the same addresses: a
// weight then takes its bytes once, and gives back all of them.
#pragma once
#include <cstddef>
#include <cstdint>

#include "backend/base/file_map.h"

namespace vks {

// Const members may be called from any thread, for different pages.
class DirectFile {
public:
    // Whole pages of the file.
    struct Pages {
        uint64_t offset = 0, bytes = 0;
    };

    // `map` must outlive it.
    explicit DirectFile(const FileMap& map);
    ~DirectFile();
    DirectFile(const DirectFile&) = delete;
    DirectFile& operator=(const DirectFile&) = delete;

    // For reads of whole pages; -1 where the file system has only cached ones.
    int fd() const { return fd_; }
    // The system refused such a read: there are to be no more. These two under a lock of the caller's.
    void refuse() { refused_ = true; }
    bool refused() const { return refused_; }
    // Those within a range; none where it isn't worth it.
    Pages inside(uint64_t offset, uint64_t bytes) const;

    // So many pieces of memory the whole process should have at a time, in the files' place or on their way there: each
    // takes two of the mappings that the system grants a process, and others need some.
    static uint64_t most();
    // Memory to read so many bytes of pages into; null: there is none, or `most` are there. It is restore()'s once it
    // replaced pages, else release()'s.
    static std::byte* allocate(uint64_t bytes, uint64_t most);
    static void release(std::byte* memory, uint64_t bytes);
    // Puts what was read where the pages are mapped. False: the system couldn't, `memory` is still there.
    bool replace(const Pages& pages, std::byte* memory) const;
    // Maps the file's pages again; what was in their place is gone. In one call of the system: whoever reads there
    // meanwhile finds what was read or the file's pages. Taking the memory out instead, to read other pages into, would
    // leave zeros there for a moment.
    void restore(const Pages& pages) const;

private:
    std::byte* address(const Pages& pages) const { return const_cast<std::byte*>(map_.data()) + pages.offset; }

    const FileMap& map_;
    int fd_ = -1;
    bool refused_ = false;
};

}  // namespace vks
