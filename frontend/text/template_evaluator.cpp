// The evaluator: statements write to the output, expressions give values, scopes are frames linked to their outer ones.
#include "frontend/text/template_evaluator.h"

#include <fmt/format.h>

#include <string_view>
#include <utility>

#include "backend/base/bad_input.h"
#include "frontend/text/template_loop.h"

namespace vks::tmpl {

namespace {

constexpr std::size_t kMaxSteps = 2'000'000;   // statements and expressions evaluated in one rendering
constexpr std::size_t kMaxEvaluations = 1000;  // of them inside each other; macros may call themselves
constexpr std::size_t kVariable = 64;          // bytes charged for making one,
constexpr std::size_t kLookup = 8;             // and for looking for one in a frame

struct Frame {
    const Frame* outer = nullptr;
    std::unordered_map<std::string_view, Value> variables = {};  // keys belong to the program
};

enum class Flow { kOn, kBreak, kContinue };

class Evaluator {
public:
    Evaluator(const Program& program, const Variables& variables)
        : program_(program), variables_(variables), defined_(program.macros.size(), false) {
        for (const auto& name : program.hidden) root_.variables.emplace(name, Undefined{});
    }

    std::string run() {
        try {
            run(program_.body, root_);
        } catch (Failure& failure) {
            if (failure.pos == Failure::kNowhere) failure.pos = at_;
            throw;
        }
        return std::move(out_);
    }

private:
    // Counts a step and a level, and remembers where it is.
    class Step {
    public:
        Step(Evaluator& evaluator, std::size_t pos) : evaluator_(evaluator) {
            evaluator.at_ = pos;
            if (++evaluator.steps_ > kMaxSteps) {
                throw Failure{fmt::format("wanted at most {} steps of rendering, found more", kMaxSteps)};
            }
            if (++evaluator.depth_ > kMaxEvaluations) {
                throw Failure{fmt::format("wanted evaluations at most {} deep, found more", kMaxEvaluations)};
            }
        }
        ~Step() { --evaluator_.depth_; }
        Step(const Step&) = delete;
        Step& operator=(const Step&) = delete;

    private:
        Evaluator& evaluator_;
    };

    // Statements.

    Flow run(const Block& block, Frame& frame) {
        for (const Statement& statement : block) {
            const Step step(*this, statement.pos);
            if (const Flow flow = run(statement, frame); flow != Flow::kOn) return flow;
        }
        return Flow::kOn;
    }

    Flow run(const Statement& statement, Frame& frame) {
        switch (statement.kind) {
            case Statement::kData:
                put(statement.name);
                break;
            case Statement::kPrint:
                print(*statement.expr, frame);
                break;
            case Statement::kIf:
                for (const Branch& branch : statement.branches) {
                    if (branch.condition && !truthy(value(*branch.condition, frame))) continue;
                    return run(branch.body, frame);
                }
                break;
            case Statement::kFor:
                return run_loop(statement, frame);
            case Statement::kSet:
                assign(statement, value(*statement.expr, frame), frame);
                break;
            case Statement::kSetBlock:
                assign(statement, captured(statement.body, Frame{&frame}), frame);
                break;
            case Statement::kMacro:
                defined_[statement.macro] = true;
                break;
            case Statement::kBreak:
                return Flow::kBreak;
            case Statement::kContinue:
                return Flow::kContinue;
        }
        return Flow::kOn;
    }

    void put(std::string_view text) {
        work_.charge(text.size());
        if (text.size() > kMaxText - out_.size()) {
            throw Failure{fmt::format("wanted an output of at most {} bytes, found more", kMaxText)};
        }
        out_ += text;
    }

    void print(const Expr& expr, Frame& frame) {
        const Value printed = value(expr, frame);
        at_ = expr.pos;
        if (const std::string* text = printed.text()) return put(*text);
        put(to_text(work_, printed));
    }

    std::string captured(const Block& body, Frame frame) {
        std::string outer = std::exchange(out_, std::string());
        run(body, frame);
        return std::exchange(out_, std::move(outer));
    }

    void assign(const Statement& statement, Value value, Frame& frame) {
        at_ = statement.pos;
        const std::string& name = statement.names[0];
        if (statement.name.empty()) {
            frame.variables.insert_or_assign(name, std::move(value));
            return;
        }
        const Value target = lookup(name, frame);
        Namespace* space = target.name_space();
        if (!space) throw Failure{fmt::format("wanted a namespace in {}, found {}", quote(name), type_name(target))};
        check_item(value);
        space->attributes.insert_or_assign(statement.name, std::move(value));
    }

