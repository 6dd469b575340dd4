// Slots for experts: what is made ready once for each plan.
#include <algorithm>

#include "backend/exec/expert_slots.h"
#include "backend/ops/experts.h"

namespace vks {
namespace {

size_t device_of(const Plan& plan, size_t node) {
    return plan.report[node].device;
}

size_t list_argument(const Plan& plan, size_t node) {
    const Launch& launch = plan.launches[node];
    for (size_t a = 0; a < launch.arg_count; ++a)
        if (plan.arg_value[launch.first_arg + a] == plan.graph->nodes[node].args[experts::kOffset]) return a;
    CHECK(false, "{}: no list among its arguments", plan.report[node].what);
    return 0;
}

// Of a node, an expert's weight and scale; null where they are absent.
void add_constants(const Graph& graph, const Node& node, size_t expert, Constants& constants) {
    for (size_t a = 0; a < 2; ++a) {
        const ValueId id = node.args[experts::kFirstWeight + 2 * expert + a];
        constants.push_back(id == kAbsent ? nullptr : &graph.values[id]);
    }
}

// What a node is given, but with one expert, whose constants are still to be filled in.
std::vector<vks_tensor> one_expert(const Graph& graph, const Node& node) {
    std::vector<vks_tensor> args;
    static_cast<void>(describe(graph, node, args));
    args[experts::kOffset] = abi::tensor(VKS_I32, {2});
    args.erase(args.begin() + experts::kFirstWeight + 2, args.begin() + node.inputs);
    args[experts::kFirstWeight] = args[experts::kFirstWeight + 1] = {};
    return args;
}

bool same(const std::vector<vks_tensor>& a, const std::vector<vks_tensor>& b) {
    return std::ranges::equal(a, b, [](const vks_tensor& x, const vks_tensor& y) {
        return x.dtype == y.dtype && std::ranges::equal(x.dim, y.dim);
    });
}

}  // namespace

// Whether the lists are in host memory before the first part is launched on the device.
bool ExpertSlots::listed_early(const Plan& plan, const Layer& layer, ValueId list, size_t host) {
    const size_t first = layer.here.front().node;
    for (const Segment& segment : plan.segments) {
        if (segment.first > first) break;
        for (const Transfer& t : segment.before)
            if (t.value == list && t.to == host) return true;
        for (size_t i = segment.first; i < std::min(segment.last, first); ++i) {
            const Node& node = plan.graph->nodes[i];
            if (segment.device == host &&
                std::find(node.args.begin() + node.inputs, node.args.end(), list) != node.args.end())
                return true;
        }
    }
    return false;
}

// Those with the same operators on the device and on a host, over different experts.
std::vector<ExpertSlots::Layer> ExpertSlots::layers_of(const Plan& plan) const {
    const Graph& graph = *plan.graph;
    std::vector<ValueId> lists;  // one of each layer
    std::map<ValueId, Layer> by_list;
    for (size_t i = 0; i < graph.nodes.size(); ++i) {
        if (!experts::has(graph.nodes[i])) continue;
        const ValueId list = graph.nodes[i].args[experts::kOffset];
        if (!by_list.contains(list)) lists.push_back(list);
        Layer& layer = by_list[list];
        Device* device = plan.devices[device_of(plan, i)].device;
        if (device == &device_)
            layer.here.push_back({i, list_argument(plan, i)});
        else if (device->has(VKS_DEVICE_HOST_MEMORY))
            layer.others.push_back({i, list_argument(plan, i)});
    }
    std::vector<Layer> layers;
    for (const ValueId list : lists) {
        Layer& layer = by_list[list];
        if (layer.here.empty() || layer.here.size() != layer.others.size()) continue;
        const size_t host = device_of(plan, layer.others.front().node);
        const auto elsewhere = [&](const Part& part) { return device_of(plan, part.node) != host; };
        if (std::ranges::any_of(layer.others, elsewhere) || !listed_early(plan, layer, list, host)) continue;
        const Node& last = graph.nodes[layer.others.back().node];
        layer.offset = reinterpret_cast<const int32_t*>(plan.devices[host].location[list].mapped);
        layer.result = plan.devices[host].location[last.args.back()].mapped;
        const Value& result = graph.values[last.args.back()];
        layer.row_bytes = uint64_t(graph.max_bytes(result) / result.shape[0].bind(graph.max));
        if (layer.offset == nullptr || layer.result == nullptr) continue;
        layer.experts.resize(experts::count(last));
        for (size_t e = 0; e < layer.experts.size(); ++e) {
            Expert& expert = layer.experts[e];
            for (const Part& part : layer.others) add_constants(graph, graph.nodes[part.node], e, expert.constants);
            if (expert.constants.front() == nullptr) expert.constants.clear();
            if (!expert.constants.empty()) expert.key = expert.constants.front()->host;
        }
        layers.push_back(std::move(layer));
    }
    return layers;
}

// As many as there is room for, of the size of a layer's experts.
Status ExpertSlots::make_slots(const Graph& graph, const Layer& like) {
    const auto expert = std::ranges::find_if(like.experts, [](const Expert& e) { return !e.constants.empty(); });
    VKS_ASSIGN(memory_, SlotMemory::create(device_, graph, expert->constants, bytes_));
    VKS_ASSIGN(fetching_, Lane::create(device_));
    const uint64_t lists = like.experts.size() * list_stride();
    VKS_ASSIGN(lists_buffer_, device_.buffer(lists, VKS_BUFFER_DEVICE, nullptr, "memory for lists of rows"));
    lists_ = {lists_buffer_.get(), 0, static_cast<std::byte*>(device_.map(lists_buffer_))};
    experts_ = like.experts.size();
    const std::lock_guard lock(mutex_);
    cache_.emplace(memory_->size());
    stats_.slots = memory_->size();
    stats_.bytes = memory_->bytes();
    if (memory_->size() > 0) fetcher_ = std::thread([this] { work(); });
    return {};
}

// A kernel for each part and slot. False: the device has none, or wants the constants otherwise than they are.
Result<bool> ExpertSlots::prepare(const Plan& plan, PlanUse& use) {
    const Graph& graph = *plan.graph;
    uint64_t scratch = 0;
    for (const Part& part : use.layers.front().here) {
        const size_t number = use.scratch.size();
        std::vector<vks_tensor> args = one_expert(graph, graph.nodes[part.node]);
        const vks_grouped_gemm_params params = {1};
        vks_op op{};
        op.size = sizeof op;
        op.op = graph.nodes[part.node].op.c_str();
        op.params = &params;
        op.params_size = sizeof params;
        op.args = args.data();
        op.arg_count = args.size();
        for (size_t slot = 0; slot < memory_->size(); ++slot) {
            for (size_t a = 0; a < 2; ++a) args[experts::kFirstWeight + a] = memory_->tensor(slot, 2 * number + a);
            if (slot == 0) {
                const Support support = device_.query(op);
                const auto packed = [](uint32_t layout) { return layout != VKS_ROW_MAJOR; };
                if (!support.ok || std::ranges::any_of(support.arg_layout, packed)) return false;
                use.scratch.push_back(support.scratch_bytes > 0);
                scratch = std::max(scratch, support.scratch_bytes);
            }
            VKS_ASSIGN(Kernel kernel, device_.prepare(op, plan.report[part.node].what));
            use.kernels.push_back(std::move(kernel));
        }
    }
    if (scratch > uint64_t(scratch_.dim[0])) {
        VKS_ASSIGN(scratch_buffer_, device_.buffer(scratch, VKS_BUFFER_DEVICE, nullptr, "memory for slots' operators"));
        scratch_ = abi::tensor(VKS_U8, {int64_t(scratch)});
        scratch_.buffer = scratch_buffer_.get();
    }
    return true;
}

// Kernels are those of the plan's first layer, slots those of the first plan: what differs has none.
bool ExpertSlots::suits(const Graph& graph, const Layer& layer, const Layer& first) const {
    bool like = layer.experts.size() == experts_ && layer.here.size() == first.here.size();
    for (size_t p = 0; like && p < layer.here.size(); ++p)
        like = same(one_expert(graph, graph.nodes[layer.here[p].node]),
                    one_expert(graph, graph.nodes[first.here[p].node]));
    return like && std::ranges::all_of(layer.experts, [&](const Expert& expert) {
               return expert.constants.empty() || memory_->suits(graph, expert.constants);
           });
}

Status ExpertSlots::add(const Plan& plan) {
    const Graph& graph = *plan.graph;
    PlanUse use;
    use.layers = layers_of(plan);
    if (use.layers.empty()) return {};
    const Layer& first = use.layers.front();
    if (!memory_) VKS_TRY(make_slots(graph, first));
    const auto unlike = [&](const Layer& layer) { return !suits(graph, layer, first); };
    if (memory_->size() == 0 || std::ranges::any_of(use.layers, unlike)) return {};
    VKS_ASSIGN(const bool prepared, prepare(plan, use));
    if (!prepared) return {};
    for (size_t l = 0; l < use.layers.size(); ++l)
        for (size_t p = 0; p < use.layers[l].here.size(); ++p) {
            use.here[use.layers[l].here[p].node] = {l, p};
            use.others[use.layers[l].others[p].node] = {l, p};
        }
    if (!host_lists_) host_lists_.emplace(*plan.devices[device_of(plan, first.others.front().node)].device);
    plans_.insert_or_assign(&plan, std::move(use));
    return {};
}

}  // namespace vks
