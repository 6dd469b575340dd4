// Mapping, and the SIGBUS handler that turns a vanished page into one line and exit status 3.
#include "backend/base/file_map.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <utility>

#include "backend/base/bad_input.h"

namespace vks {
namespace {

#ifdef MADV_HUGEPAGE
constexpr int kMadviseLarge = MADV_HUGEPAGE;
#else
constexpr int kMadviseLarge = MADV_NORMAL;
#endif

// The table of live maps that the signal handler reads. Lock-free, because a fault can come at any instruction.
// begin: 0 = free, 1 = being filled, else the map's first address, published last.
struct Slot {
    std::atomic<uintptr_t> begin{0};
    std::atomic<uintptr_t> end{0};
    std::atomic<const char*> text{nullptr};
    std::atomic<size_t> text_bytes{0};
};
constexpr size_t kSlots = 4096;
constexpr uintptr_t kFilling = 1;
std::array<Slot, kSlots> slots;  // NOLINT(*-non-const-global-variables): for the signal handler
static_assert(std::atomic<uintptr_t>::is_always_lock_free && std::atomic<const char*>::is_always_lock_free);

struct sigaction previous_action;  // NOLINT(*-non-const-global-variables): the same

// Async-signal-safe: atomics, write, _exit, sigaction, raise.
void on_sigbus(int signal, siginfo_t* info, void*) {
    // si_code <= 0: someone sent the signal, there is no address.
    if (info->si_code > 0) {
        const auto address = reinterpret_cast<uintptr_t>(info->si_addr);
        for (const Slot& slot : slots) {
            const uintptr_t begin = slot.begin.load(std::memory_order_acquire);
            if (begin <= kFilling || address < begin || address >= slot.end.load(std::memory_order_relaxed)) continue;
            const char* text = slot.text.load(std::memory_order_relaxed);
            const ssize_t written = write(STDERR_FILENO, text, slot.text_bytes.load(std::memory_order_relaxed));
            static_cast<void>(written);  // nothing is left to do about it
            _exit(static_cast<int>(Code::kBadInput));
        }
    }
    // Not one of our maps: the handler from before gets the fault when the instruction runs again.
    sigaction(signal, &previous_action, nullptr);
    if (info->si_code <= 0) raise(signal);
}

void install_handler() {
    static const bool installed = [] {
        struct sigaction action = {};
        action.sa_sigaction = on_sigbus;
        action.sa_flags = SA_SIGINFO | SA_ONSTACK;
        sigemptyset(&action.sa_mask);
        return sigaction(SIGBUS, &action, &previous_action) == 0;
    }();
    CHECK(installed, "sigaction(SIGBUS): {}", std::strerror(errno));
}

int take_slot(uintptr_t begin, size_t bytes, const std::string& text) {
    for (size_t i = 0; i < kSlots; ++i) {
        uintptr_t free = 0;
        if (!slots[i].begin.compare_exchange_strong(free, kFilling)) continue;
        slots[i].end.store(begin + bytes, std::memory_order_relaxed);
        slots[i].text.store(text.data(), std::memory_order_relaxed);
        slots[i].text_bytes.store(text.size(), std::memory_order_relaxed);
        slots[i].begin.store(begin, std::memory_order_release);
        return static_cast<int>(i);
    }
    return -1;
}

Error open_error(const std::filesystem::path& path, int error) {
    return bad_input("file ({}): wanted a readable file, found: {}", path.string(), std::strerror(error));
}

}  // namespace

Result<FileMap> FileMap::open(const std::filesystem::path& path) {
    FileMap map;
    map.path_ = path;
    // O_NONBLOCK: a FIFO with this name must not hold the program up.
    map.fd_ = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (map.fd_ < 0) return open_error(path, errno);
    struct stat info = {};
    if (fstat(map.fd_, &info) != 0) return open_error(path, errno);
    if (!S_ISREG(info.st_mode)) {
        return bad_input("file ({}): wanted a regular file, found {}", path.string(),
                         S_ISDIR(info.st_mode) ? "a folder" : "a device, pipe or socket");
    }
    map.size_ = static_cast<size_t>(info.st_size);
    if (map.size_ == 0) return map;

    void* address = mmap(nullptr, map.size_, PROT_READ, MAP_SHARED, map.fd_, 0);
    if (address == MAP_FAILED) {
        const int error = errno;
        map.size_ = 0;
        return bad_input("file ({}): wanted to map {} bytes, found: {}", path.string(), info.st_size,
                         std::strerror(error));
    }
    map.data_ = static_cast<const std::byte*>(address);
    map.message_ = std::make_unique<const std::string>(
        one_line(fmt::format("vkseek: read of a mapped file ({}): wanted {} bytes, found fewer: the file was truncated "
                             "or the disk failed",
                             path.string(), map.size_)) +
        "\n");
    install_handler();
    map.slot_ = take_slot(reinterpret_cast<uintptr_t>(address), map.size_, *map.message_);
    if (map.slot_ < 0) {
        return bad_input("file ({}): wanted at most {} mapped files at a time, found more", path.string(), kSlots);
    }
    return map;
}

FileMap::FileMap(FileMap&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)),
      size_(std::exchange(other.size_, 0)),
      fd_(std::exchange(other.fd_, -1)),
      slot_(std::exchange(other.slot_, -1)),
      message_(std::move(other.message_)),
      path_(std::move(other.path_)) {}

