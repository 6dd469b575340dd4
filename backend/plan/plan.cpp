// Last pass: memory is allocated, constants bound, kernels prepared.
#include "backend/plan/plan.h"

#include <algorithm>
#include <numeric>

namespace vks {
namespace {

std::vector<size_t> all_nodes(const Graph& graph) {
    std::vector<size_t> nodes(graph.nodes.size());
    std::iota(nodes.begin(), nodes.end(), size_t{0});
    return nodes;
}

bool has_weights(const Graph& graph, const Node& node) {
    return std::any_of(node.args.begin(), node.args.end(),
                       [&](ValueId id) { return id != kAbsent && graph.values[id].kind == Kind::kWeight; });
}

}  // namespace

// One way to place the nodes.
class PlanMaker::Attempt {
public:
    Attempt(PlanMaker& maker, std::vector<NodePlace> places)
        : graph_(*maker.graph_), maker_(maker), places_(std::move(places)), plan_(std::make_shared<Plan>()) {
        plan_->graph = maker.graph_;
        plan_->state = &maker.state_;
        for (ValueId id = 0; id < graph_.values.size(); ++id)
            if (graph_.values[id].kind == Kind::kState) plan_->states.push_back(id);
    }

    std::optional<Failed> allocate() {
        std::vector<size_t> device_of;
        device_of.reserve(places_.size());
        for (const NodePlace& place : places_) device_of.push_back(place.device);
        plan_->segments = cut_segments(graph_, device_of);
        for (Device* device : maker_.preference_.order) plan_->devices.emplace_back().device = device;
        for (size_t d = 0; d < plan_->devices.size(); ++d)
            if (const Status status = allocate_arena(d, device_of); !status)
                return failed(all_nodes(graph_), d, status);
        for (size_t i = 0; i < graph_.nodes.size(); ++i)
            if (const Status status = allocate_states(i, device_of[i]); !status)
                return failed(unable(i), device_of[i], status);
        return std::nullopt;
    }

    std::optional<Failed> prepare() {
        for (size_t i = 0; i < graph_.nodes.size(); ++i) {
            if (const Status status = maker_.wanted(); !status) return failed({}, places_[i].device, status);
            const size_t d = places_[i].device;
            const Support& support = maker_.table_[i][d];
            const Node& node = graph_.nodes[i];
            plan_->report.push_back({d, support.variant, places_[i].reason, node.op_name() + " " + node.name});
            if (const Status status = prepare(i, d, support); !status) return failed(unable(i), d, status);
        }
        return std::nullopt;
    }

    const std::shared_ptr<Plan>& plan() const { return plan_; }

private:
    Failed failed(std::vector<size_t> nodes, size_t d, const Status& status) const {
        const Device& device = *plan_->devices[d].device;
        const uint64_t most = device.info().max_buffer;
        const bool full = device.health() == Health::kOk && asked_ && (most == 0 || *asked_ <= most);
        return {std::move(nodes), d, status.error(), full};
    }

    // Which nodes the device can't have after node `i` failed.
    std::vector<size_t> unable(size_t i) const {
        if (plan_->devices[places_[i].device].device->health() != Health::kOk) return all_nodes(graph_);
        std::vector<size_t> nodes = {i};
        for (size_t later = i + 1; no_room_ && later < graph_.nodes.size(); ++later)
            if (has_weights(graph_, graph_.nodes[later])) nodes.push_back(later);
        return nodes;
    }

