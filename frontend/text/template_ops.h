// The operators of a template's expressions, with Python's meaning: arithmetic, membership, attributes, indexing.
// Internal to the template interpreter. Each throws Failure where Python raises, or where it is not supported.
#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "frontend/text/template_value.h"

namespace vks::tmpl {

enum class Arithmetic { kAdd, kSubtract, kMultiply, kDivide, kFloorDivide, kModulo };

Value arithmetic(Work& work, Arithmetic op, const Value& a, const Value& b);
Value negate(const Value& value);
Value plus(const Value& value);
// item in container
bool contains(Work& work, const Value& container, const Value& item);

// object.name and object[key] as Jinja's sandbox resolves them: an attribute of a mapping is also looked up as a key.
// Undefined if there is none. A method that is not called is refused: it has no useful text.
Value attribute(Work& work, const Value& object, std::string_view name);
Value subscript(Work& work, const Value& object, const Value& key);
// object[start:stop:step]; None stands for a bound that is left out.
Value slice(Work& work, const Value& object, const Value& start, const Value& stop, const Value& step);

// What a loop over the value visits; strings give their characters, dicts their keys, undefined nothing.
std::shared_ptr<const std::vector<Value>> iterate(Work& work, const Value& value);
// len(value)
std::int64_t length(Work& work, const Value& value);

}  // namespace vks::tmpl
