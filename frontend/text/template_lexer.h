// Cuts a chat template into tokens as Jinja2 does with trim_blocks and lstrip_blocks on; white-space control is done
// here, so the parser sees only the text that is to appear. Internal to the template interpreter.
#pragma once
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace vks::tmpl {

struct Token {
    enum Kind {
        kData,        // text between tags
        kPrintBegin,  // {{
        kPrintEnd,    // }}
        kBlockBegin,  // {%
        kBlockEnd,    // %}
        kName,
        kText,  // a string literal, escapes resolved
        kInteger,
        kFloat,
        kOperator,
        kEnd,  // always the last
    };
    Kind kind;
    std::size_t pos;  // byte offset in the source
    std::string text;
};

// Line breaks as \n and without one at the very end: what positions refer to and lex() takes.
std::string normalized(std::string_view source);

// `source` is normalized() and well-formed UTF-8. Throws Failure.
std::vector<Token> lex(std::string_view source);

}  // namespace vks::tmpl
