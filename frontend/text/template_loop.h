// The `loop` variable: a position in what is being looped over, which looks ahead only as far as it is asked to.
#pragma once
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "frontend/text/template_value.h"

namespace vks::tmpl {

class Loop {
public:
    // What is visited for an item, or nothing if it does not pass; empty: every item as it is.
    using Filter = std::function<std::optional<Value>(const Value&)>;

    Loop(std::shared_ptr<const std::vector<Value>> items, Filter filter)
        : items_(std::move(items)), filter_(std::move(filter)) {}

    // Moves on; false at the end.
    bool next();
    const Value& current() const { return *current_; }
    // loop.<name>; Failure for a name that loops here do not have.
    Value attribute(std::string_view name);

private:
    std::optional<Value> pull();
    const Value* peek();
    std::int64_t length();

    std::shared_ptr<const std::vector<Value>> items_;
    Filter filter_;
    std::size_t taken_ = 0;    // of items_
    std::deque<Value> ahead_;  // passed the filter, not yet visited
    std::optional<Value> current_, previous_;
    std::int64_t index_ = 0;  // 1-based; 0 before the first
};

}  // namespace vks::tmpl