FileMap& FileMap::operator=(FileMap&& other) noexcept {
    FileMap old(std::move(*this));
    data_ = std::exchange(other.data_, nullptr);
    size_ = std::exchange(other.size_, 0);
    fd_ = std::exchange(other.fd_, -1);
    slot_ = std::exchange(other.slot_, -1);
    message_ = std::move(other.message_);
    path_ = std::move(other.path_);
    return *this;
}

FileMap::~FileMap() {
    if (slot_ >= 0) slots[static_cast<size_t>(slot_)].begin.store(0, std::memory_order_release);
    if (data_ != nullptr) munmap(const_cast<std::byte*>(data_), size_);
    if (fd_ >= 0) close(fd_);
}

// Whole pages around a range, cut at the end of the file.
FileMap::Pages FileMap::pages(size_t offset, size_t bytes) const {
    if (offset >= size_) return {};
    bytes = std::min(bytes, size_ - offset);
    const auto page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
    const size_t first = offset / page * page;
    return {const_cast<std::byte*>(data_ + first), bytes == 0 ? 0 : bytes + (offset - first)};
}

void FileMap::advise(size_t offset, size_t bytes, Advice advice) const {
    static constexpr int kMadvise[] = {MADV_NORMAL,   MADV_RANDOM,   MADV_SEQUENTIAL, MADV_WILLNEED,
                                       MADV_DONTNEED, MADV_WILLNEED, kMadviseLarge};
    const Pages range = pages(offset, bytes);
    if (range.bytes == 0) return;
#ifdef MADV_POPULATE_READ
    if (advice == Advice::kPopulate && madvise(range.begin, range.bytes, MADV_POPULATE_READ) == 0) return;
#endif
    static_cast<void>(madvise(range.begin, range.bytes, kMadvise[static_cast<size_t>(advice)]));
    if (advice != Advice::kDontNeed) return;
    const auto first = static_cast<off_t>(static_cast<std::byte*>(range.begin) - data_);
    static_cast<void>(posix_fadvise(fd_, first, static_cast<off_t>(range.bytes), POSIX_FADV_DONTNEED));
}

bool FileMap::populate(size_t offset, size_t bytes) const {
    const Pages range = pages(offset, bytes);
    if (range.bytes == 0) return bytes == 0;
#ifdef MADV_POPULATE_READ
    while (madvise(range.begin, range.bytes, MADV_POPULATE_READ) != 0) {
        if (errno == EFAULT || errno == EIO) return false;
        if (errno != EINTR && errno != EAGAIN) break;
    }
#endif
    return true;
}

Status FileMap::check_size() const {
    struct stat info = {};
    if (fstat(fd_, &info) != 0) return open_error(path_, errno);
    if (static_cast<size_t>(info.st_size) != size_) {
        return bad_input("file ({}): wanted {} bytes as when it was opened, found {}", path_.string(), size_,
                         info.st_size);
    }
    return {};
}

}  // namespace vks
