// The parser's view of the tokens.
#include "frontend/text/template_cursor.h"

#include <fmt/format.h>

#include "backend/base/bad_input.h"
#include "frontend/text/template_ast.h"

namespace vks::tmpl {

void TokenCursor::expect_operator(std::string_view text) {
    if (!take_operator(text)) fail_here(fmt::format("'{}'", text));
}

std::string TokenCursor::expect_name(std::string_view what) {
    if (!is(Token::kName)) fail_here(what);
    return take().text;
}

std::string TokenCursor::spelled(const Token& token) {
    switch (token.kind) {
        case Token::kData:
            return "text";
        case Token::kPrintBegin:
            return "'{{'";
        case Token::kPrintEnd:
            return "'}}'";
        case Token::kBlockBegin:
            return "'{%'";
        case Token::kBlockEnd:
            return "'%}'";
        case Token::kText:
            return "a string";
        case Token::kEnd:
            return "the end of the template";
        case Token::kName:
        case Token::kInteger:
        case Token::kFloat:
        case Token::kOperator:
            break;
    }
    return quote(token.text, 60);
}

void TokenCursor::fail(std::size_t pos, std::string_view wanted, std::string_view found) {
    throw Failure{fmt::format("wanted {}, found {}", wanted, found), pos};
}

TokenCursor::Nested::Nested(TokenCursor& cursor) : cursor_(cursor) {
    if (cursor.nesting_ == kMaxNesting) {
        cursor.fail_here(fmt::format("blocks and expressions at most {} deep", kMaxNesting));
    }
    ++cursor.nesting_;
}

}  // namespace vks::tmpl
