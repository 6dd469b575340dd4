// Weights that are larger than the memory they may take: which ranges of mapped files are resident. Ranges are read
// ahead by threads of its own and given back, page cache and all, when others need the room. Nothing depends on it but
// speed and memory: a range that isn't resident is read by whoever touches it. Knows no graph and no device.
#pragma once
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <mutex>
#include <optional>
#include <set>
#include <span>
#include <thread>
#include <unordered_map>
#include <utility>
#include <vector>

#include "backend/base/file_map.h"

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
    uint64_t cached_uses = 0, cached_hits = 0;  // of kCached ranges: asked for; of those, resident or on their way
    double reading_seconds = 0;                 // with a read under way
    double waiting_seconds = 0;                 // that hold() took
};

// want(), hold() and release() belong to one thread.
class Pager {
public:
    using Range = uint32_t;

    // `budget`: bytes that may be resident. What is held at a time may exceed it, and is then all there is.
    Pager(uint64_t budget, unsigned readers);
    ~Pager();
    Pager(const Pager&) = delete;
    Pager& operator=(const Pager&) = delete;

    // The range that begins at `data`, within `file`, which must outlive the pager. The same address again gives the
    // same range. Before the first want().
    Range add(const FileMap& file, const std::byte* data, uint64_t bytes, RangeUse use);

    // These will be held soon, in this order: they are read as far as there is room.
    void want(std::span<const Range> ranges);
    // Waits until they are resident; they stay until they are released. Errors: the file was cut, or the disk failed.
    Status hold(std::span<const Range> ranges);
    void release(std::span<const Range> ranges);
    // Gives back what was touched of a range that nobody holds, without counting it: single rows of a table.
    void forget(Range range);

    // The range that was added for this address.
    std::optional<Range> find(const std::byte* data) const;
    uint64_t bytes(Range range) const { return entries_[range].bytes; }
    uint64_t largest() const;  // of those that are held
    uint64_t budget() const { return budget_; }
    PagerStats stats();

private:
    using Clock = std::chrono::steady_clock;
    enum class State : uint8_t { kAway, kPending, kReading, kResident };
    struct Entry {
        const FileMap* file = nullptr;
        uint64_t offset = 0, bytes = 0;
        RangeUse use = RangeUse::kCached;
        State state = State::kAway;
        bool wanted = false;  // since it was last held
        int holders = 0;
        uint32_t tasks = 0;  // reads of its parts still to be done
        uint64_t uses = 0;
        std::pair<double, uint64_t> rank{};  // in `idle_` when it may be given back: priority, and order of release
    };
    // Reads a part of a range, or gives a whole one back.
    struct Task {
        Range range = 0;
        uint64_t offset = 0, bytes = 0;
        bool give_back = false;
    };

    void work();
    bool read(const Task& task);
    void begin(Range range);  // under mutex_, as are the following
    bool make_room(uint64_t bytes);
    void pump();
    void set_idle(Range range);
    void count_reading(bool begins);

    const uint64_t budget_;
    std::vector<Entry> entries_;
    std::unordered_map<const std::byte*, Range> by_address_;

    std::mutex mutex_;  // guards what follows, and entries' states
    std::condition_variable tasks_there_, resident_;
    std::deque<Task> tasks_;
    std::deque<Range> pending_;                                     // wanted, no room yet
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
