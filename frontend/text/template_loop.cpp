// The `loop` variable.
#include "frontend/text/template_loop.h"

#include <fmt/format.h>

namespace vks::tmpl {

std::optional<Value> Loop::pull() {
    while (taken_ < items_->size()) {
        const Value& item = (*items_)[taken_++];
        if (!filter_) return item;
        if (auto passed = filter_(item)) return passed;
    }
    return std::nullopt;
}

const Value* Loop::peek() {
    if (ahead_.empty()) {
        auto item = pull();
        if (!item) return nullptr;
        ahead_.push_back(*std::move(item));
    }
    return &ahead_.front();
}

bool Loop::next() {
    if (!peek()) return false;
    previous_ = std::move(current_);
    current_ = std::move(ahead_.front());
    ahead_.pop_front();
    ++index_;
    return true;
}

std::int64_t Loop::length() {
    if (!filter_) return static_cast<std::int64_t>(items_->size());
    while (auto item = pull()) ahead_.push_back(*std::move(item));
    return index_ + static_cast<std::int64_t>(ahead_.size());
}

Value Loop::attribute(std::string_view name) {
    if (name == "index") return index_;
    if (name == "index0") return index_ - 1;
    if (name == "first") return index_ == 1;
    if (name == "last") return peek() == nullptr;
    if (name == "length") return length();
    if (name == "revindex") return length() - index_ + 1;
    if (name == "revindex0") return length() - index_;
    if (name == "previtem") return previous_ ? *previous_ : Value();
    if (name == "depth") return std::int64_t{1};
    if (name == "depth0") return std::int64_t{0};
    if (name == "nextitem") {
        const Value* item = peek();
        return item ? *item : Value();
    }
    throw Failure{fmt::format("wanted an attribute of loop, found '{}'", name)};
}

}  // namespace vks::tmpl
