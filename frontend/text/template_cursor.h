// A position in the tokens of a template, and how a parser says what it wanted there. Internal to the template
// interpreter.
#pragma once
#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "frontend/text/template_lexer.h"

namespace vks::tmpl {

class TokenCursor {
public:
    explicit TokenCursor(std::vector<Token> tokens) : tokens_(std::move(tokens)) {}

    const Token& current() const { return tokens_[at_]; }
    const Token& ahead() const { return tokens_[at_ + 1 < tokens_.size() ? at_ + 1 : at_]; }
    // Returns the current token and moves on, but never past the end.
    const Token& take() { return is(Token::kEnd) ? current() : tokens_[at_++]; }
    bool is(Token::Kind kind) const { return current().kind == kind; }
    bool is_operator(std::string_view text) const { return is(Token::kOperator) && current().text == text; }
    bool is_name(std::string_view text) const { return is(Token::kName) && current().text == text; }
    bool take_operator(std::string_view text) { return is_operator(text) && (take(), true); }
    bool take_name(std::string_view text) { return is_name(text) && (take(), true); }
    // Throws Failure if something else comes.
    void expect_operator(std::string_view text);
    std::string expect_name(std::string_view what);

    // What a message calls a token.
    static std::string spelled(const Token& token);
    // Throws Failure "wanted <wanted>, found <found>".
    [[noreturn]] static void fail(std::size_t pos, std::string_view wanted, std::string_view found);
    [[noreturn]] void fail_here(std::string_view wanted) const { fail(current().pos, wanted, spelled(current())); }

    // One level of the parser's recursion; throws Failure when there are kMaxNesting already.
    class Nested {
    public:
        explicit Nested(TokenCursor& cursor);
        ~Nested() { --cursor_.nesting_; }
        Nested(const Nested&) = delete;
        Nested& operator=(const Nested&) = delete;

    private:
        TokenCursor& cursor_;
    };

private:
    std::vector<Token> tokens_;
    std::size_t at_ = 0;
    std::size_t nesting_ = 0;
};

}  // namespace vks::tmpl
