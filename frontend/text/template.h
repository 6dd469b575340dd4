// A small interpreter for the part of Jinja2 that chat templates use, in the environment that Hugging Face Transformers
// gives them: trim_blocks, lstrip_blocks, loop controls, Python's values and texts. It is not Jinja2: a construct that
// it does not know is refused when the template is parsed, never rendered in another way.
#pragma once
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "backend/base/result.h"

namespace vks {

// A parsed template. Cheap to copy; const members may be called from any thread.
//
// Known: {% if / elif / else %}, {% for ... if ... %} with else, loop.*, break and continue, {% set %} of variables,
// namespace attributes and blocks, {% macro %}, {% raw %}, comments, white-space control; Python's operators but **,
// slices, conditional expressions, literals; and the filters, tests, methods and functions of template_builtins.cpp.
class Template {
public:
    // `name` is the file that errors name; `source` at most 1 MiB. Errors (kBadInput) give line and column.
    static Result<Template> parse(const std::string& source, std::string name);

    // Renders with the members of `variables` (a JSON object, nested at most 100 deep) as variables.
    // Errors (kBadInput): whatever Python would raise, what is not supported, raise_exception(), or a limit: 64 MiB of
    // output, 512 MiB of text handled, 2 million steps, 1000 evaluations inside each other.
    Result<std::string> render(const nlohmann::ordered_json& variables) const;

private:
    struct Parsed;
    explicit Template(std::shared_ptr<const Parsed> parsed) : parsed_(std::move(parsed)) {}
    std::shared_ptr<const Parsed> parsed_;
};

}  // namespace vks