    void bind(const std::vector<std::string>& names, const Value& item, Frame& frame) {
        work_.charge(names.size() * kVariable);
        if (names.size() == 1) {
            frame.variables.insert_or_assign(names[0], item);
            return;
        }
        const auto items = iterate(work_, item);
        if (items->size() != names.size()) {
            throw Failure{fmt::format("wanted {} values to unpack, found {}", names.size(), items->size())};
        }
        for (std::size_t i = 0; i < names.size(); ++i) frame.variables.insert_or_assign(names[i], (*items)[i]);
    }

    std::optional<Value> filtered(const Statement& statement, const Value& item, const Frame& frame) {
        Frame inner{&frame};
        bind(statement.names, item, inner);
        if (!truthy(value(*statement.filter, inner))) return std::nullopt;
        if (statement.names.size() == 1) return item;
        // Jinja2 filters with a generator of the unpacked values, so loop.previtem and nextitem are tuples.
        std::vector<Value> unpacked;
        for (const auto& name : statement.names) unpacked.push_back(lookup(name, inner));
        return make_sequence(std::move(unpacked), true);
    }

    Flow run_loop(const Statement& statement, Frame& frame) {
        const Value over = value(*statement.expr, frame);
        at_ = statement.expr->pos;
        Loop::Filter filter;
        if (statement.filter) {
            filter = [&](const Value& item) { return filtered(statement, item, frame); };
        }
        Loop loop(iterate(work_, over), std::move(filter));
        // As in Jinja2, a round that ends with break or continue does not keep the else away.
        bool finished_one = false;
        while (loop.next()) {
            const Step step(*this, statement.pos);
            Frame inner{&frame};
            bind(statement.names, loop.current(), inner);
            inner.variables.insert_or_assign("loop", &loop);
            const Flow flow = run(statement.body, inner);
            if (flow == Flow::kBreak) break;
            if (flow == Flow::kOn) finished_one = true;
        }
        if (finished_one) return Flow::kOn;
        Frame inner{&frame};
        return run(statement.otherwise, inner);
    }

    // Expressions.

    Value lookup(const std::string& name, const Frame& frame) {
        for (const Frame* scope = &frame; scope; scope = scope->outer) {
            work_.charge(kLookup + name.size());
            const auto found = scope->variables.find(name);
            if (found != scope->variables.end()) return found->second;
        }
        const auto found = variables_.find(name);
        return found == variables_.end() ? Value() : found->second;
    }

    Value value(const Expr& expr, Frame& frame) {
        const Step step(*this, expr.pos);
        switch (expr.kind) {
            case Expr::kConstant:
                return expr.value;
            case Expr::kName:
                return lookup(expr.name, frame);
            case Expr::kBuiltin:
                return call_builtin(expr, frame);
            case Expr::kMacro:
                return call_macro(expr, frame);
            case Expr::kNot:
                return !truthy(value(*expr.args[0], frame));
            case Expr::kAnd:
            case Expr::kOr: {
                Value left = value(*expr.args[0], frame);
                return truthy(left) == (expr.kind == Expr::kOr) ? left : value(*expr.args[1], frame);
            }
            case Expr::kCondition:
                if (truthy(value(*expr.args[0], frame))) return value(*expr.args[1], frame);
                return expr.args[2] ? value(*expr.args[2], frame) : Value();
            case Expr::kCompare:
                return compare(expr, frame);
            case Expr::kNamespace:
                return new_namespace(expr, frame);
            case Expr::kConcat:
                return concatenate(expr, frame);
            default:
                return combine(expr, values(expr, frame));
        }
    }

    // The values of all operands; None for an absent bound of a slice.
    std::vector<Value> values(const Expr& expr, Frame& frame) {
        std::vector<Value> out;
        out.reserve(expr.args.size());
        for (const ExprPtr& arg : expr.args) out.push_back(arg ? value(*arg, frame) : None{});
        at_ = expr.pos;
        return out;
    }

    // The operations that need the values of their operands only.
    Value combine(const Expr& expr, std::vector<Value> values) {
        switch (expr.kind) {
            case Expr::kList:
            case Expr::kTuple:
                work_.charge(values.size() * sizeof(Value));
                return make_sequence(std::move(values), expr.kind == Expr::kTuple);
            case Expr::kDict:
                return new_dict(std::move(values));
            case Expr::kAttribute:
                return attribute(work_, values[0], expr.name);
            case Expr::kSubscript:
                return subscript(work_, values[0], values[1]);
            case Expr::kSlice:
                return slice(work_, values[0], values[1], values[2], values[3]);
            case Expr::kNegate:
                return negate(values[0]);
            case Expr::kPlus:
                return plus(values[0]);
            case Expr::kArithmetic:
                return arithmetic(work_, expr.arithmetic, values[0], values[1]);
            default:
                CHECK(false, "expression of kind {}", static_cast<int>(expr.kind));
                return Undefined{};
        }
    }

