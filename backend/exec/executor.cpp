#include "backend/exec/executor.h"

#include <algorithm>

namespace vks {

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

Status Executor::transfer(const Plan& plan, const Transfer& t, const Step& step) {
    const Value& value = plan.graph->values[t.value];
    Location from = plan.devices[t.from].location[t.value], to = plan.devices[t.to].location[t.value];
    int64_t bytes = plan.graph->bytes(value, step.bind);
    if (value.kind == Kind::kState) {
        const int64_t row = bytes / value.shape[0].bind(step.bind);
        bytes = row * step.state_count;
        for (Location* l : {&from, &to}) {
            l->offset += uint64_t(row * step.state_first);
            if (l->mapped) l->mapped += row * step.state_first;
        }
    }
    VKS_ASSIGN(Lane * source, lane(*plan.devices[t.from].device));
    VKS_ASSIGN(Lane * target, lane(*plan.devices[t.to].device));
    if (from.mapped) {
        VKS_TRY(source->finish());
        return target->upload(from.mapped, to, uint64_t(bytes));
    }
    bounce_.resize(std::max(bounce_.size(), size_t(bytes)));
    VKS_TRY(source->download(from, bounce_.data(), uint64_t(bytes)));
    return target->upload(bounce_.data(), to, uint64_t(bytes));
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
    return status;
}

Status Executor::run_segments(const Plan& plan, const Step& step) {
    for (size_t i = 0; i < kSymbols; ++i)
        CHECK(step.bind[i] >= 1 && step.bind[i] <= plan.graph->max[i], "symbol {} bound to {} of {}", i, step.bind[i],
              plan.graph->max[i]);
    const Bound& bound = bind(plan, step.bind);
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
    for (const DevicePlan& d : plan.devices) {
        Location l = d.location[value];
        if (!l.buffer) continue;
        l.offset += uint64_t(row * first);
        if (l.mapped) l.mapped += row * first;
        VKS_ASSIGN(Lane * source, lane(*d.device));
        return source->download(l, to, uint64_t(row * count));
    }
    CHECK(false, "{} is on no device", v.name);
    return {};
}

}  // namespace vks
