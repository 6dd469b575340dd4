// The parser of a template: its statements, and which macro a call means.
#include <fmt/format.h>

#include <algorithm>
#include <unordered_map>
#include <utility>

#include "backend/base/bad_input.h"
#include "frontend/text/template_ast.h"
#include "frontend/text/template_expression.h"

namespace vks::tmpl {

namespace {

class Parser : private ExpressionParser {
public:
    explicit Parser(std::vector<Token> tokens) : ExpressionParser(std::move(tokens)) {}

    Program run() {
        program_.body = block({}, "");
        resolve_macros();
        program_.hidden = scopes_.take_hidden();
        return std::move(program_);
    }

private:
    // Statements.

    // Up to a tag among `ends`, whose name is consumed; with none, up to the end of the template.
    Block block(std::initializer_list<std::string_view> ends, std::string_view of, std::string* end = nullptr) {
        const Nested nested(*this);
        Block block;
        while (!is(Token::kEnd)) {
            const Token& token = take();
            if (token.kind == Token::kBlockBegin && is(Token::kName) &&
                std::find(ends.begin(), ends.end(), current().text) != ends.end()) {
                const std::string name = take().text;
                if (end) *end = name;
                return block;
            }
            block.push_back(statement(token));
        }
        if (ends.size() > 0) fail_here(fmt::format("the end of '{}'", of));
        return block;
    }

    Statement statement(const Token& token) {
        Statement out;
        out.pos = token.pos;
        if (token.kind == Token::kData) {
            out.name = token.text;
        } else if (token.kind == Token::kPrintBegin) {
            out.kind = Statement::kPrint;
            out.expr = expression();
            if (!is(Token::kPrintEnd)) fail_here("'}}'");
            take();
        } else {
            tag(out);
        }
        return out;
    }

    void end_tag() {
        if (!is(Token::kBlockEnd)) fail_here("'%}'");
        take();
    }
    // Jinja2 lets a colon stand before the body, as in Python.
    void end_head() {
        take_operator(":");
        end_tag();
    }

    void tag(Statement& out) {
        const Token& token = current();
        const std::string name = expect_name("the name of a tag");
        if (name == "if") return if_tag(out);
        if (name == "for") return for_tag(out);
        if (name == "set") return set_tag(out);
        if (name == "macro") return macro_tag(out, token.pos);
        if (name == "break" || name == "continue") {
            if (loops_ == 0) fail(token.pos, "a loop around it", spelled(token));
            out.kind = name == "break" ? Statement::kBreak : Statement::kContinue;
            return end_tag();
        }
        fail(token.pos, "a known tag", spelled(token));
    }

    void if_tag(Statement& out) {
        out.kind = Statement::kIf;
        std::string end = "if";
        while (end != "endif") {
            Branch branch;
            if (end != "else") branch.condition = disjunction();
            end_head();
            scopes_.enter_branch();
            branch.body = end == "else" ? block({"endif"}, "if", &end) : block({"elif", "else", "endif"}, "if", &end);
            scopes_.leave_branch();
            out.branches.push_back(std::move(branch));
        }
        end_tag();
    }

    void for_tag(Statement& out) {
        out.kind = Statement::kFor;
        do {
            out.names.push_back(target("a loop's variable"));
        } while (take_operator(","));
        if (!take_name("in")) fail_here("'in'");
        out.expr = disjunction();
        if (take_name("if")) {
            scopes_.enter();
            for (const auto& name : out.names) scopes_.declare(name);
            out.filter = expression();
            scopes_.leave();
        }
        end_head();
        scopes_.enter();
        for (const auto& name : out.names) scopes_.declare(name);
        scopes_.declare("loop");
        ++loops_;
        std::string end;
        out.body = block({"else", "endfor"}, "for", &end);
        --loops_;
        scopes_.leave();
        if (end == "else") {
            end_head();
            scopes_.enter();
            out.otherwise = block({"endfor"}, "for");
            scopes_.leave();
        }
        end_tag();
    }

