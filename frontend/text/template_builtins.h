// The filters, tests, methods and functions that chat templates may use. Internal to the template interpreter.
#pragma once
#include <array>
#include <cstddef>
#include <optional>
#include <string_view>
#include <vector>

#include "frontend/text/template_value.h"

namespace vks::tmpl {

// One value per parameter; nothing where the call left it out.
using Arguments = std::vector<std::optional<Value>>;

struct Builtin {
    enum Kind { kFilter, kTest, kMethod, kFunction };
    Kind kind;
    std::string_view name;
    // `subject` is what the filter, test or method applies to; undefined for a function. Throws Failure.
    Value (*call)(Work& work, const Value& subject, const Arguments& arguments);
    std::size_t required = 0;                      // parameters that must be given
    std::size_t count = 0;                         // parameters
    std::array<std::string_view, 4> parameters{};  // an empty name can be given by position only
};

// Nothing if there is none of that name.
const Builtin* find_builtin(Builtin::Kind kind, std::string_view name);

}  // namespace vks::tmpl
