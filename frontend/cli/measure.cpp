#include "frontend/cli/measure.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <thread>
#include <vector>

#include "backend/base/clock.h"

namespace vks {
namespace {

constexpr size_t kMemory = size_t{256} << 20;  // more than caches hold
constexpr uint64_t kLeast = uint64_t{64} << 20, kMost = uint64_t{512} << 20, kPiece = uint64_t{4} << 20;
constexpr int kReaders = 4;
constexpr std::chrono::milliseconds kPatience(500);

void run_on(unsigned threads, const auto& work) {
    std::vector<std::thread> others;
    for (unsigned i = 1; i < threads; ++i) others.emplace_back([&work, i] { work(i); });
    work(0u);
    for (std::thread& thread : others) thread.join();
}

struct Closed {
    explicit Closed(int opened) : fd(opened) {}
    Closed(const Closed&) = delete;
    Closed& operator=(const Closed&) = delete;
    ~Closed() { close(fd); }
    const int fd;
};

struct Freed {
    void operator()(std::byte* bytes) const { std::free(bytes); }  // NOLINT(*-no-malloc): aligned_alloc's
};

}  // namespace

double measure_memory(unsigned threads) {
    std::vector<uint64_t> words(kMemory / sizeof(uint64_t), 1);
    std::atomic<uint64_t> sum{0};
    double best = 0;
    for (int round = 0; round < 3; ++round) {
        const auto begin = Clock::now();
        run_on(threads, [&](unsigned i) {
            const size_t first = words.size() * i / threads, last = words.size() * (i + 1) / threads;
            uint64_t part[8] = {};
            for (size_t at = first; at + 8 <= last; at += 8)
                for (size_t lane = 0; lane < 8; ++lane) part[lane] += words[at + lane];
            for (const uint64_t value : part) sum += value;
        });
        best = std::max(best, static_cast<double>(kMemory) / seconds_since(begin));
    }
    return sum.load() > 0 ? best : 0;
}

std::optional<double> measure_disk(const std::filesystem::path& file) {
    const Closed opened{open(file.c_str(), O_RDONLY | O_CLOEXEC | O_DIRECT)};
    struct stat info = {};
    if (opened.fd < 0 || fstat(opened.fd, &info) != 0) return std::nullopt;
    const auto size = static_cast<uint64_t>(info.st_size);
    const bool sparse = static_cast<uint64_t>(info.st_blocks) * 512 < size / 2;
    if (sparse || size < kLeast) return std::nullopt;

    const uint64_t wanted = std::min(size, kMost) / kPiece * kPiece;
    std::atomic<uint64_t> next{0}, done{0};
    const auto begin = Clock::now();
    run_on(kReaders, [&](unsigned) {
        const std::unique_ptr<std::byte, Freed> buffer(static_cast<std::byte*>(std::aligned_alloc(4096, kPiece)));
        while (buffer != nullptr && Clock::now() - begin < kPatience) {
            const uint64_t at = next.fetch_add(kPiece);
            if (at >= wanted) return;
            const ssize_t got = pread(opened.fd, buffer.get(), kPiece, static_cast<off_t>(at));
            if (got <= 0) return;
            done += static_cast<uint64_t>(got);
        }
    });
    if (done.load() == 0) return std::nullopt;
    return static_cast<double>(done.load()) / seconds_since(begin);
}

}  // namespace vks