    void set_tag(Statement& out) {
        const std::size_t pos = current().pos;
        out.kind = Statement::kSet;
        out.names.push_back(target("a variable to set"));
        if (take_operator(".")) {
            out.name = expect_name("an attribute to set");
            check_attribute(out.name, pos);
            scopes_.load(out.names[0]);
        }
        if (take_operator("=")) {
            out.expr = expression();
            if (is_operator(",")) fail_here("a single value");
        } else {
            out.kind = Statement::kSetBlock;
        }
        if (out.kind == Statement::kSetBlock) {
            end_head();
            scopes_.enter();
            out.body = outside_loops({"endset"}, "set");
            scopes_.leave();
        }
        if (out.name.empty() && !scopes_.store(out.names[0])) {
            fail(pos, "a variable that no inner block reads before it is set", quote(out.names[0]));
        }
        end_tag();
    }

    void macro_tag(Statement& out, std::size_t pos) {
        out.kind = Statement::kMacro;
        if (!scopes_.at_root()) fail(pos, "a macro outside of loops, macros and set blocks", "one inside");
        Macro macro;
        macro.name = target("the name of a macro");
        writes_.pop_back();
        if (!macro_index_.emplace(macro.name, program_.macros.size()).second) {
            fail(pos, "each macro once", quote(macro.name) + " again");
        }
        scopes_.enter();
        expect_operator("(");
        while (!take_operator(")")) {
            Macro::Parameter parameter;
            parameter.name = target("a macro's parameter");
            const bool twice = std::any_of(macro.parameters.begin(), macro.parameters.end(),
                                           [&](const auto& other) { return other.name == parameter.name; });
            if (twice) fail_here("each parameter once");
            scopes_.declare(parameter.name);
            if (take_operator("=")) {
                parameter.otherwise = expression();
            } else if (!macro.parameters.empty() && macro.parameters.back().otherwise) {
                fail_here("a default after one with a default");
            }
            macro.parameters.push_back(std::move(parameter));
            if (macro.parameters.size() > kMaxArguments) fail_here(fmt::format("at most {} parameters", kMaxArguments));
            if (!is_operator(")")) expect_operator(",");
        }
        end_head();
        macro.body = outside_loops({"endmacro"}, "macro");
        scopes_.leave();
        end_tag();
        out.macro = program_.macros.size();
        program_.macros.push_back(std::move(macro));
    }

    // A body from which a loop around it can not be left.
    Block outside_loops(std::initializer_list<std::string_view> ends, std::string_view of) {
        const std::size_t loops = std::exchange(loops_, 0);
        Block body = block(ends, of);
        loops_ = loops;
        return body;
    }

    // Macros.

    // A macro may be called before it is seen, from another one; only at the end it is known whether it exists.
    void resolve_macros() {
        for (Expr* expr : macro_calls_) {
            const auto found = macro_index_.find(expr->name);
            if (found == macro_index_.end()) fail(expr->pos, "a known function", quote(expr->name));
            expr->macro = found->second;
            bind_macro(*expr, program_.macros[found->second]);
        }
        for (const auto& [name, pos] : reads_) {
            if (is_macro(name)) fail(pos, "a call of the macro", quote(name) + " as a value");
        }
        for (const auto& [name, pos] : writes_) {
            if (is_macro(name)) fail(pos, "a name other than a macro's", quote(name));
        }
    }

    bool is_macro(const std::string& name) const { return macro_index_.contains(name); }

    static void bind_macro(Expr& expr, const Macro& macro) {
        std::vector<ExprPtr> slots(macro.parameters.size());
        const std::size_t positional = expr.args.size() - expr.names.size();
        if (positional > slots.size()) {
            fail(expr.pos, fmt::format("at most {} arguments for '{}'", slots.size(), macro.name), "more");
        }
        for (std::size_t i = 0; i < expr.args.size(); ++i) {
            std::size_t index = i;
            if (i >= positional) {
                const auto parameter =
                    std::find_if(macro.parameters.begin(), macro.parameters.end(),
                                 [&](const auto& other) { return other.name == expr.names[i - positional]; });
                index = static_cast<std::size_t>(parameter - macro.parameters.begin());
                if (parameter == macro.parameters.end() || slots[index]) {
                    fail(expr.pos, fmt::format("known arguments for '{}'", macro.name),
                         quote(expr.names[i - positional]));
                }
            }
            slots[index] = std::move(expr.args[i]);
        }
        expr.args = std::move(slots);
    }

    std::size_t loops_ = 0;                                     // around what is being parsed
    std::unordered_map<std::string, std::size_t> macro_index_;  // of Program::macros
    Program program_;
};

}  // namespace

Program parse_program(std::string_view source) {
    return Parser(lex(source)).run();
}

}  // namespace vks::tmpl
