#include "backend/exec/direct_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <fstream>

#include "backend/base/check.h"

namespace vks {
namespace {

constexpr uint64_t kLeast = uint64_t{256} << 10;  // less isn't worth four calls of the system

uint64_t page() {
    static const auto bytes = static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
    return bytes;
}

std::atomic<uint64_t> pieces{0};  // of memory, in all of the process

}  // namespace

uint64_t DirectFile::most() {
    static const uint64_t most = [] {
        // Maps of files, threads' stacks, drivers, libraries; where a system grants few, half.
        constexpr uint64_t kOthers = 8192, kUsual = 65530;
        uint64_t granted = kUsual;
        std::ifstream("/proc/sys/vm/max_map_count") >> granted;
        return (granted - std::min(kOthers, granted / 2)) / 2;
    }();
    return most;
}

DirectFile::DirectFile(const FileMap& map) : map_(map) {
    // The file that is mapped, whatever has its name by now.
    fd_ = open(fmt::format("/proc/self/fd/{}", map.fd()).c_str(), O_RDONLY | O_DIRECT | O_CLOEXEC);
}

DirectFile::~DirectFile() {
    if (fd_ >= 0) close(fd_);
}

DirectFile::Pages DirectFile::inside(uint64_t offset, uint64_t bytes) const {
    const uint64_t first = (offset + page() - 1) / page() * page(), last = (offset + bytes) / page() * page();
    if (fd_ < 0 || last < first + kLeast) return {};
    return {first, last - first};
}

std::byte* DirectFile::allocate(uint64_t bytes, uint64_t most) {
    if (pieces.fetch_add(1) < most) {
        void* memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (memory != MAP_FAILED) return static_cast<std::byte*>(memory);
    }
    --pieces;
    return nullptr;
}

void DirectFile::release(std::byte* memory, uint64_t bytes) {
    static_cast<void>(munmap(memory, bytes));
    --pieces;
}

bool DirectFile::replace(const Pages& pages, std::byte* memory) const {
    static_cast<void>(mprotect(memory, pages.bytes, PROT_READ));  // as the file's pages are
    return mremap(memory, pages.bytes, pages.bytes, MREMAP_MAYMOVE | MREMAP_FIXED, address(pages)) != MAP_FAILED;
}

void DirectFile::restore(const Pages& pages) const {
    const void* back = mmap(address(pages), pages.bytes, PROT_READ, MAP_SHARED | MAP_FIXED, map_.fd(),
                            static_cast<off_t>(pages.offset));
    CHECK(back != MAP_FAILED, "{}: its pages can't be mapped again", map_.path().string());
    --pieces;
}

}  // namespace vks
