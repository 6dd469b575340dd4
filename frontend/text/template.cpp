// The interpreter's border: Failures become Errors that name the file, the line and the column.
#include "frontend/text/template.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "backend/base/bad_input.h"
#include "frontend/text/template_evaluator.h"
#include "frontend/text/template_lexer.h"
#include "frontend/text/template_strings.h"
#include "frontend/text/utf8.h"

namespace vks {

struct Template::Parsed {
    std::string name, source;
    tmpl::Program program;
};

namespace {

constexpr size_t kMaxMessage = 1000;  // bytes; some failures repeat a text that the template made

Error error_at(const std::string& name, std::string_view source, const tmpl::Failure& failure) {
    const std::string_view before = source.substr(0, std::min(failure.pos, source.size()));
    const auto line = 1 + std::count(before.begin(), before.end(), '\n');
    const auto column = 1 + tmpl::text_length(before.substr(before.rfind('\n') + 1));
    return bad_input("chat template ({}): {}{}, at line {}, column {}", name, cut(failure.text, kMaxMessage),
                     failure.text.size() > kMaxMessage ? "..." : "", line, column);
}

}  // namespace

Result<Template> Template::parse(const std::string& source, std::string name) {
    if (source.size() > tmpl::kMaxSource) {
        return bad_input("chat template ({}): wanted at most {} bytes, found {}", name, tmpl::kMaxSource,
                         source.size());
    }
    if (const auto at = find_invalid_utf8(source)) {
        return bad_input("chat template ({}): wanted UTF-8, found an ill-formed byte {}", name, *at + 1);
    }
    auto parsed = std::make_shared<Parsed>();
    parsed->name = std::move(name);
    parsed->source = tmpl::normalized(source);
    try {
        parsed->program = tmpl::parse_program(parsed->source);
    } catch (const tmpl::Failure& failure) {
        return error_at(parsed->name, parsed->source, failure);
    }
    return Template(std::move(parsed));
}

Result<std::string> Template::render(const nlohmann::ordered_json& variables) const {
    CHECK(variables.is_object(), "template variables are a JSON object");
    tmpl::Variables values;
    try {
        for (const auto& [name, value] : variables.items()) values.insert_or_assign(name, tmpl::from_json(value));
    } catch (const tmpl::Failure& failure) {
        return bad_input("chat template ({}): {}", parsed_->name, failure.text);
    }
    try {
        return tmpl::evaluate(parsed_->program, values);
    } catch (const tmpl::Failure& failure) {
        return error_at(parsed_->name, parsed_->source, failure);
    }
}

}  // namespace vks