    Status allocate_arena(size_t d, const std::vector<size_t>& device_of) {
        DevicePlan& here = plan_->devices[d];
        const uint64_t alignment = here.device->info().alignment;
        here.arena = lay_out(graph_, plan_->segments, d, alignment);
        const uint64_t scratch = most_scratch(maker_.table_, device_of, d);
        here.location.resize(graph_.values.size());
        here.arena_bytes = here.arena.bytes + scratch;
        if (here.arena_bytes == 0) return {};
        asked_ = here.arena_bytes;
        VKS_ASSIGN(here.arena_buffer,
                   here.device->buffer(here.arena_bytes, VKS_BUFFER_DEVICE, nullptr, "memory for activations"));
        asked_.reset();
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

    Status allocate_states(size_t i, size_t d) {
        DevicePlan& here = plan_->devices[d];
        for (const ValueId id : graph_.nodes[i].args) {
            if (id == kAbsent || graph_.values[id].kind != Kind::kState) continue;
            asked_ = uint64_t(graph_.max_bytes(graph_.values[id]));
            VKS_ASSIGN(here.location[id], maker_.state_.get(*here.device, graph_, graph_.values[id]));
            asked_.reset();
            plan_->shared.push_back(here.location[id].buffer);
        }
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
                auto& store = maker_.weights_[here.device];
                if (!store) store = std::make_unique<WeightStore>(*here.device);
                VKS_TRY(maker_.wanted());
                no_room_ = true;
                asked_ = weight_bytes(*here.device, graph_, value, support.arg_layout[a]);
                VKS_ASSIGN(args[a], store->get(graph_, value, support.arg_layout[a]));
                asked_.reset();
                no_room_ = false;
                plan_->shared.push_back(args[a].buffer);
                continue;
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
    PlanMaker& maker_;
    std::vector<NodePlace> places_;
    std::shared_ptr<Plan> plan_;
    std::optional<uint64_t> asked_;  // bytes of memory that the device was asked for last, where it has not given them
    bool no_room_ = false;           // what failed was memory for a constant
};

PlanMaker::PlanMaker(std::shared_ptr<const Graph> graph, Preference preference, WeightStores& weights, State& state,
                     bool gives_up, const std::atomic<bool>* stop)
    : graph_(std::move(graph)),
      preference_(std::move(preference)),
      weights_(weights),
      state_(state),
      gives_up_(gives_up),
      stop_(stop) {}

PlanMaker::~PlanMaker() = default;

Status PlanMaker::wanted() const {
    if (stop_ && *stop_) return Error{Code::kNoBackend, "plans: no longer wanted"};
    return {};
}

// Until there is memory for activations and caches.
Status PlanMaker::place_again() {
    for (;;) {
        attempt_.reset();  // its memory may be wanted
        VKS_ASSIGN(std::vector<NodePlace> places, place(*graph_, preference_, table_, barred_));
        attempt_ = std::make_unique<Attempt>(*this, std::move(places));
        const auto failed = attempt_->allocate();
        if (!failed) return {};
        VKS_TRY(bar(*failed));
    }
}

// With no other device for a node the next placement fails; its first cause is the better message.
Status PlanMaker::bar(const Failed& failed) {
    if (failed.full && gives_up_) {
        full_ = preference_.order[failed.device];
        return failed.error;
    }
    for (const size_t node : failed.nodes) barred_.insert({node, failed.device});
    return place(*graph_, preference_, table_, barred_) ? Status() : failed.error;
}

Status PlanMaker::begin() {
    table_ = ask_support(*graph_, preference_);
    return place_again();
}

Result<std::shared_ptr<const Plan>> PlanMaker::finish() {
    for (;;) {
        const auto failed = attempt_->prepare();
        if (!failed) break;
        VKS_TRY(wanted());
        VKS_TRY(bar(*failed));
        VKS_TRY(place_again());
    }
    std::shared_ptr<const Plan> plan = attempt_->plan();
    attempt_.reset();
    return plan;
}

void PlanMaker::count(MemoryUse& use) const {
    if (attempt_) attempt_->plan()->count(use);
}

Result<std::shared_ptr<const Plan>> make_plan(const std::shared_ptr<const Graph>& graph, const Preference& preference,
                                              WeightStores& weights, State& state) {
    PlanMaker maker(graph, preference, weights, state);
    VKS_TRY(maker.begin());
    return maker.finish();
}

void Plan::count(MemoryUse& use) const {
    for (const DevicePlan& d : devices)
        if (d.arena_bytes > 0) use[{d.device, d.arena_buffer.get()}] = d.arena_bytes;
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