    Value new_dict(std::vector<Value> values) {
        std::vector<std::pair<Text, Value>> entries;
        for (std::size_t i = 0; i + 1 < values.size(); i += 2) {
            const auto* key = std::get_if<Text>(&values[i].data());
            if (!key) throw Failure{fmt::format("wanted a string as a key, found {}", type_name(values[i]))};
            entries.emplace_back(*key, std::move(values[i + 1]));
        }
        return make_dict(work_, std::move(entries));
    }

    Value new_namespace(const Expr& expr, Frame& frame) {
        auto space = std::make_shared<Namespace>();
        std::vector<Value> attributes = values(expr, frame);
        for (std::size_t i = 0; i < attributes.size(); ++i) {
            check_item(attributes[i]);
            space->attributes.insert_or_assign(expr.names[i], std::move(attributes[i]));
        }
        return space;
    }

    Value concatenate(const Expr& expr, Frame& frame) {
        std::string out;
        for (const Value& part : values(expr, frame)) {
            out += to_text(work_, part);
            if (out.size() > kMaxText) {
                throw Failure{fmt::format("wanted a string of at most {} bytes, found more", kMaxText)};
            }
        }
        return out;
    }

    bool holds(Comparison comparison, const Value& a, const Value& b) {
        switch (comparison) {
            case Comparison::kEqual:
                return equal(work_, a, b);
            case Comparison::kUnequal:
                return !equal(work_, a, b);
            case Comparison::kLess:
                return less(work_, a, b);
            case Comparison::kGreater:
                return less(work_, b, a);
            case Comparison::kLessEqual:
                return less(work_, a, b) || equal(work_, a, b);
            case Comparison::kGreaterEqual:
                return less(work_, b, a) || equal(work_, a, b);
            case Comparison::kIn:
                return contains(work_, b, a);
            case Comparison::kNotIn:
                return !contains(work_, b, a);
        }
        return false;
    }

    // a < b < c is true if each comparison is; what follows a false one is not evaluated.
    Value compare(const Expr& expr, Frame& frame) {
        Value left = value(*expr.args[0], frame);
        for (std::size_t i = 0; i < expr.comparisons.size(); ++i) {
            Value right = value(*expr.args[i + 1], frame);
            at_ = expr.pos;
            if (!holds(expr.comparisons[i], left, right)) return false;
            left = std::move(right);
        }
        return true;
    }

    Value call_builtin(const Expr& expr, Frame& frame) {
        const Value subject = expr.args[0] ? value(*expr.args[0], frame) : Value();
        Arguments arguments(expr.args.size() - 1);
        for (std::size_t i = 0; i < arguments.size(); ++i) {
            if (expr.args[i + 1]) arguments[i] = value(*expr.args[i + 1], frame);
        }
        at_ = expr.pos;
        return expr.builtin->call(work_, subject, arguments);
    }

    Value call_macro(const Expr& expr, Frame& frame) {
        if (!defined_[expr.macro])
            throw Failure{fmt::format("wanted a defined macro, found {} earlier", quote(expr.name))};
        const Macro& macro = program_.macros[expr.macro];
        work_.charge(macro.parameters.size() * kVariable);
        Frame inner{&root_};
        for (std::size_t i = 0; i < macro.parameters.size(); ++i) {
            Value argument = expr.args[i] ? value(*expr.args[i], frame) : Value();
            inner.variables.insert_or_assign(macro.parameters[i].name, std::move(argument));
        }
        for (std::size_t i = 0; i < macro.parameters.size(); ++i) {
            const Macro::Parameter& parameter = macro.parameters[i];
            if (!expr.args[i] && parameter.otherwise) {
                inner.variables.insert_or_assign(parameter.name, value(*parameter.otherwise, inner));
            }
        }
        return captured(macro.body, std::move(inner));
    }

    const Program& program_;
    const Variables& variables_;
    Work work_;
    Frame root_;
    std::vector<bool> defined_;  // [macros]
    std::string out_;
    std::size_t steps_ = 0, depth_ = 0;
    std::size_t at_ = 0;  // byte offset in the template, for failures
};

}  // namespace

std::string evaluate(const Program& program, const Variables& variables) {
    return Evaluator(program, variables).run();
}

}  // namespace vks::tmpl
