#include "backend/exec/expert_slots.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "backend/base/clock.h"

namespace vks {
namespace {

// Lately: a fifth of it is the last one.
void average(double& value, double last) {
    value = value == 0 ? last : value + (last - value) / 5;
}

size_t logarithm(int64_t rows) {
    return static_cast<size_t>(std::bit_width(static_cast<uint64_t>(rows)));
}

}  // namespace

ExpertSlots::ExpertSlots(Device& device, uint64_t bytes, SlotMemory::Read read, AtOnce at_once)
    : device_(device), bytes_(bytes), read_(std::move(read)), at_once_(at_once) {}

ExpertSlots::~ExpertSlots() {
    {
        const std::lock_guard lock(mutex_);
        stop_ = true;
    }
    wanted_there_.notify_all();
    if (fetcher_.joinable()) fetcher_.join();
}

void ExpertSlots::begin_step() {
    const std::lock_guard lock(mutex_);
    if (cache_) cache_->begin_step();
}

Status ExpertSlots::choose(const Plan& plan, size_t node, Lane& lane) {
    const auto use = plans_.find(&plan);
    if (use == plans_.end()) return {};
    const auto at = use->second.here.find(node);
    if (at == use->second.here.end() || at->second.second != 0) return {};
    Layer& layer = use->second.layers[at->second.first];
    VKS_TRY(take_or_want(plan, use->second, at->second.first, lane));
    if (layer.runs.empty()) return {};
    const size_t stride = list_stride() / sizeof(int32_t);
    pairs_.assign(layer.runs.size() * stride, 0);
    for (size_t i = 0; i < layer.runs.size(); ++i)
        std::copy_n(layer.offset + layer.runs[i].first, 2, &pairs_[i * stride]);
    return lane.upload(pairs_.data(), lists_, pairs_.size() * sizeof(int32_t));
}

// Which of the experts that have rows are in a slot; brings those there that are worth it; the fetcher gets the others.
Status ExpertSlots::take_or_want(const Plan& plan, PlanUse& use, size_t index, Lane& lane) {
    Layer& layer = use.layers[index];
    layer.taken.assign(layer.experts.size(), false);
    layer.runs.clear();
    layer.host_seconds = 0;
    std::vector<size_t> used, missing;
    std::unique_lock lock(mutex_);
    if (failed_) return *failed_;
    cache_->begin_layer();
    const auto take = [&](size_t e, size_t slot) {
        layer.taken[e] = true;
        layer.runs.emplace_back(e, slot);
    };
    for (size_t e = 0; e < layer.experts.size(); ++e) {
        if (layer.offset[e] >= layer.offset[e + 1]) continue;
        used.push_back(e);
        if (layer.experts[e].constants.empty()) continue;
        ++stats_.uses;
        const auto slot = cache_->use(layer.experts[e].key);
        stats_.hits += slot ? 1 : 0;
        slot ? take(e, *slot) : missing.push_back(e);
    }
    for (const size_t e : missing) {
        const Expert& expert = layer.experts[e];
        const auto slot =
            worth_at_once(layer.offset[e + 1] - layer.offset[e]) ? cache_->make_room(expert.key, true) : std::nullopt;
        if (!slot) {
            wanted_.push_front({plan.graph, expert});
            continue;
        }
        lock.unlock();
        const auto begin = Clock::now();
        const Status brought = memory_->bring(lane, expert.constants, *slot, read_, room_);
        lock.lock();
        cache_->brought(*slot, bool(brought));
        if (!brought) return brought.error();
        average(stats_.fetch_seconds, seconds_since(begin));
        ++stats_.at_once;
        take(e, *slot);
    }
    want_next(plan, use, index, used);
    wanted_there_.notify_all();
    return {};
}

// Guesses what the next layer will be routed to, by this one's router.
void ExpertSlots::want_next(const Plan& plan, PlanUse& use, size_t index, std::span<const size_t> used) {
    use.guess.saw(index, use.layers[index].experts.size(), used);
    const std::vector<size_t> likely = use.guess.next();
    if (index + 1 < use.layers.size())
        for (size_t i = likely.size(); i-- > 0;)  // the likeliest comes first
            if (const Expert& expert = use.layers[index + 1].experts[likely[i]]; !expert.constants.empty())
                wanted_.push_front({plan.graph, expert});
    if (wanted_.size() > memory_->size()) wanted_.resize(memory_->size());
}

// What the host takes for fewer rows is the least that it takes for these.
bool ExpertSlots::worth_at_once(int64_t rows) const {
    if (at_once_ != AtOnce::kMeasured) return at_once_ == AtOnce::kAlways;
    if (stats_.fetch_seconds == 0) return false;
    double host = 0;
    for (size_t i = 0; i < host_seconds_.size() && i <= logarithm(rows); ++i) host = std::max(host, host_seconds_[i]);
    return stats_.fetch_seconds < host;
}

Status ExpertSlots::run(const Plan& plan, size_t node, std::span<const vks_tensor> args, Lane& lane) {
    const auto use = plans_.find(&plan);
    if (use == plans_.end()) return {};
    const auto at = use->second.here.find(node);
    if (at == use->second.here.end()) return {};
    const auto [index, part] = at->second;
    const Layer& layer = use->second.layers[index];
    std::vector<vks_tensor> some(args.begin(), args.end());
    vks_tensor& list = some[layer.here[part].list_arg];
    list = abi::tensor(VKS_I32, {2});
    list.buffer = lists_.buffer;
    const std::string& what = plan.report[node].what;
    for (size_t i = 0; i < layer.runs.size(); ++i) {
        list.offset = i * list_stride();
        const Kernel& kernel = use->second.kernels[part * memory_->size() + layer.runs[i].second];
        VKS_TRY(device_.launch(lane.stream(), kernel, some, use->second.scratch[part] ? &scratch_ : nullptr, what));
        lane.touched(what);
    }
    return {};
}

// Launches over the experts between those in slots.
Status ExpertSlots::run_around(const Layer& layer, size_t list_arg, std::span<const vks_tensor> args,
                               const LaunchWith& launch) {
    std::vector<vks_tensor> some(args.begin(), args.end());
    for (size_t first = 0, last = 0; first < layer.experts.size(); first = last + 1) {
        last = first;
        while (last < layer.experts.size() && !layer.taken[last]) ++last;
        if (layer.offset[first] >= layer.offset[last]) continue;
        VKS_ASSIGN(some[list_arg], host_lists_->of(args[list_arg], layer.offset, first, last));
        VKS_TRY(launch(some));
    }
    return {};
}

bool ExpertSlots::has_others(const Plan& plan, size_t node) const {
    const auto use = plans_.find(&plan);
    return use != plans_.end() && use->second.others.contains(node);
}

Status ExpertSlots::run_others(const Plan& plan, size_t node, std::span<const vks_tensor> args, Lane& lane,
                               Paging* paging, const LaunchWith& launch) {
    PlanUse& use = plans_.at(&plan);
    const auto [index, part] = use.others.at(node);
    Layer& layer = use.layers[index];
    const auto begin = Clock::now();
    if (paging != nullptr) {
        VKS_TRY(paging->run(plan, node, args, lane, launch, &layer.taken));
    } else if (layer.runs.empty()) {
        VKS_TRY(launch(args));
    } else {
        VKS_TRY(run_around(layer, layer.others[part].list_arg, args, launch));
    }
    layer.host_seconds += seconds_since(begin);
    if (part + 1 < layer.others.size()) return {};
    for (const auto& [e, slot] : layer.runs)
        std::memset(layer.result + uint64_t(layer.offset[e]) * layer.row_bytes, 0,
                    uint64_t(layer.offset[e + 1] - layer.offset[e]) * layer.row_bytes);
    note_host(layer);
    return {};
}

void ExpertSlots::note_host(const Layer& layer) {
    int64_t experts = 0, rows = 0;
    for (size_t e = 0; e < layer.experts.size(); ++e) {
        const int64_t count = layer.offset[e + 1] - layer.offset[e];
        if (count <= 0 || layer.taken[e] || layer.experts[e].constants.empty()) continue;
        ++experts;
        rows += count;
    }
    if (experts == 0) return;
    const size_t at = logarithm(rows / experts);
    if (host_seconds_.size() <= at) host_seconds_.resize(at + 1);
    average(host_seconds_[at], layer.host_seconds / static_cast<double>(experts));
}

void ExpertSlots::work() {
    std::vector<std::byte> room;
    std::unique_lock lock(mutex_);
    for (;;) {
        wanted_there_.wait(lock, [&] { return stop_ || !wanted_.empty(); });
        if (stop_) return;
        const Wanted next = std::move(wanted_.front());
        wanted_.pop_front();
        const auto slot = cache_->make_room(next.expert.key, false);
        if (!slot) continue;
        lock.unlock();
        const auto begin = Clock::now();
        const Status brought = memory_->bring(*fetching_, next.expert.constants, *slot, read_, room);
        lock.lock();
        cache_->brought(*slot, bool(brought));
        if (brought) {
            average(stats_.fetch_seconds, seconds_since(begin));
            ++stats_.fetched;
        } else {
            failed_ = brought.error();
            wanted_.clear();
        }
    }
}

SlotStats ExpertSlots::stats() {
    const std::lock_guard lock(mutex_);
    return stats_;
}

}  // namespace vks
