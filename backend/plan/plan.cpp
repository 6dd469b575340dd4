// Last pass: memory is allocated, constants bound, kernels prepared.
#include "backend/plan/plan.h"

#include <algorithm>
#include <numeric>

namespace vks {
namespace {

// What failed: place again without these pairs.
struct Failed {
    std::vector<size_t> nodes;  // that can't be there
    size_t device = 0;
    Error error;
};

std::vector<size_t> all_nodes(const Graph& graph) {
    std::vector<size_t> nodes(graph.nodes.size());
    std::iota(nodes.begin(), nodes.end(), size_t{0});
    return nodes;
}

bool has_weights(const Graph& graph, const Node& node) {
    return std::any_of(node.args.begin(), node.args.end(),
                       [&](ValueId id) { return id != kAbsent && graph.values[id].kind == Kind::kWeight; });
}

class Planner {
public:
    Planner(std::shared_ptr<const Graph> graph, const Preference& preference, WeightStores& weights, State& state)
        : graph_(*graph), preference_(preference), weights_(weights), state_(state), plan_(std::make_shared<Plan>()) {
        plan_->graph = std::move(graph);
        plan_->state = &state;
        for (ValueId id = 0; id < graph_.values.size(); ++id)
            if (graph_.values[id].kind == Kind::kState) plan_->states.push_back(id);
    }

    Result<std::shared_ptr<const Plan>> run(const SupportTable& table, const std::vector<NodePlace>& places,
                                            std::optional<Failed>& failed) {
        std::vector<size_t> device_of;
        device_of.reserve(places.size());
        for (const NodePlace& place : places) device_of.push_back(place.device);
        plan_->segments = cut_segments(graph_, device_of);
        for (Device* device : preference_.order) plan_->devices.emplace_back().device = device;
        for (size_t d = 0; d < plan_->devices.size(); ++d) {
            const Status status = allocate(d, table, device_of);
            if (!status) {
                failed = Failed{all_nodes(graph_), d, status.error()};
                return status.error();
            }
        }
        for (size_t i = 0; i < graph_.nodes.size(); ++i) {
            const Support& support = table[i][device_of[i]];
            const Node& node = graph_.nodes[i];
            plan_->report.push_back(
                {device_of[i], support.variant, places[i].reason, node.op_name() + " " + node.name});
            Status status = prepare(i, device_of[i], support);
            if (!status) {
                failed = Failed{unable(i, *preference_.order[device_of[i]]), device_of[i], status.error()};
                return status.error();
            }
        }
        return std::shared_ptr<const Plan>(plan_);
    }

private:
    // Which nodes the device can't have after prepare() of node `i` failed.
    std::vector<size_t> unable(size_t i, const Device& device) const {
        if (device.health() != Health::kOk) return all_nodes(graph_);
        std::vector<size_t> nodes = {i};
        for (size_t later = i + 1; no_room_ && later < graph_.nodes.size(); ++later)
            if (has_weights(graph_, graph_.nodes[later])) nodes.push_back(later);
        return nodes;
    }

    Status allocate(size_t d, const SupportTable& table, const std::vector<size_t>& device_of) {
        DevicePlan& here = plan_->devices[d];
        const uint64_t alignment = here.device->info().alignment;
        here.arena = lay_out(graph_, plan_->segments, d, alignment);
        const uint64_t scratch = most_scratch(table, device_of, d);
        here.location.resize(graph_.values.size());
        here.arena_bytes = here.arena.bytes + scratch;
        if (here.arena_bytes == 0) return {};
        VKS_ASSIGN(here.arena_buffer,
                   here.device->buffer(here.arena_bytes, VKS_BUFFER_DEVICE, nullptr, "memory for activations"));
        here.arena_map = static_cast<std::byte*>(here.device->map(here.arena_buffer));
        for (ValueId id = 0; id < graph_.values.size(); ++id) {
            const uint64_t offset = here.arena.offset[id];
            if (offset == kNoOffset) continue;
            here.location[id] = {here.arena_buffer.get(), offset, here.arena_map ? here.arena_map + offset : nullptr};
        }
        here.scratch = abi::tensor(VKS_U8, {int64_t(scratch)});
        here.scratch.buffer = here.arena_buffer.get();
        here.scratch.offset = here.arena.bytes;
        return {};
    }

    Status prepare(size_t i, size_t d, const Support& support) {
        const Node& node = graph_.nodes[i];
        DevicePlan& here = plan_->devices[d];
        std::vector<vks_tensor> args;
        const vks_op op = describe(graph_, node, args);
        Launch launch;
        launch.first_arg = plan_->args.size();
        launch.scratch = support.scratch_bytes > 0;
        for (size_t a = 0; a < args.size(); ++a) {
            const ValueId id = node.args[a];
            if (id == kAbsent) continue;
            const Value& value = graph_.values[id];
            if (value.kind == Kind::kWeight) {
                auto& store = weights_[here.device];
                if (!store) store = std::make_unique<WeightStore>(*here.device);
                no_room_ = true;
                VKS_ASSIGN(args[a], store->get(graph_, value, support.arg_layout[a]));
                no_room_ = false;
                plan_->shared.push_back(args[a].buffer);
                continue;
            }
            if (value.kind == Kind::kState) {
                VKS_ASSIGN(here.location[id], state_.get(*here.device, graph_, value));
                plan_->shared.push_back(here.location[id].buffer);
            }
            vks_tensor bound = args[a];
            bound.dim[0] = abi::extent(bound, 0);
            bound.buffer = here.location[id].buffer;
            bound.offset = here.location[id].offset;
            plan_->args.push_back(bound);
            plan_->arg_value.push_back(id);
        }
        launch.arg_count = plan_->args.size() - launch.first_arg;
        VKS_ASSIGN(launch.kernel, here.device->prepare(op, plan_->report[i].what));
        plan_->launches.push_back(std::move(launch));
        return {};
    }

    const Graph& graph_;
    const Preference& preference_;
    WeightStores& weights_;
    State& state_;
    std::shared_ptr<Plan> plan_;
    bool no_room_ = false;  // what failed was memory for a constant
};

}  // namespace

Result<std::shared_ptr<const Plan>> make_plan(const std::shared_ptr<const Graph>& graph, const Preference& preference,
                                              WeightStores& weights, State& state) {
    const SupportTable table = ask_support(*graph, preference);
    Barred barred;
    for (;;) {
        VKS_ASSIGN(const std::vector<NodePlace> places, place(*graph, preference, table, barred));
        std::optional<Failed> failed;
        auto plan = Planner(graph, preference, weights, state).run(table, places, failed);
        if (plan || !failed) return plan;
        // With no other device for the node the next placement fails; its first cause is the better message.
        for (const size_t node : failed->nodes) barred.insert({node, failed->device});
        if (!place(*graph, preference, table, barred)) return failed->error;
    }
}

std::string Plan::explain() const {
    std::string text;
    for (size_t i = 0; i < graph->nodes.size(); ++i) {
        const Node& node = graph->nodes[i];
        text += fmt::format("{:<44} {:<16} {:<10} {:<16} {}\n", node.name, node.op_name(),
                            devices[report[i].device].device->id(), report[i].variant, report[i].reason);
    }
    return text;
}

}  // namespace vks
