// Scopes of names, after Jinja2's idtracking.
#include "frontend/text/template_scope.h"

#include <algorithm>

namespace vks::tmpl {

void ScopeTracker::load(std::string_view name) {
    loaded_.emplace(name);
    if (!scopes_.back().touched.emplace(name).second) return;
    for (auto scope = scopes_.rbegin() + 1; scope != scopes_.rend(); ++scope) {
        if (scope->touched.contains(name)) return;
        if (!scope->read_inside.emplace(name).second) return;  // then so it is further out
    }
}

bool ScopeTracker::store(std::string_view name) {
    Scope& scope = scopes_.back();
    if (scope.touched.contains(name)) return true;
    if (scope.branches > 0) {
        load(name);  // set on one path only, it must keep its outer meaning on the others
        return true;
    }
    scope.touched.emplace(name);
    if (!scope.read_inside.contains(name)) return true;
    if (scopes_.size() == 1) {
        hidden_.emplace_back(name);
        return true;
    }
    return std::any_of(scopes_.begin(), scopes_.end() - 1,
                       [&](const Scope& outer) { return outer.touched.contains(name); });
}

}  // namespace vks::tmpl
