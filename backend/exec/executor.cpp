#include "backend/exec/executor.h"

#include <algorithm>

namespace vks {
namespace {

Location offset(Location l, int64_t bytes) {
    l.offset += uint64_t(bytes);
    if (l.mapped) l.mapped += bytes;
    return l;
}

// The copy with the most rows up to date, of those that can be read; null when there is none.
const State::Copy* newest_of(const State::Memory& state) {
    const State::Copy* newest = nullptr;
    for (const auto& copy : state.copies) {
        if (copy->device->health() >= Health::kWrong) continue;
        if (!newest || copy->current > newest->current) newest = copy.get();
    }
    return newest;
}

// Rows before `first` are there for a step to read. Where they went with a device, its story is the error.
Status reaches(const State::Copy* newest, const State::Memory& state, const std::string& name, int64_t first) {
    const int64_t there = newest ? newest->current : 0;
    if (there >= first) [[likely]]
        return {};
    for (const auto& copy : state.copies)
        if (copy->device->health() != Health::kOk) return Error{Code::kNoBackend, copy->device->health_reason()};
    return Error{Code::kNoBackend,
                 fmt::format("state {}: wanted {} rows before the step's, found {}", name, first, there)};
}

// A device that fails in a step isn't used for the next one, whatever the error. A file that can't be read isn't its
// fault.
Status blame(Device& device, Status status) {
    if (!status && status.error().code == Code::kNoBackend) device.mark(Health::kUnhealthy, status.error().text);
    return status;
}

std::shared_ptr<const std::vector<Trace::Place>> places_of(const Plan& plan) {
    auto places = std::make_shared<std::vector<Trace::Place>>();
    for (const NodeReport& node : plan.report)
        places->push_back({plan.devices[node.device].device->id(), node.variant});
    return places;
}

// Notes what its scope takes on the timeline, if there is one.
class Timed {
public:
    Timed(Trace* trace, const char* what) : trace_(trace), what_(what), begin_(trace ? trace->now() : 0) {}
    ~Timed() {
        if (trace_) trace_->add_host(what_, begin_, trace_->now());
    }
    Timed(const Timed&) = delete;
    Timed& operator=(const Timed&) = delete;

private:
    Trace* trace_;
    const char* what_;
    int64_t begin_;
};

}  // namespace

Result<Lane*> Executor::lane(Device& device) {
    if (const auto known = lanes_.find(&device); known != lanes_.end()) return known->second.get();
    auto created = Lane::create(device);
    if (!created) return blame(device, created.error()).error();
    Lane* const lane = lanes_.emplace(&device, *std::move(created)).first->second.get();
    if (trace_)
        clocks_.insert_or_assign(&device, Clocks{StreamClock(device.plugin(), lane->stream().get()),
                                                 ThreadTimes(device.plugin(), lane->stream().get())});
    return lane;
}

Executor::Bound& Executor::bind(const Plan& plan, const Bindings& b) {
    auto [it, fresh] = bound_.try_emplace(&plan);
    Bound& bound = it->second;
    if (fresh) {
        bound.args = plan.args;
        if (trace_) bound.places = places_of(plan);
    }
    if (!fresh && bound.bind == b) return bound;
    bound.bind = b;
    for (size_t i = 0; i < bound.args.size(); ++i)
        bound.args[i].dim[0] = plan.graph->values[plan.arg_value[i]].shape[0].bind(b);
    return bound;
}

Status Executor::move(Device& from_device, const Location& from, Device& to_device, const Location& to,
                      uint64_t bytes) {
    VKS_ASSIGN(Lane * source, lane(from_device));
    VKS_ASSIGN(Lane * target, lane(to_device));
    if (from.mapped) {
        VKS_TRY(blame(from_device, source->finish()));
        return blame(to_device, target->upload(from.mapped, to, bytes));
    }
    bounce_.resize(std::max(bounce_.size(), size_t(bytes)));
    VKS_TRY(blame(from_device, source->download(from, bounce_.data(), bytes)));
    return blame(to_device, target->upload(bounce_.data(), to, bytes));
}

Result<uint64_t> Executor::bring_up(const State::Memory& state, const State::Copy& newest, State::Copy& copy,
                                    int64_t last) {
    if (copy.current >= last) return uint64_t{0};
    const int64_t begin = int64_t(state.row_bytes) * copy.current;
    const uint64_t bytes = state.row_bytes * uint64_t(last - copy.current);
    const Status moved =
        move(*newest.device, offset(newest.location, begin), *copy.device, offset(copy.location, begin), bytes);
    if (!moved) {
        // What failed before may be left with its memory still readable; where it isn't, that is lost with it.
        if (newest.device->health() != Health::kOk) newest.device->mark(Health::kLost, moved.error().text);
        return moved.error();
    }
    copy.current = last;
    return bytes;
}

// Another plan may have written earlier rows of a state on a device that this one doesn't use: they come over first.
Status Executor::catch_up(const Plan& plan, const Step& step) {
    const Timed timed(trace_, "catch up");
    for (const ValueId id : plan.states) {
        const State::Memory& state = plan.state->of(plan.graph->values[id].name);
        const State::Copy* newest = newest_of(state);
        VKS_TRY(reaches(newest, state, plan.graph->values[id].name, step.state_first));
        if (!newest) continue;
        const int64_t last = std::min(newest->current, step.state_first);
        for (const DevicePlan& d : plan.devices) {
            if (!d.location[id].buffer) continue;
            for (const auto& copy : state.copies)
                if (copy->device == d.device) VKS_TRY(bring_up(state, *newest, *copy, last));
        }
        for (const auto& copy : state.copies) copy->current = std::min(copy->current, step.state_first);
    }
    return {};
}

Result<HandOver> Executor::hand_over(PlanSet& from, PlanSet& to) {
    HandOver done;
    // What one device computed wrongly went into rows that others hold.
    const bool trusted = from.trusted();
    for (auto& [name, state] : to.state.all()) {
        const State::Copy* newest = trusted ? newest_of(from.state.of(name)) : nullptr;
        const int64_t rows = newest ? newest->current : 0;
        for (const auto& copy : state.copies) {
            if (copy->device->health() == Health::kLost) continue;
            if (newest) {
                VKS_ASSIGN(const uint64_t bytes, bring_up(state, *newest, *copy, rows));
                done.bytes += bytes;
            }
            if (!trusted) copy->current = 0;
        }
        done.rows[name] = rows;
    }
    for (const auto& [device, lane] : lanes_)
        if (device->health() != Health::kLost) VKS_TRY(blame(*device, lane->finish()));
    return done;
}

Status Executor::repeat_rows(PlanSet& set, int64_t have, int64_t count) {
    CHECK(have >= 1 && count >= have, "{} rows from {}", count, have);
    for (auto& [name, state] : set.state.all()) {
        for (const auto& copy : state.copies) {
            if (copy->current < have) continue;
            CHECK(uint64_t(count) * state.row_bytes <= state.bytes, "{}: {} rows", name, count);
            for (int64_t row = have, n = 0; row < count; row += n) {
                n = std::min(row, count - row);  // twice as many each time
                VKS_TRY(move(*copy->device, copy->location, *copy->device,
                             offset(copy->location, int64_t(state.row_bytes) * row), state.row_bytes * uint64_t(n)));
            }
            copy->current = count;
        }
    }
    for (const auto& [device, lane] : lanes_) VKS_TRY(blame(*device, lane->finish()));
    return {};
}

void Executor::keep_only(const PlanSet& set) {
    if (uses_) uses_->forget();
    if (refused_ && !set.has(*refused_)) refused_ = nullptr;
    std::erase_if(bound_, [&](const auto& entry) { return !set.has(*entry.first); });
    std::erase_if(clocks_, [&](const auto& entry) { return !set.uses(*entry.first); });
    std::erase_if(lanes_, [&](const auto& entry) { return !set.uses(*entry.first); });
}

Status Executor::transfer(const Plan& plan, const Transfer& t, const Step& step) {
    const Timed timed(trace_, "transfer");
    const Value& value = plan.graph->values[t.value];
    Location from = plan.devices[t.from].location[t.value], to = plan.devices[t.to].location[t.value];
    int64_t bytes = plan.graph->bytes(value, step.bind);
    if (value.kind == Kind::kState) {
        const int64_t row = bytes / value.shape[0].bind(step.bind);
        bytes = row * step.state_count;
        from = offset(from, row * step.state_first);
        to = offset(to, row * step.state_first);
    }
    return move(*plan.devices[t.from].device, from, *plan.devices[t.to].device, to, uint64_t(bytes));
}

void Executor::note(const Device& device, size_t node, int64_t begin) {
    int64_t end = trace_->now();
    // By the device's clock: without what it takes to hand work over and to hear of its end.
    const auto clocks = clocks_.find(&device);
    const auto span = clocks == clocks_.end() ? std::nullopt : clocks->second.stream.last();
    if (span && span->begin != 0) {
        begin = std::clamp(trace_->at(int64_t(span->begin)), begin, end);
        end = std::min(end, begin + int64_t(span->ns));
    }
    trace_->add(node, begin, end);
}

void Executor::note_end() {
    trace_->end_step(trace_->now());
    for (const auto& [device, clocks] : clocks_)
        clocks.threads.take([&, id = device->id()](const vks_thread_span& span) {
            trace_->add_thread(id, span.thread, trace_->at(int64_t(span.begin)), trace_->at(int64_t(span.end)));
        });
}

Status Executor::launch(const Plan& plan, size_t node, const Bound& bound, Lane& lane) {
    const Launch& l = plan.launches[node];
    const DevicePlan& here = plan.devices[plan.report[node].device];
    const bool paged = paging_ && &paging_->device() == here.device;
    const bool others = slots_ && slots_->has_others(plan, node);
    const std::span<const vks_tensor> all(bound.args.data() + l.first_arg, l.arg_count);
    if (uses_ && uses_->counts(plan, node)) {
        VKS_TRY(blame(*here.device, lane.finish()));
        uses_->count(plan, node);
    }
    const auto once = [&](std::span<const vks_tensor> args) -> Status {
        const int64_t begin = trace_ ? trace_->now() : 0;
        VKS_TRY(blame(*here.device, here.device->launch(lane.stream(), l.kernel, args,
                                                        l.scratch ? &here.scratch : nullptr, plan.report[node].what)));
        lane.touched(plan.report[node].what);
        if (trace_ || paged || others) VKS_TRY(blame(*here.device, lane.finish()));
        if (trace_) note(*here.device, node, begin);
        return {};
    };
    if (others) return slots_->run_others(plan, node, all, lane, paged ? paging_.get() : nullptr, once);
    if (slots_) VKS_TRY(blame(*here.device, slots_->choose(plan, node, lane)));
    VKS_TRY(paged ? paging_->run(plan, node, all, lane, once) : once(all));
    return slots_ ? blame(*here.device, slots_->run(plan, node, all, lane)) : Status{};
}

Status Executor::launch_probed(const Plan& plan, const Step& step, size_t node, const Bound& bound, Lane& lane) {
    const Launch& l = plan.launches[node];
    const LaunchSite site{plan, step, node, {bound.args.data() + l.first_arg, l.arg_count}, lane};
    VKS_TRY(blame(lane.device(), probe_->before(site)));
    VKS_TRY(launch(plan, node, bound, lane));
    VKS_TRY(blame(lane.device(), lane.finish()));
    return blame(lane.device(), probe_->after(site));
}

Status Executor::finish_lanes(Status status) {
    const Timed timed(trace_, "wait");
    for (const auto& [device, lane] : lanes_) {
        if (!status && device->health() == Health::kLost) continue;
        Status finished = blame(*device, lane->finish());
        if (status && !finished) status = finished;
    }
    return status;
}

// Waits for all of them, so that the next plan does without everything that fails here.
Status Executor::finish_kernels(const Plan& plan) {
    Status status;
    for (size_t i = 0; i < plan.launches.size(); ++i) {
        Status finished =
            plan.devices[plan.report[i].device].device->finish(plan.launches[i].kernel, plan.report[i].what);
        if (status && !finished) status = finished;
    }
    if (!status) refused_ = &plan;
    return status;
}

Status Executor::run(const Plan& plan, const Step& step) {
    const int64_t begin = trace_ ? trace_->now() : 0;
    for (size_t i = 0; i < kSymbols; ++i)
        CHECK(step.bind[i] >= 1 && step.bind[i] <= plan.graph->max[i], "symbol {} bound to {} of {}", i, step.bind[i],
              plan.graph->max[i]);
    Bound& bound = bind(plan, step.bind);
    if (!bound.compiled) VKS_TRY(finish_kernels(plan));
    bound.compiled = true;
    if (trace_) trace_->begin_step({plan.graph, bound.places, step.bind, step.state_first + step.state_count}, begin);
    if (slots_) slots_->begin_step();
    VKS_TRY(finish_lanes(run_segments(plan, step, bound)));
    if (trace_) note_end();
    for (const ValueId id : plan.states)
        for (const auto& copy : plan.state->of(plan.graph->values[id].name).copies)
            for (const DevicePlan& d : plan.devices)
                if (d.device == copy->device && d.location[id].buffer)
                    copy->current = step.state_first + step.state_count;
    return {};
}

Status Executor::upload(const Plan& plan, const Step& step) {
    const Timed timed(trace_, "upload");
    for (const auto& [id, data] : step.inputs)
        for (const DevicePlan& d : plan.devices) {
            if (!d.location[id].buffer) continue;
            VKS_ASSIGN(Lane * target, lane(*d.device));
            const auto bytes = uint64_t(plan.graph->bytes(plan.graph->values[id], step.bind));
            VKS_TRY(blame(*d.device, target->upload(data, d.location[id], bytes)));
        }
    return {};
}

Status Executor::run_segments(const Plan& plan, const Step& step, const Bound& bound) {
    VKS_TRY(catch_up(plan, step));
    VKS_TRY(upload(plan, step));
    const size_t probed = probe_ ? probe_->choose(plan) : Probe::kNoNode;
    for (const Segment& segment : plan.segments) {
        for (const Transfer& t : segment.before) VKS_TRY(transfer(plan, t, step));
        VKS_ASSIGN(Lane * here, lane(*plan.devices[segment.device].device));
        for (size_t i = segment.first; i < segment.last; ++i)
            VKS_TRY(i == probed ? launch_probed(plan, step, i, bound, *here) : launch(plan, i, bound, *here));
        VKS_TRY(blame(here->device(), here->submit()));
    }
    return {};
}

Status Executor::read(const Plan& plan, ValueId value, void* to) {
    const Timed timed(trace_, "read");
    const Value& v = plan.graph->values[value];
    CHECK(v.output, "{} was not made an output", v.name);
    const Bindings& b = bound_.at(&plan).bind;
    for (const DevicePlan& d : plan.devices) {
        if (!d.location[value].buffer) continue;
        VKS_ASSIGN(Lane * source, lane(*d.device));
        return blame(*d.device, source->download(d.location[value], to, uint64_t(plan.graph->bytes(v, b))));
    }
    CHECK(false, "{} is on no device", v.name);
    return {};
}

Status Executor::read_state(const Plan& plan, ValueId value, int64_t first, int64_t count, void* to) {
    const Value& v = plan.graph->values[value];
    const int64_t rows = v.shape[0].bind(plan.graph->max), row = plan.graph->max_bytes(v) / rows;
    CHECK(first >= 0 && count >= 0 && first + count <= rows, "rows {}+{} of {}", first, count, rows);
    const State::Copy* newest = newest_of(plan.state->of(v.name));
    CHECK(newest, "{} is on no device", v.name);
    VKS_ASSIGN(Lane * source, lane(*newest->device));
    return source->download(offset(newest->location, row * first), to, uint64_t(row * count));
}

}  // namespace vks
