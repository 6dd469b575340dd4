// Weights that are larger than the memory they may take: which ranges of mapped files are resident. Ranges are read
// ahead by threads of its own, large ones past the page cache, and given back when others need the room. Nothing
// depends on it but speed and memory: a range that isn't resident is read by whoever touches it. Knows no graph and no
// device.
#pragma once
#include <unistd.h>

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <span>
#include <thread>
#include <unordered_map>
#include <utility>
#include <vector>

#include "backend/base/clock.h"
#include "backend/exec/direct_file.h"
#include "backend/exec/read_ring.h"

namespace vks {

// How a range is used, and so when it is given back.
enum class RangeUse : uint8_t {
    kPinned,    // never
    kStreamed,  // before all others: every step comes by it once, in the same order
    kCached,    // by how often it was used lately: least frequently used, with ageing
    kTouched,   // not held: single rows are read by whoever needs them, see forget()
};

struct PagerStats {
    uint64_t budget_bytes = 0, pinned_bytes = 0, peak_bytes = 0;
    uint64_t bytes_read = 0;                    // from the files, by the pager
    uint64_t bytes_suggested = 0;               // of them, because it would be good to have them
    uint64_t cached_uses = 0, cached_hits = 0;  // of kCached ranges: asked for; of those, resident or on their way
    double reading_seconds = 0;                 // with a read under way
    double waiting_seconds = 0;                 // that hold() took
    bool ring = false;                          // large ranges are read by io_uring
};

// What of the system a test may put something else for.
struct PagerSystem {
    ssize_t (*read)(int fd, void* to, size_t bytes, off_t offset) = ::pread;  // past the page cache, without a ring
    uint64_t most_direct = DirectFile::most();
};

// want(), hold(), release() and suggest() belong to one thread.
class Pager {
public:
    using Range = uint32_t;
    enum class Reading : uint8_t { kBest, kThreads };  // io_uring where there is one; never

    // `budget`: bytes that may be resident. What is held at a time may exceed it, and is then all there is.
    Pager(uint64_t budget, unsigned readers, Reading reading = Reading::kBest, const PagerSystem& system = {});
    ~Pager();
    Pager(const Pager&) = delete;
    Pager& operator=(const Pager&) = delete;

    // The range that begins at `data`, within `file`, which must outlive the pager. The same address again gives the
    // same range. Before the first want().
    Range add(const FileMap& file, const std::byte* data, uint64_t bytes, RangeUse use);
    // So often it was used in earlier runs. Before the first want().
    void expect(Range range, uint64_t uses) { entries_[range].uses = uses; }
    uint64_t uses(Range range);  // those, and how often it was released since

    // These will be held soon, in this order: they are read as far as there is room.
    void want(std::span<const Range> ranges);
    // It would be good to have these, the first most: they are read while nothing else is, as far as there is room or
    // what is there is worth less.
    void suggest(std::span<const Range> ranges);
    // Waits until they are resident; they stay until they are released. Errors: the file was cut, or the disk failed.
    Status hold(std::span<const Range> ranges);
    void release(std::span<const Range> ranges);
    // Gives back what was touched of a range that nobody holds, without counting it: single rows of a table.
    void forget(Range range);

    // Copies what the file has there, resident or not; nothing becomes resident by it. From any thread.
    Status copy(Range range, std::byte* to, uint64_t bytes) const;

    // The range that was added for this address.
    std::optional<Range> find(const std::byte* data) const;
    uint64_t bytes(Range range) const { return entries_[range].bytes; }
    uint64_t largest() const;  // of those that are held
    uint64_t budget() const { return budget_; }
    PagerStats stats();

private:
    enum class State : uint8_t { kAway, kPending, kReading, kResident };
    struct Entry {
        const FileMap* file = nullptr;
        uint64_t offset = 0, bytes = 0;
        RangeUse use = RangeUse::kCached;
        State state = State::kAway;
        bool wanted = false;  // since it was last held
        int holders = 0;
        uint32_t tasks = 0;           // reads of its parts still to be done
        DirectFile::Pages pages;      // of it, that are read past the page cache; may be none
        std::byte* memory = nullptr;  // that they are being read into
        bool refused = false;         // some of it can't be read so
        bool replaced = false;        // that memory is where they are mapped
        uint64_t uses = 0;
        std::pair<double, uint64_t> rank{};  // in `idle_` when it may be given back: priority, and order of release
    };
    // Reads a part of a range, or gives a whole one back.
    enum class Work : uint8_t { kCached, kDirect, kGiveBack };
    struct Task {
        Range range = 0;
        uint64_t offset = 0, bytes = 0;
        Work work = Work::kCached;
    };

    void work();
    void work_ring();
    bool read(const Task& task);
    PartialRead::Next read_direct(const Task& task);
    void begin(Range range);  // under mutex_, as are the following
    void add_tasks(Range range, uint64_t offset, uint64_t bytes, Work work);
    void finish(const Task& task, PartialRead::Next read);
    bool put_in_place(Entry& entry);
    bool make_room(uint64_t bytes);
    void give_back_first();
    void pump();
    void begin_suggested();
    void set_idle(Range range);
    void count_reading(bool begins);

    const uint64_t budget_;
    const PagerSystem system_;
    std::vector<Entry> entries_;
    std::unordered_map<const std::byte*, Range> by_address_;
    std::unordered_map<const FileMap*, std::unique_ptr<DirectFile>> files_;
    std::unique_ptr<ReadRing> ring_;  // of the thread in work_ring()

    std::mutex mutex_;  // guards what follows, and entries' states
    std::condition_variable tasks_there_, ring_tasks_there_, resident_;
    std::deque<Task> tasks_, ring_tasks_;
    std::deque<Range> pending_;                                     // wanted, no room yet
    std::deque<Range> suggested_;                                   // the best first
    std::set<std::pair<std::pair<double, uint64_t>, Range>> idle_;  // may be given back, first one first
    uint64_t held_bytes_ = 0;                                       // resident or being read
    double age_ = 0;                                                // rank of the last range given back
    uint64_t releases_ = 0;
    PagerStats stats_;
    int reading_ = 0;
    Clock::time_point reading_since_;
    const FileMap* failed_ = nullptr;
    bool stop_ = false;
    std::vector<std::thread> readers_;
};

}  // namespace vks
