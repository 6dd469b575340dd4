// Runs a parsed template. Internal to the template interpreter.
#pragma once
#include <cstddef>
#include <string>
#include <unordered_map>

#include "frontend/text/template_ast.h"

namespace vks::tmpl {

using Variables = std::unordered_map<std::string, Value>;

// The output. Throws Failure, always with a position.
std::string evaluate(const Program& program, const Variables& variables);

}  // namespace vks::tmpl
