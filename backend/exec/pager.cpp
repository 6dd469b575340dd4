#include "backend/exec/pager.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <numeric>

#include "backend/base/bad_input.h"

namespace vks {
namespace {

constexpr uint64_t kPart = uint64_t{2} << 20;  // what is read at a time
constexpr unsigned kDepth = 32;                // parts that io_uring has under way
// A page holds the scales of many an expert; giving such crumbs back frees nothing.
constexpr uint64_t kCrumb = 4096;

Status failure(const FileMap& file) {
    VKS_TRY(file.check_size());
    return bad_input("read of a mapped file ({}): wanted {} bytes, found fewer: the disk failed", file.path().string(),
                     file.size());
}

}  // namespace

Pager::Pager(uint64_t budget, unsigned readers, Reading reading, const PagerSystem& system)
    : budget_(budget), system_(system) {
    stats_.budget_bytes = budget;
    if (reading == Reading::kBest) ring_ = ReadRing::create(kDepth);
    stats_.ring = ring_ != nullptr;
    if (ring_) readers_.emplace_back([this] { work_ring(); });
    for (unsigned i = 0; i < std::max(1u, readers); ++i) readers_.emplace_back([this] { work(); });
}

Pager::~Pager() {
    {
        const std::lock_guard lock(mutex_);
        stop_ = true;
    }
    tasks_there_.notify_all();
    ring_tasks_there_.notify_all();
    for (std::thread& reader : readers_) reader.join();
    for (Entry& entry : entries_) {
        if (entry.memory != nullptr) DirectFile::release(entry.memory, entry.pages.bytes);
        if (entry.replaced) files_.at(entry.file)->restore(entry.pages);
    }
}

Pager::Range Pager::add(const FileMap& file, const std::byte* data, uint64_t bytes, RangeUse use) {
    const auto [at, fresh] = by_address_.try_emplace(data, static_cast<Range>(entries_.size()));
    if (!fresh) return at->second;
    Entry& entry = entries_.emplace_back();
    entry.file = &file;
    entry.offset = static_cast<uint64_t>(data - file.data());
    entry.bytes = bytes;
    entry.use = bytes <= kCrumb ? RangeUse::kPinned : use;
    auto& direct = files_[&file];
    if (!direct) direct = std::make_unique<DirectFile>(file);
    entry.pages = direct->inside(entry.offset, bytes);
    if (entry.use == RangeUse::kPinned) stats_.pinned_bytes += bytes;
    return at->second;
}

std::optional<Pager::Range> Pager::find(const std::byte* data) const {
    const auto at = by_address_.find(data);
    return at == by_address_.end() ? std::nullopt : std::optional(at->second);
}

uint64_t Pager::largest() const {
    uint64_t most = 0;
    for (const Entry& entry : entries_)
        if (entry.use != RangeUse::kTouched) most = std::max(most, entry.bytes);
    return most;
}

void Pager::want(std::span<const Range> ranges) {
    const std::lock_guard lock(mutex_);
    for (const Range range : ranges) {
        Entry& entry = entries_[range];
        if (entry.wanted || entry.holders > 0) continue;
        entry.wanted = true;
        if (entry.use == RangeUse::kCached) {
            ++stats_.cached_uses;
            stats_.cached_hits += entry.state != State::kAway ? 1 : 0;
        }
        if (entry.state == State::kResident) idle_.erase({entry.rank, range});
        if (entry.state != State::kAway) continue;
        entry.state = State::kPending;
        pending_.push_back(range);
    }
    pump();
}

void Pager::suggest(std::span<const Range> ranges) {
    const std::lock_guard lock(mutex_);
    suggested_.insert(suggested_.begin(), ranges.begin(), ranges.end());
    if (suggested_.size() > entries_.size()) suggested_.resize(entries_.size());
    pump();
}

// Reads what is pending as long as room can be made, in order.
void Pager::pump() {
    while (!pending_.empty() && make_room(entries_[pending_.front()].bytes)) {
        const Range range = pending_.front();
        pending_.pop_front();
        begin(range);
    }
    const auto idle = [&] { return pending_.empty() && reading_ == 0 && tasks_.empty() && ring_tasks_.empty(); };
    while (idle() && !suggested_.empty()) begin_suggested();
}

// The first of those suggested, unless it isn't worth what would have to go for it.
void Pager::begin_suggested() {
    const Range range = suggested_.front();
    suggested_.pop_front();
    const Entry& entry = entries_[range];
    if (entry.state != State::kAway) return;
    while (held_bytes_ + entry.bytes > budget_) {
        if (idle_.empty() || entries_[idle_.begin()->second].use != RangeUse::kCached) return;
        if (idle_.begin()->first.first >= age_ + static_cast<double>(entry.uses)) return;
        give_back_first();
    }
    stats_.bytes_suggested += entry.bytes;
    begin(range);
}

bool Pager::make_room(uint64_t bytes) {
    while (held_bytes_ + bytes > budget_) {
        if (idle_.empty()) return false;
        give_back_first();
    }
    return true;
}

// Of those that may be. What may be replaced goes at once: advice that comes late would clear what was read anew.
void Pager::give_back_first() {
    const auto [rank, range] = *idle_.begin();
    idle_.erase(idle_.begin());
    age_ = std::max(age_, rank.first);
    Entry& entry = entries_[range];
    entry.state = State::kAway;
    held_bytes_ -= entry.bytes;
    if (entry.pages.bytes == 0) {
        tasks_.push_back({range, entry.offset, entry.bytes, Work::kGiveBack});
        tasks_there_.notify_one();
        return;
    }
    if (std::exchange(entry.replaced, false)) files_.at(entry.file)->restore(entry.pages);
    entry.file->advise(entry.offset, entry.bytes, FileMap::Advice::kDontNeed);
}

void Pager::begin(Range range) {
    Entry& entry = entries_[range];
    entry.state = State::kReading;
    held_bytes_ += entry.bytes;
    stats_.peak_bytes = std::max(stats_.peak_bytes, held_bytes_);
    if (entry.pages.bytes > 0 && !files_.at(entry.file)->refused()) {
        entry.memory = DirectFile::allocate(entry.pages.bytes, system_.most_direct);
    }
    if (entry.memory != nullptr) {
        // The pages that it shares with its neighbours stay the file's.
        const uint64_t end = entry.offset + entry.bytes, pages_end = entry.pages.offset + entry.pages.bytes;
        entry.file->advise(entry.offset, entry.pages.offset - entry.offset, FileMap::Advice::kWillNeed);
        entry.file->advise(pages_end, end - pages_end, FileMap::Advice::kWillNeed);
        add_tasks(range, entry.pages.offset, entry.pages.bytes, Work::kDirect);
    } else {
        add_tasks(range, entry.offset, entry.bytes, Work::kCached);
    }
    if (entry.tasks == 0) entry.state = State::kResident;  // an empty tensor
}

void Pager::add_tasks(Range range, uint64_t offset, uint64_t bytes, Work work) {
    const bool by_ring = ring_ && work == Work::kDirect;
    for (uint64_t at = 0; at < bytes; at += kPart) {
        (by_ring ? ring_tasks_ : tasks_).push_back({range, offset + at, std::min(kPart, bytes - at), work});
        ++entries_[range].tasks;
    }
    (by_ring ? ring_tasks_there_ : tasks_there_).notify_all();
}

Status Pager::hold(std::span<const Range> ranges) {
    want(ranges);
    std::unique_lock lock(mutex_);
    for (const Range range : ranges) {
        Entry& entry = entries_[range];
        ++entry.holders;
        entry.wanted = false;
        if (entry.state != State::kPending) continue;
        std::erase(pending_, range);
        static_cast<void>(make_room(entry.bytes));  // without room the budget gives way
        begin(range);
    }
    const auto begin = Clock::now();
    const auto there = [&] {
        return failed_ != nullptr ||
               std::ranges::all_of(ranges, [&](Range range) { return entries_[range].state == State::kResident; });
    };
    resident_.wait(lock, there);
    stats_.waiting_seconds += seconds_since(begin);
    if (failed_ == nullptr) return {};
    return failure(*failed_);
}

void Pager::release(std::span<const Range> ranges) {
    const std::lock_guard lock(mutex_);
    for (const Range range : ranges) {
        Entry& entry = entries_[range];
        ++entry.uses;
        if (--entry.holders > 0 || entry.wanted || entry.state != State::kResident) continue;
        set_idle(range);
    }
    // What was held beyond the budget goes at once.
    static_cast<void>(make_room(0));
    pump();
}

// Least frequently used with dynamic ageing (Arlitt et al. 2000): a range that was used often stays for a while after.
void Pager::set_idle(Range range) {
    Entry& entry = entries_[range];
    if (entry.use == RangeUse::kPinned) return;
    const bool cached = entry.use == RangeUse::kCached;
    entry.rank = {cached ? age_ + static_cast<double>(entry.uses) : -1, ++releases_};
    idle_.insert({entry.rank, range});
}

void Pager::forget(Range range) {
    const Entry& entry = entries_[range];
    {
        const std::lock_guard lock(mutex_);
        if (entry.state != State::kAway) return;
    }
    entry.file->advise(entry.offset, entry.bytes, FileMap::Advice::kDontNeed);
}

Status Pager::copy(Range range, std::byte* to, uint64_t bytes) const {
    const Entry& entry = entries_[range];
    for (uint64_t done = 0; done < bytes;) {
        const ssize_t n = pread(entry.file->fd(), to + done, bytes - done, static_cast<off_t>(entry.offset + done));
        if (n == 0 || (n < 0 && errno != EINTR)) return failure(*entry.file);
        if (n > 0) done += static_cast<uint64_t>(n);
    }
    const auto at = static_cast<off_t>(entry.offset);
    static_cast<void>(posix_fadvise(entry.file->fd(), at, static_cast<off_t>(bytes), POSIX_FADV_DONTNEED));
    return {};
}

void Pager::count_reading(bool begins) {
    if (begins && reading_++ == 0) reading_since_ = Clock::now();
    if (!begins && --reading_ == 0) {
        stats_.reading_seconds += seconds_since(reading_since_);
    }
}

// What was read past the page cache goes where the file is mapped. False: it can't, and the memory is gone.
bool Pager::put_in_place(Entry& entry) {
    std::byte* memory = std::exchange(entry.memory, nullptr);
    const bool refused = std::exchange(entry.refused, false);
    entry.replaced = !refused && failed_ == nullptr && files_.at(entry.file)->replace(entry.pages, memory);
    if (!entry.replaced) DirectFile::release(memory, entry.pages.bytes);
    return entry.replaced;
}

// A part was read, or couldn't be.
void Pager::finish(const Task& task, PartialRead::Next read) {
    count_reading(false);
    if (read != PartialRead::Next::kRefused) stats_.bytes_read += task.bytes;
    Entry& entry = entries_[task.range];
    if (read == PartialRead::Next::kRefused) {
        files_.at(entry.file)->refuse();
        entry.refused = true;
    }
    if (read == PartialRead::Next::kFailed) failed_ = entry.file;
    if (--entry.tasks == 0) {
        const bool there = entry.memory == nullptr || put_in_place(entry);
        if (!there && failed_ == nullptr) {
            add_tasks(task.range, entry.offset, entry.bytes, Work::kCached);  // the other way
        } else {
            entry.state = State::kResident;
            if (entry.holders == 0 && !entry.wanted) set_idle(task.range);
            pump();
        }
    }
    if (entry.tasks == 0 || failed_ != nullptr) resident_.notify_all();
}

void Pager::work() {
    std::unique_lock lock(mutex_);
    for (;;) {
        tasks_there_.wait(lock, [&] { return stop_ || !tasks_.empty(); });
        if (stop_) return;
        const Task task = tasks_.front();
        tasks_.pop_front();
        if (task.work != Work::kGiveBack) count_reading(true);
        lock.unlock();
        auto result = PartialRead::Next::kDone;
        if (task.work == Work::kDirect)
            result = read_direct(task);
        else if (!read(task))
            result = PartialRead::Next::kFailed;
        lock.lock();
        if (task.work != Work::kGiveBack) finish(task, result);
    }
}

// The same for parts that io_uring reads, several at a time.
void Pager::work_ring() {
    std::vector<Task> under_way(kDepth);
    std::vector<uint64_t> free(kDepth);
    std::iota(free.begin(), free.end(), uint64_t{0});
    const auto begin_read = [&](uint64_t slot) {
        const Task& task = under_way[slot];
        const Entry& entry = entries_[task.range];
        ring_->begin(
            {files_.at(entry.file)->fd(), task.offset, entry.memory + (task.offset - entry.pages.offset), task.bytes},
            slot);
    };
    std::unique_lock lock(mutex_);
    for (;;) {
        if (ring_->in_flight() == 0) ring_tasks_there_.wait(lock, [&] { return stop_ || !ring_tasks_.empty(); });
        if (stop_ && ring_->in_flight() == 0) return;
        while (!stop_ && !ring_tasks_.empty() && !free.empty()) {
            under_way[free.back()] = ring_tasks_.front();
            ring_tasks_.pop_front();
            count_reading(true);
            begin_read(free.back());
            free.pop_back();
        }
        lock.unlock();
        const auto results = ring_->wait();
        lock.lock();
        for (const auto& [slot, result] : results) {
            finish(under_way[slot], result);
            free.push_back(slot);
        }
    }
}

// False: the file no longer has these bytes.
bool Pager::read(const Task& task) {
    const FileMap& file = *entries_[task.range].file;
    if (task.work == Work::kGiveBack) {
        file.advise(task.offset, task.bytes, FileMap::Advice::kDontNeed);
        return true;
    }
    file.advise(task.offset, task.bytes, FileMap::Advice::kWillNeed);
    return file.populate(task.offset, task.bytes);
}

PartialRead::Next Pager::read_direct(const Task& task) {
    const Entry& entry = entries_[task.range];
    PartialRead part(files_.at(entry.file)->fd(), task.offset, entry.memory + (task.offset - entry.pages.offset),
                     task.bytes);
    auto next = PartialRead::Next::kAgain;
    while (next == PartialRead::Next::kAgain) {
        const ssize_t n = system_.read(part.fd(), part.to(), part.left(), static_cast<off_t>(part.offset()));
        next = part.add(n < 0 ? -errno : static_cast<int>(n));
    }
    return next;
}

uint64_t Pager::uses(Range range) {
    const std::lock_guard lock(mutex_);
    return entries_[range].uses;
}

PagerStats Pager::stats() {
    const std::lock_guard lock(mutex_);
    return stats_;
}

}  // namespace vks
