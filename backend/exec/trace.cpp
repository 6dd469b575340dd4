#include "backend/exec/trace.h"

#include <algorithm>
#include <chrono>
#include <map>
#include <nlohmann/json.hpp>

#include "backend/abi/plugin.hpp"
#include "backend/ops/rule.h"

namespace vks {
namespace {

using Json = nlohmann::json;

// Rows of the picture.
constexpr int kThread = 1, kGaps = 2, kFirstOther = 3;

int64_t steady_ns() {
    using namespace std::chrono;
    return duration_cast<nanoseconds>(steady_clock::now().time_since_epoch()).count();
}

Json row_name(int row, const std::string& name) {
    return {{"ph", "M"}, {"name", "thread_name"}, {"pid", 1}, {"tid", row}, {"args", {{"name", name}}}};
}

Json event(const std::string& name, const char* category, int row, int64_t begin, int64_t end, Json args) {
    return {{"ph", "X"},
            {"name", name},
            {"cat", category},
            {"pid", 1},
            {"tid", row},
            {"ts", double(begin) / 1e3},
            {"dur", double(end - begin) / 1e3},
            {"args", std::move(args)}};
}

// "f32 [3, 256], f8_e4m3 [768, 256], ... -> f32 [3, 768]"; of many arguments the first.
std::string shape_text(const Graph& graph, const Node& node, const Bindings& bind) {
    constexpr uint32_t kShown = 6;
    std::string text;
    for (uint32_t i = 0; i < node.args.size(); ++i) {
        if (i == node.inputs) text += " -> ";
        if (node.args[i] == kAbsent || (i >= kShown && i < node.inputs)) continue;
        const Value& value = graph.values[node.args[i]];
        std::string dims;
        for (const Dim& dim : value.shape) dims += fmt::format("{}{}", dims.empty() ? "" : ", ", dim.bind(bind));
        const bool first = text.empty() || text.ends_with("> ");
        text += fmt::format("{}{} [{}]", first ? "" : ", ", abi::dtype_name(value.dtype), dims);
        if (i + 1 == kShown && node.inputs > kShown) text += fmt::format(" and {} more", node.inputs - kShown);
    }
    return text;
}

}  // namespace

// Rows of devices, as they come up.
class Trace::Rows {
public:
    explicit Rows(Json& events) : events_(events) {}
    int of(const std::string& name) {
        const auto [it, fresh] = rows_.try_emplace(name, int(rows_.size()) + kFirstOther);
        if (fresh) events_.push_back(row_name(it->second, name));
        return it->second;
    }

private:
    Json& events_;
    std::map<std::string, int> rows_;
};

Trace::Trace() : start_(steady_ns()) {
    // Growing takes time, and so does touching memory for the first time.
    constexpr size_t kRoom = 1 << 16;
    ops_.resize(kRoom);
    ops_.clear();
}

int64_t Trace::now() const {
    return steady_ns() - start_;
}

// A step with what is in it added up, and the rest: what no operator and no transfer took.
void Trace::write_step(const Run& run, Json& events) const {
    struct Part {
        int64_t begin, end;
    };
    std::vector<Part> parts;
    int64_t operators = 0, transfers = 0, gap = 0;
    const auto collect = [&](const auto& all, int64_t& sum) {
        const auto earlier = [](const auto& e, int64_t at) { return e.begin < at; };
        for (auto e = std::lower_bound(all.begin(), all.end(), run.begin, earlier); e != all.end() && e->end <= run.end;
             ++e) {
            parts.push_back({e->begin, e->end});
            sum += e->end - e->begin;
        }
    };
    collect(ops_, operators);
    collect(host_, transfers);
    std::sort(parts.begin(), parts.end(), [](const Part& a, const Part& b) { return a.begin < b.begin; });
    parts.push_back({run.end, run.end});
    int64_t at = run.begin;
    for (const Part& part : parts) {
        if (part.begin > at) {
            events.push_back(event("gap", "gap", kGaps, at, part.begin, Json::object()));
            gap += part.begin - at;
        }
        at = std::max(at, part.end);
    }
    events.push_back(event("step", "step", kThread, run.begin, run.end,
                           {{"graph", run.step.graph->name},
                            {"tokens", run.step.bind[size_t(Symbol::kTokens)]},
                            {"operators_us", double(operators) / 1e3},
                            {"transfers_us", double(transfers) / 1e3},
                            {"gap_us", double(gap) / 1e3}}));
}

void Trace::write_op(const Op& op, Rows& rows, Json& events) const {
    const Step& step = steps_[op.run].step;
    const Node& node = step.graph->nodes[op.node];
    const Place& place = (*step.places)[op.node];
    const Cost cost = node_cost(*step.graph, node, step.bind, step.state_rows);
    events.push_back(event(node.op_name(), "op", rows.of("queue of " + place.device), op.begin, op.end,
                           {{"node", node.name},
                            {"graph", step.graph->name},
                            {"variant", place.variant},
                            {"shape", shape_text(*step.graph, node, step.bind)},
                            {"bytes", cost.bytes},
                            {"flops", cost.flops}}));
}

// It has the name of the operator that ran when it began.
void Trace::write_thread(const Thread& thread, Rows& rows, Json& events) const {
    const auto after = std::upper_bound(ops_.begin(), ops_.end(), thread.begin,
                                        [](int64_t at, const Op& op) { return at < op.begin; });
    std::string name = "other work";
    if (after != ops_.begin() && thread.begin <= std::prev(after)->end) {
        const Op& op = *std::prev(after);
        name = steps_[op.run].step.graph->nodes[op.node].op_name();
    }
    const int row = rows.of(fmt::format("thread {} of {}", thread.thread, thread.device));
    events.push_back(event(name, "thread", row, thread.begin, thread.end, Json::object()));
}

Status Trace::write(OutputFile file) const {
    Json events = Json::array();
    events.push_back({{"ph", "M"}, {"name", "process_name"}, {"pid", 1}, {"args", {{"name", "vkseek"}}}});
    events.push_back(row_name(kThread, "CPU thread: steps"));
    events.push_back(row_name(kGaps, "between operators"));
    int64_t last = kNever;
    for (const Run& run : steps_) {
        if (run.end == kNever) continue;
        write_step(run, events);
        // Reading results, sampling, text.
        if (last != kNever) events.push_back(event("between steps", "host", kGaps, last, run.begin, Json::object()));
        last = run.end;
    }
    for (const Host& h : host_) events.push_back(event(h.what, "transfer", kThread, h.begin, h.end, Json::object()));
    Rows rows(events);
    for (const Op& op : ops_) write_op(op, rows, events);
    for (const Thread& thread : threads_) write_thread(thread, rows, events);
    const Json document = {{"traceEvents", events}, {"displayTimeUnit", "ns"}};
    // A name that is not UTF-8 must not throw.
    return file.write(document.dump(-1, ' ', false, Json::error_handler_t::replace));
}

}  // namespace vks
