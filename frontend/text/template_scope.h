// Which variable a name means where. Jinja2 decides that when it compiles: a name that a scope first sets, and that an
// inner block reads earlier, is undefined there although a variable of that name was passed in. The evaluator looks
// names up when it runs, and needs to be told where that differs. Internal to the template interpreter.
#pragma once
#include <cstddef>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace vks::tmpl {

// Told of every use in the order of the source.
class ScopeTracker {
public:
    void enter() { scopes_.emplace_back(); }
    void leave() { scopes_.pop_back(); }
    bool at_root() const { return scopes_.size() == 1; }
    // A branch of an `if` is no scope, but what is set in it is not certain to be set.
    void enter_branch() { ++scopes_.back().branches; }
    void leave_branch() { --scopes_.back().branches; }

    void load(std::string_view name);
    // How many different names have been loaded.
    std::size_t loaded() const { return loaded_.size(); }
    // A loop's variable or a macro's parameter.
    void declare(std::string_view name) { scopes_.back().touched.emplace(name); }
    // False where the difference can not be made up for.
    [[nodiscard]] bool store(std::string_view name);

    // Names that hide what was passed in until the template sets them.
    std::vector<std::string> take_hidden() { return std::move(hidden_); }

private:
    struct Scope {
        std::set<std::string, std::less<>> touched;      // read or set in the scope itself
        std::set<std::string, std::less<>> read_inside;  // read in an inner scope before that
        std::size_t branches = 0;
    };
    std::vector<Scope> scopes_{1};
    std::vector<std::string> hidden_;
    std::set<std::string, std::less<>> loaded_;
};

}  // namespace vks::tmpl
