#include "backend/exec/pager.h"

#include <algorithm>
#include <chrono>

#include "backend/base/bad_input.h"

namespace vks {
namespace {

constexpr uint64_t kPart = uint64_t{2} << 20;  // what a thread reads at a time
// A page holds the scales of many an expert; giving such crumbs back frees nothing.
constexpr uint64_t kCrumb = 4096;

}  // namespace

Pager::Pager(uint64_t budget, unsigned readers) : budget_(budget) {
    stats_.budget_bytes = budget;
    for (unsigned i = 0; i < std::max(1u, readers); ++i) readers_.emplace_back([this] { work(); });
}

Pager::~Pager() {
    {
        const std::lock_guard lock(mutex_);
        stop_ = true;
    }
    tasks_there_.notify_all();
    for (std::thread& reader : readers_) reader.join();
}

Pager::Range Pager::add(const FileMap& file, const std::byte* data, uint64_t bytes, RangeUse use) {
    const auto [at, fresh] = by_address_.try_emplace(data, static_cast<Range>(entries_.size()));
    if (!fresh) return at->second;
    Entry& entry = entries_.emplace_back();
    entry.file = &file;
    entry.offset = static_cast<uint64_t>(data - file.data());
    entry.bytes = bytes;
    entry.use = bytes <= kCrumb ? RangeUse::kPinned : use;
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

// Reads what is pending as long as room can be made, in order.
void Pager::pump() {
    while (!pending_.empty() && make_room(entries_[pending_.front()].bytes)) {
        const Range range = pending_.front();
        pending_.pop_front();
        begin(range);
    }
}

bool Pager::make_room(uint64_t bytes) {
    while (held_bytes_ + bytes > budget_) {
        if (idle_.empty()) return false;
        const Range range = idle_.begin()->second;
        Entry& entry = entries_[range];
        age_ = std::max(age_, entry.rank.first);
        idle_.erase(idle_.begin());
        entry.state = State::kAway;
        held_bytes_ -= entry.bytes;
        tasks_.push_back({range, entry.offset, entry.bytes, true});
        tasks_there_.notify_one();
    }
    return true;
}

void Pager::begin(Range range) {
    Entry& entry = entries_[range];
    entry.state = State::kReading;
    held_bytes_ += entry.bytes;
    stats_.peak_bytes = std::max(stats_.peak_bytes, held_bytes_);
    for (uint64_t at = 0; at < entry.bytes; at += kPart) {
        tasks_.push_back({range, entry.offset + at, std::min(kPart, entry.bytes - at), false});
        ++entry.tasks;
    }
    if (entry.tasks == 0) entry.state = State::kResident;  // an empty tensor
    tasks_there_.notify_all();
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
    stats_.waiting_seconds += std::chrono::duration<double>(Clock::now() - begin).count();
    if (failed_ == nullptr) return {};
    VKS_TRY(failed_->check_size());
    return bad_input("read of a mapped file ({}): wanted {} bytes, found fewer: the disk failed",
                     failed_->path().string(), failed_->size());
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

void Pager::count_reading(bool begins) {
    if (begins && reading_++ == 0) reading_since_ = Clock::now();
    if (!begins && --reading_ == 0) {
        stats_.reading_seconds += std::chrono::duration<double>(Clock::now() - reading_since_).count();
    }
}

void Pager::work() {
    std::unique_lock lock(mutex_);
    for (;;) {
        tasks_there_.wait(lock, [&] { return stop_ || !tasks_.empty(); });
        if (stop_) return;
        const Task task = tasks_.front();
        tasks_.pop_front();
        if (!task.give_back) count_reading(true);
        lock.unlock();
        const bool done = read(task);
        lock.lock();
        if (task.give_back) continue;
        count_reading(false);
        stats_.bytes_read += task.bytes;
        Entry& entry = entries_[task.range];
        if (!done) failed_ = entry.file;
        if (--entry.tasks == 0) {
            entry.state = State::kResident;
            if (entry.holders == 0 && !entry.wanted) set_idle(task.range);
        }
        if (entry.tasks == 0 || !done) resident_.notify_all();
    }
}

// False: the file no longer has these bytes.
bool Pager::read(const Task& task) {
    const FileMap& file = *entries_[task.range].file;
    if (task.give_back) {
        file.advise(task.offset, task.bytes, FileMap::Advice::kDontNeed);
        return true;
    }
    file.advise(task.offset, task.bytes, FileMap::Advice::kWillNeed);
    return file.populate(task.offset, task.bytes);
}

PagerStats Pager::stats() {
    const std::lock_guard lock(mutex_);
    return stats_;
}

}  // namespace vks
