#include "frontend/gen/stop_strings.h"

#include <algorithm>
#include <utility>

namespace vks {

StopStrings::StopStrings(std::vector<std::string> stops) : stops_(std::move(stops)) {
    std::erase_if(stops_, [](const std::string& stop) { return stop.empty(); });
}

std::string StopStrings::push(std::string_view text) {
    if (stopped_) return {};
    held_ += text;
    size_t end = std::string::npos, begin = std::string::npos;
    for (const std::string& stop : stops_) {
        const size_t at = held_.find(stop);
        if (at == std::string::npos) continue;
        if (at + stop.size() < end || (at + stop.size() == end && at < begin)) {
            begin = at;
            end = at + stop.size();
        }
    }
    if (end != std::string::npos) {
        stopped_ = true;
        std::string before = held_.substr(0, begin);
        held_.clear();
        return before;
    }
    size_t keep = 0;
    for (const std::string& stop : stops_) {
        for (size_t n = std::min(held_.size(), stop.size() - 1); n > keep; --n) {
            if (std::string_view(held_).substr(held_.size() - n) == std::string_view(stop).substr(0, n)) keep = n;
        }
    }
    std::string certain = held_.substr(0, held_.size() - keep);
    held_.erase(0, certain.size());
    return certain;
}

std::string StopStrings::finish() {
    return std::exchange(held_, {});
}

}  // namespace vks
