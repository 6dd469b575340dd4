// A recursive-descent parser of expressions.
#include "frontend/text/template_expression.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <iterator>

#include "backend/base/bad_input.h"

namespace vks::tmpl {

namespace {

template <class Names>
bool among(const Names& names, std::string_view name) {
    return std::find(std::begin(names), std::end(names), name) != std::end(names);
}

constexpr std::string_view kConstants[] = {"true", "True", "false", "False", "none", "None"};
constexpr std::string_view kKeywords[] = {"and", "or", "not", "in", "is", "if", "else", "elif"};
// Jinja2 or Transformers give these a meaning that is not provided here.
constexpr std::string_view kUnsupported[] = {"caller", "cycler", "dict",  "joiner",       "kwargs",
                                             "lipsum", "self",   "super", "strftime_now", "additional_special_tokens",
                                             "varargs"};
constexpr std::string_view kFunctions[] = {"namespace", "range", "raise_exception"};

ExprPtr node(Expr::Kind kind, std::size_t pos) {
    auto expr = std::make_unique<Expr>();
    expr->kind = kind;
    expr->pos = pos;
    return expr;
}

// Left-associative chains grow deep without recursion here, so every tree knows its depth.
void add(Expr& parent, ExprPtr child) {
    if (child) parent.depth = std::max(parent.depth, child->depth + 1);
    if (parent.depth > kMaxNesting) {
        TokenCursor::fail(parent.pos, fmt::format("expressions at most {} deep", kMaxNesting), "a deeper one");
    }
    parent.args.push_back(std::move(child));
}

template <class... Children>
ExprPtr tree(Expr::Kind kind, std::size_t pos, Children... children) {
    ExprPtr expr = node(kind, pos);
    (add(*expr, std::move(children)), ...);
    return expr;
}

ExprPtr constant(Value value, std::size_t pos) {
    ExprPtr expr = node(Expr::kConstant, pos);
    expr->value = std::move(value);
    return expr;
}

}  // namespace

ExprPtr ExpressionParser::expression() {
    const Nested nested(*this);
    ExprPtr left = disjunction();
    while (is_name("if")) {
        const std::size_t pos = take().pos;
        ExprPtr condition = disjunction();
        ExprPtr otherwise = take_name("else") ? expression() : nullptr;
        left = tree(Expr::kCondition, pos, std::move(condition), std::move(left), std::move(otherwise));
    }
    return left;
}

ExprPtr ExpressionParser::disjunction() {
    ExprPtr left = conjunction();
    while (is_name("or")) {
        const std::size_t pos = take().pos;
        left = tree(Expr::kOr, pos, std::move(left), conjunction());
    }
    return left;
}

ExprPtr ExpressionParser::conjunction() {
    ExprPtr left = negation();
    while (is_name("and")) {
        const std::size_t pos = take().pos;
        left = tree(Expr::kAnd, pos, std::move(left), negation());
    }
    return left;
}

ExprPtr ExpressionParser::negation() {
    if (!is_name("not")) return comparison();
    const Nested nested(*this);
    const std::size_t pos = take().pos;
    return tree(Expr::kNot, pos, negation());
}

std::optional<Comparison> ExpressionParser::take_comparison() {
    static constexpr std::pair<std::string_view, Comparison> kOperators[] = {
        {"==", Comparison::kEqual},     {"!=", Comparison::kUnequal}, {"<", Comparison::kLess},
        {"<=", Comparison::kLessEqual}, {">", Comparison::kGreater},  {">=", Comparison::kGreaterEqual}};
    for (const auto& [text, comparison] : kOperators) {
        if (take_operator(text)) return comparison;
    }
    if (take_name("in")) return Comparison::kIn;
    if (is_name("not") && ahead().kind == Token::kName && ahead().text == "in") {
        take();
        take();
        return Comparison::kNotIn;
    }
    return std::nullopt;
}

ExprPtr ExpressionParser::comparison() {
    ExprPtr first = sum();
    const std::size_t pos = current().pos;
    auto operation = take_comparison();
    if (!operation) return first;
    ExprPtr expr = tree(Expr::kCompare, pos, std::move(first));
    for (; operation; operation = take_comparison()) {
        expr->comparisons.push_back(*operation);
        add(*expr, sum());
    }
    return expr;
}

std::optional<Arithmetic> ExpressionParser::take_arithmetic(Operators operators) {
    for (const auto& [text, operation] : operators) {
        if (take_operator(text)) return operation;
    }
    return std::nullopt;
}

ExprPtr ExpressionParser::binary(Operators operators, ExprPtr (ExpressionParser::*operand)()) {
    ExprPtr left = (this->*operand)();
    while (true) {
        const std::size_t pos = current().pos;
        const auto operation = take_arithmetic(operators);
        if (!operation) return left;
        left = tree(Expr::kArithmetic, pos, std::move(left), (this->*operand)());
        left->arithmetic = *operation;
    }
}

ExprPtr ExpressionParser::sum() {
    return binary({{"+", Arithmetic::kAdd}, {"-", Arithmetic::kSubtract}}, &ExpressionParser::concatenation);
}

ExprPtr ExpressionParser::concatenation() {
    ExprPtr first = product();
    if (!is_operator("~")) return first;
    ExprPtr expr = tree(Expr::kConcat, current().pos, std::move(first));
    while (take_operator("~")) add(*expr, product());
    return expr;
}

ExprPtr ExpressionParser::product() {
    return binary({{"*", Arithmetic::kMultiply},
                   {"/", Arithmetic::kDivide},
                   {"//", Arithmetic::kFloorDivide},
                   {"%", Arithmetic::kModulo}},
                  &ExpressionParser::filtered);
}

ExprPtr ExpressionParser::filtered() {
    ExprPtr expr = filters_and_tests(unary());
    if (is_operator("**")) fail_here("a known operator");
    return expr;
}

ExprPtr ExpressionParser::unary() {
    if (!is_operator("-") && !is_operator("+")) return postfix(primary());
    const Nested nested(*this);
    const Token& token = take();
    const Expr::Kind kind = token.text == "-" ? Expr::kNegate : Expr::kPlus;
    return postfix(tree(kind, token.pos, unary()));
}

ExprPtr ExpressionParser::primary() {
    const Token& token = current();
    if (token.kind == Token::kName) return name();
    if (token.kind == Token::kText) {
        std::string text;
        while (is(Token::kText)) text += take().text;
        return constant(std::move(text), token.pos);
    }
    if (token.kind == Token::kInteger || token.kind == Token::kFloat) return number();
    const Nested nested(*this);
    if (take_operator("(")) return parenthesized(token.pos);
    if (take_operator("[")) return items(node(Expr::kList, token.pos), "]");
    if (take_operator("{")) return dict(token.pos);
    fail_here("an expression");
}

ExprPtr ExpressionParser::name() {
    const Token& token = take();
    if (among(kConstants, token.text)) {
        if (token.text == "none" || token.text == "None") return constant(None{}, token.pos);
        return constant(token.text == "true" || token.text == "True", token.pos);
    }
    check_variable(token);
    if (is_operator("(")) return function(token);
    if (among(kFunctions, token.text)) fail(token.pos, "a call of the function", spelled(token));
    scopes_.load(token.text);
    if (scopes_.loaded() > kMaxNames) fail(token.pos, fmt::format("at most {} variables", kMaxNames), "more");
    reads_.push_back({token.text, token.pos});
    ExprPtr expr = node(Expr::kName, token.pos);
    expr->name = token.text;
    return expr;
}

ExprPtr ExpressionParser::number() {
    const Token& token = take();
    const char *begin = token.text.data(), *end = begin + token.text.size();
    if (token.kind == Token::kFloat) return constant(std::strtod(begin, nullptr), token.pos);
    std::int64_t value = 0;
    if (std::from_chars(begin, end, value).ec != std::errc()) fail(token.pos, "a 64-bit integer", spelled(token));
    return constant(value, token.pos);
}

ExprPtr ExpressionParser::parenthesized(std::size_t pos) {
    if (take_operator(")")) return node(Expr::kTuple, pos);
    ExprPtr first = expression();
    if (take_operator(")")) return first;
    expect_operator(",");
    return items(tree(Expr::kTuple, pos, std::move(first)), ")");
}

ExprPtr ExpressionParser::items(ExprPtr expr, std::string_view end) {
    while (!take_operator(end)) {
        add(*expr, expression());
        if (!is_operator(end)) expect_operator(",");
    }
    return expr;
}

ExprPtr ExpressionParser::dict(std::size_t pos) {
    ExprPtr expr = node(Expr::kDict, pos);
    while (!take_operator("}")) {
        add(*expr, expression());
        expect_operator(":");
        add(*expr, expression());
        if (!is_operator("}")) expect_operator(",");
    }
    return expr;
}

ExprPtr ExpressionParser::postfix(ExprPtr expr) {
    while (true) {
        if (is_operator(".")) {
            expr = attribute(std::move(expr));
        } else if (is_operator("[")) {
            expr = subscript(std::move(expr));
        } else if (is_operator("(")) {
            fail_here("a function or method to call by its name");
        } else {
            return expr;
        }
    }
}

ExprPtr ExpressionParser::attribute(ExprPtr object) {
    const std::size_t pos = take().pos;
    const Token& token = current();
    const std::string name = expect_name("the name of an attribute");
    if (name.starts_with("__")) fail(token.pos, "an attribute of data", spelled(token));
    if (is_operator("(")) {
        const Builtin* method = find_builtin(Builtin::kMethod, name);
        if (!method) fail(token.pos, "a known method", spelled(token));
        return bound(*method, std::move(object), token.pos, call());
    }
    ExprPtr expr = tree(Expr::kAttribute, pos, std::move(object));
    expr->name = name;
    return expr;
}

ExprPtr ExpressionParser::subscript(ExprPtr object) {
    const std::size_t pos = take().pos;
    const Nested nested(*this);
    ExprPtr bounds[3];
    std::size_t colons = 0;
    while (!is_operator("]")) {
        if (take_operator(":")) {
            if (++colons > 2) fail(pos, "at most three parts of a slice", "more");
        } else if (bounds[colons]) {
            fail_here("']' or ':'");
        } else {
            bounds[colons] = expression();
        }
    }
    take();
    if (colons > 0) {
        return tree(Expr::kSlice, pos, std::move(object), std::move(bounds[0]), std::move(bounds[1]),
                    std::move(bounds[2]));
    }
    if (!bounds[0]) fail(pos, "an index", "none");
    return tree(Expr::kSubscript, pos, std::move(object), std::move(bounds[0]));
}

ExprPtr ExpressionParser::filters_and_tests(ExprPtr expr) {
    while (true) {
        if (take_operator("|")) {
            const Token& token = current();
            const Builtin* filter = find_builtin(Builtin::kFilter, dotted("the name of a filter"));
            if (!filter) fail(token.pos, "a known filter", spelled(token));
            expr = bound(*filter, std::move(expr), token.pos, is_operator("(") ? call() : Call());
        } else if (take_name("is")) {
            expr = test(std::move(expr));
        } else if (is_operator("(")) {
            fail_here("a function or method to call by its name");
        } else {
            return expr;
        }
    }
}

std::string ExpressionParser::dotted(std::string_view what) {
    std::string name = expect_name(what);
    while (take_operator(".")) name += "." + expect_name(what);
    return name;
}

ExprPtr ExpressionParser::test(ExprPtr subject) {
    const bool negated = take_name("not");
    const Token& token = current();
    const Builtin* test = find_builtin(Builtin::kTest, dotted("the name of a test"));
    if (!test) fail(token.pos, "a known test", spelled(token));
    Call arguments;
    if (is_operator("(")) {
        arguments = call();
    } else if (test_argument_follows()) {
        arguments.positional.push_back(postfix(primary()));
    }
    ExprPtr expr = bound(*test, std::move(subject), token.pos, std::move(arguments));
    return negated ? tree(Expr::kNot, token.pos, std::move(expr)) : std::move(expr);
}

bool ExpressionParser::test_argument_follows() const {
    if (is(Token::kName)) return !is_name("else") && !is_name("or") && !is_name("and");
    return is(Token::kText) || is(Token::kInteger) || is(Token::kFloat) || is_operator("[") || is_operator("{");
}

ExpressionParser::Call ExpressionParser::call() {
    const Nested nested(*this);
    Call call;
    expect_operator("(");
    while (!take_operator(")")) {
        if (is_operator("*") || is_operator("**")) fail_here("plain arguments");
        if (is(Token::kName) && ahead().kind == Token::kOperator && ahead().text == "=") {
            const Token& token = take();
            take();
            const bool twice = std::any_of(call.named.begin(), call.named.end(),
                                           [&](const auto& other) { return other.first == token.text; });
            if (twice) fail(token.pos, "each argument once", spelled(token));
            call.named.emplace_back(token.text, expression());
        } else if (!call.named.empty()) {
            fail_here("an argument with its name");
        } else {
            call.positional.push_back(expression());
        }
        if (call.positional.size() + call.named.size() > kMaxArguments) {
            fail_here(fmt::format("at most {} arguments", kMaxArguments));
        }
        if (!is_operator(")")) expect_operator(",");
    }
    return call;
}

ExprPtr ExpressionParser::function(const Token& token) {
    if (token.text == "namespace") return new_namespace(token);
    if (const Builtin* function = find_builtin(Builtin::kFunction, token.text)) {
        return bound(*function, nullptr, token.pos, call());
    }
    ExprPtr expr = node(Expr::kMacro, token.pos);
    expr->name = token.text;
    Call arguments = call();
    for (auto& argument : arguments.positional) add(*expr, std::move(argument));
    for (auto& [name, argument] : arguments.named) {
        expr->names.push_back(name);
        add(*expr, std::move(argument));
    }
    macro_calls_.push_back(expr.get());
    return expr;
}

ExprPtr ExpressionParser::new_namespace(const Token& token) {
    ExprPtr expr = node(Expr::kNamespace, token.pos);
    Call arguments = call();
    if (!arguments.positional.empty()) fail(token.pos, "namespace() with named arguments", "one without a name");
    for (auto& [name, argument] : arguments.named) {
        check_attribute(name, token.pos);
        expr->names.push_back(name);
        add(*expr, std::move(argument));
    }
    return expr;
}

ExprPtr ExpressionParser::bound(const Builtin& builtin, ExprPtr subject, std::size_t pos, Call call) {
    ExprPtr expr = node(Expr::kBuiltin, pos);
    expr->builtin = &builtin;
    std::vector<ExprPtr> slots(builtin.count);
    if (call.positional.size() > builtin.count) {
        fail(pos, fmt::format("at most {} arguments for '{}'", builtin.count, builtin.name), "more");
    }
    std::move(call.positional.begin(), call.positional.end(), slots.begin());
    for (auto& [name, argument] : call.named) {
        const auto* end = builtin.parameters.begin() + builtin.count;
        const auto* parameter = std::find(builtin.parameters.begin(), end, name);
        const auto index = static_cast<std::size_t>(parameter - builtin.parameters.begin());
        if (parameter == end || slots[index]) {
            fail(pos, fmt::format("known arguments for '{}'", builtin.name), quote(name));
        }
        slots[index] = std::move(argument);
    }
    for (std::size_t i = 0; i < builtin.required; ++i) {
        if (!slots[i]) fail(pos, fmt::format("{} arguments for '{}'", builtin.required, builtin.name), "fewer");
    }
    add(*expr, std::move(subject));
    for (auto& slot : slots) add(*expr, std::move(slot));
    return expr;
}

void ExpressionParser::check_variable(const Token& token) {
    if (among(kKeywords, token.text)) fail(token.pos, "an expression", spelled(token));
    if (among(kUnsupported, token.text)) fail(token.pos, "a known name", spelled(token));
}

void ExpressionParser::check_attribute(std::string_view name, std::size_t pos) {
    // Jinja2's sandbox hides such attributes again when they are read.
    if (name.starts_with("_")) fail(pos, "an attribute without a leading underscore", quote(name));
}

std::string ExpressionParser::target(std::string_view what) {
    const Token& token = current();
    std::string name = expect_name(what);
    check_variable(token);
    if (among(kConstants, name) || among(kFunctions, name) || name == "loop") {
        fail(token.pos, "the name of a variable", spelled(token));
    }
    writes_.push_back({name, token.pos});
    return name;
}

}  // namespace vks::tmpl
