#include "backend/exec/trace.h"

#include <chrono>
#include <fstream>
#include <nlohmann/json.hpp>

namespace vks {
namespace {

int64_t steady_ns() {
    using namespace std::chrono;
    return duration_cast<nanoseconds>(steady_clock::now().time_since_epoch()).count();
}

}  // namespace

Trace::Trace() : start_(steady_ns()) {}

int64_t Trace::now() const {
    return steady_ns() - start_;
}

void Trace::add(const std::string& device, const Node& node, const std::string& variant, int64_t begin, int64_t end) {
    events_.push_back({device, node.name, node.op_name(), variant, begin, end});
}

Status Trace::write(const std::filesystem::path& path) const {
    nlohmann::json events = nlohmann::json::array();
    std::map<std::string, int> row;
    for (const Event& e : events_) {
        const auto [it, fresh] = row.try_emplace(e.device, int(row.size()) + 1);
        if (fresh)
            events.push_back({{"ph", "M"},
                              {"name", "thread_name"},
                              {"pid", 1},
                              {"tid", it->second},
                              {"args", {{"name", e.device}}}});
        events.push_back({{"ph", "X"},
                          {"name", e.op},
                          {"cat", "op"},
                          {"pid", 1},
                          {"tid", it->second},
                          {"ts", double(e.begin) / 1e3},
                          {"dur", double(e.end - e.begin) / 1e3},
                          {"args", {{"node", e.name}, {"variant", e.variant}}}});
    }
    std::ofstream out(path);
    const nlohmann::json document = {{"traceEvents", events}, {"displayTimeUnit", "ns"}};
    // A name that is not UTF-8 must not throw.
    out << document.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
    out.close();
    if (!out)
        return Error{Code::kBadInput, fmt::format("trace ({}): wanted a file that can be written", path.string())};
    return {};
}

}  // namespace vks
