// Parsing the expressions of a template: Jinja2's grammar and precedence. Internal to the template interpreter; the
// statements are template_parser.cpp's.
#pragma once
#include <cstddef>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "frontend/text/template_ast.h"
#include "frontend/text/template_cursor.h"
#include "frontend/text/template_scope.h"

namespace vks::tmpl {

class ExpressionParser : protected TokenCursor {
protected:
    // Where a name was used.
    struct Use {
        std::string name;
        std::size_t pos;
    };

    explicit ExpressionParser(std::vector<Token> tokens) : TokenCursor(std::move(tokens)) {}

    // The expression that starts here; each throws Failure. disjunction() stops before a conditional's `if`.
    ExprPtr expression();
    ExprPtr disjunction();
    // A name that is about to be given a value.
    std::string target(std::string_view what);
    static void check_attribute(std::string_view name, std::size_t pos);

    ScopeTracker scopes_;
    std::vector<Use> reads_, writes_;
    std::vector<Expr*> macro_calls_;  // arguments as they were given; `macro` is not known yet

private:
    using Operators = std::initializer_list<std::pair<std::string_view, Arithmetic>>;
    struct Call {
        std::vector<ExprPtr> positional;
        std::vector<std::pair<std::string, ExprPtr>> named;
    };

    ExprPtr conjunction();
    ExprPtr negation();
    std::optional<Comparison> take_comparison();
    ExprPtr comparison();
    std::optional<Arithmetic> take_arithmetic(Operators operators);
    ExprPtr binary(Operators operators, ExprPtr (ExpressionParser::*operand)());
    ExprPtr sum();
    ExprPtr concatenation();
    ExprPtr product();
    ExprPtr filtered();
    ExprPtr unary();
    ExprPtr primary();
    ExprPtr name();
    ExprPtr number();
    ExprPtr parenthesized(std::size_t pos);
    // The rest of a list or tuple; a comma may follow the last item.
    ExprPtr items(ExprPtr expr, std::string_view end);
    ExprPtr dict(std::size_t pos);
    ExprPtr postfix(ExprPtr expr);
    ExprPtr attribute(ExprPtr object);
    ExprPtr subscript(ExprPtr object);
    ExprPtr filters_and_tests(ExprPtr expr);
    std::string dotted(std::string_view what);
    ExprPtr test(ExprPtr subject);
    // A test may have its argument without parentheses: x is divisibleby 3.
    bool test_argument_follows() const;
    Call call();
    ExprPtr function(const Token& token);
    ExprPtr new_namespace(const Token& token);
    // Puts each argument where its parameter is.
    ExprPtr bound(const Builtin& builtin, ExprPtr subject, std::size_t pos, Call call);
    static void check_variable(const Token& token);
};

}  // namespace vks::tmpl
