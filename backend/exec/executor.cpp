#include "backend/exec/executor.h"

#include <algorithm>

namespace vks {
namespace {

Location offset(Location l, int64_t bytes) {
    l.offset += uint64_t(bytes);
    if (l.mapped) l.mapped += bytes;
    return l;
}

// The copy with the most rows up to date; null when no device uses the state.
const State::Copy* newest_of(const std::vector<State::Copy>& copies) {
    const auto fewer = [](const State::Copy& a, const State::Copy& b) { return a.current < b.current; };
    const auto newest = std::max_element(copies.begin(), copies.end(), fewer);
    return newest == copies.end() ? nullptr : &*newest;
}

}  // namespace

Result<Lane*> Executor::lane(Device& device) {
    auto& slot = lanes_[&device];
    if (!slot) {
        VKS_ASSIGN(slot, Lane::create(device));
    }
    return slot.get();
}

Executor::Bound& Executor::bind(const Plan& plan, const Bindings& b) {
    auto [it, fresh] = bound_.try_emplace(&plan);
    Bound& bound = it->second;
    if (fresh) bound.args = plan.args;
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
        VKS_TRY(source->finish());
        return target->upload(from.mapped, to, bytes);
    }
    bounce_.resize(std::max(bounce_.size(), size_t(bytes)));
    VKS_TRY(source->download(from, bounce_.data(), bytes));
    return target->upload(bounce_.data(), to, bytes);
}

// Another plan may have written earlier rows of a state on a device that this one doesn't use: they come over first.
Status Executor::catch_up(const Plan& plan, const Step& step) {
    for (const ValueId id : plan.states) {
        const Value& value = plan.graph->values[id];
        std::vector<State::Copy>& copies = plan.state->copies(value.name);
        const State::Copy* newest = newest_of(copies);
        if (!newest) continue;
        const int64_t last = std::min(newest->current, step.state_first);
        const int64_t row = plan.graph->max_bytes(value) / value.shape[0].bind(plan.graph->max);
        for (const DevicePlan& d : plan.devices) {
            if (!d.location[id].buffer) continue;
            for (State::Copy& copy : copies) {
                if (copy.device != d.device || copy.current >= last) continue;
                VKS_TRY(move(*newest->device, offset(newest->location, row * copy.current), *copy.device,
                             offset(copy.location, row * copy.current), uint64_t(row * (last - copy.current))));
                copy.current = last;
            }
        }
        for (State::Copy& copy : copies) copy.current = std::min(copy.current, step.state_first);
    }
    return {};
}

Status Executor::transfer(const Plan& plan, const Transfer& t, const Step& step) {
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

Status Executor::launch(const Plan& plan, size_t node, const Bound& bound, Lane& lane) {
    const Launch& l = plan.launches[node];
    const DevicePlan& here = plan.devices[plan.report[node].device];
    const std::span<const vks_tensor> args(bound.args.data() + l.first_arg, l.arg_count);
    const int64_t begin = trace_ ? trace_->now() : 0;
    VKS_TRY(here.device->launch(lane.stream(), l.kernel, args, l.scratch ? &here.scratch : nullptr,
                                plan.graph->nodes[node].name));
    lane.touched();
    if (!trace_) return {};
    VKS_TRY(lane.finish());
    trace_->add(here.device->id(), plan.graph->nodes[node], plan.report[node].variant, begin, trace_->now());
    return {};
}

Status Executor::run(const Plan& plan, const Step& step) {
    Status status = run_segments(plan, step);
    for (const auto& [device, lane] : lanes_) {
        if (!status && device->health() == Health::kLost) continue;
        Status finished = lane->finish();
        if (status && !finished) status = finished;
    }
    if (!status) return status;
    for (const ValueId id : plan.states)
        for (State::Copy& copy : plan.state->copies(plan.graph->values[id].name))
            for (const DevicePlan& d : plan.devices)
                if (d.device == copy.device && d.location[id].buffer)
                    copy.current = step.state_first + step.state_count;
    return status;
}

Status Executor::run_segments(const Plan& plan, const Step& step) {
    for (size_t i = 0; i < kSymbols; ++i)
        CHECK(step.bind[i] >= 1 && step.bind[i] <= plan.graph->max[i], "symbol {} bound to {} of {}", i, step.bind[i],
              plan.graph->max[i]);
    const Bound& bound = bind(plan, step.bind);
    VKS_TRY(catch_up(plan, step));
    for (const auto& [id, data] : step.inputs)
        for (const DevicePlan& d : plan.devices) {
            if (!d.location[id].buffer) continue;
            VKS_ASSIGN(Lane * target, lane(*d.device));
            VKS_TRY(
                target->upload(data, d.location[id], uint64_t(plan.graph->bytes(plan.graph->values[id], step.bind))));
        }
    for (const Segment& segment : plan.segments) {
        for (const Transfer& t : segment.before) VKS_TRY(transfer(plan, t, step));
        VKS_ASSIGN(Lane * here, lane(*plan.devices[segment.device].device));
        for (size_t i = segment.first; i < segment.last; ++i) VKS_TRY(launch(plan, i, bound, *here));
        VKS_TRY(here->submit());
    }
    return {};
}

Status Executor::read(const Plan& plan, ValueId value, void* to) {
    const Value& v = plan.graph->values[value];
    CHECK(v.output, "{} was not made an output", v.name);
    const Bindings& b = bound_.at(&plan).bind;
    for (const DevicePlan& d : plan.devices) {
        if (!d.location[value].buffer) continue;
        VKS_ASSIGN(Lane * source, lane(*d.device));
        return source->download(d.location[value], to, uint64_t(plan.graph->bytes(v, b)));
    }
    CHECK(false, "{} is on no device", v.name);
    return {};
}

Status Executor::read_state(const Plan& plan, ValueId value, int64_t first, int64_t count, void* to) {
    const Value& v = plan.graph->values[value];
    const int64_t rows = v.shape[0].bind(plan.graph->max), row = plan.graph->max_bytes(v) / rows;
    CHECK(first >= 0 && count >= 0 && first + count <= rows, "rows {}+{} of {}", first, count, rows);
    const State::Copy* newest = newest_of(plan.state->copies(v.name));
    CHECK(newest, "{} is on no device", v.name);
    VKS_ASSIGN(Lane * source, lane(*newest->device));
    return source->download(offset(newest->location, row * first), to, uint64_t(row * count));
}

}  // namespace vks
