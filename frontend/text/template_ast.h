// The tree of a parsed chat template. Built by parse_program, walked by the evaluator, never changed in between.
// Internal to the template interpreter.
#pragma once
#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "frontend/text/template_builtins.h"
#include "frontend/text/template_ops.h"
#include "frontend/text/template_value.h"

namespace vks::tmpl {

inline constexpr std::size_t kMaxSource = std::size_t{1} << 20;  // bytes of a template
inline constexpr std::size_t kMaxNesting = 200;                  // blocks and expressions inside each other
inline constexpr std::size_t kMaxNames = 4096;                   // of variables
inline constexpr std::size_t kMaxArguments = 255;                // of a call or a macro

struct Expr;
using ExprPtr = std::unique_ptr<Expr>;

enum class Comparison { kEqual, kUnequal, kLess, kLessEqual, kGreater, kGreaterEqual, kIn, kNotIn };

struct Expr {
    enum Kind {
        kConstant,   // value
        kName,       // name
        kList,       // args
        kTuple,      // args
        kDict,       // args: key, value, key, value, ...
        kAttribute,  // args[0].name
        kSubscript,  // args[0][args[1]]
        kSlice,      // args[0][args[1]:args[2]:args[3]], the bounds may be null
        kBuiltin,    // builtin: args[0] its subject (null for a function), then one per parameter, null if not given
        kMacro,      // macro: one argument per parameter, null if not given
        kNamespace,  // namespace(names[i]=args[i])
        kNot,        // args[0], as the next two
        kNegate,
        kPlus,
        kArithmetic,  // args[0] arithmetic args[1]
        kCompare,     // args[0] comparisons[0] args[1] comparisons[1] args[2] ...
        kAnd,         // args[0], args[1]
        kOr,
        kConcat,     // args
        kCondition,  // args[1] if args[0] else args[2], which may be null
    };
    Kind kind = kConstant;
    std::size_t pos = 0;    // byte offset in the source
    std::size_t depth = 1;  // of this tree, at most kMaxNesting
    std::string name;
    Value value;
    std::vector<ExprPtr> args;
    std::vector<std::string> names;
    std::vector<Comparison> comparisons;
    Arithmetic arithmetic = Arithmetic::kAdd;
    const Builtin* builtin = nullptr;
    std::size_t macro = 0;  // in Program::macros
};

struct Statement;
using Block = std::vector<Statement>;

struct Branch {
    ExprPtr condition;  // null: else
    Block body;
};

struct Statement {
    enum Kind {
        kData,      // name: text to put out
        kPrint,     // expr
        kIf,        // branches
        kFor,       // for names in expr if filter: body, else otherwise
        kSet,       // names[0] = expr, or attribute `name` of names[0]
        kSetBlock,  // the same with the output of body
        kMacro,     // from here on `macro` can be called
        kBreak,
        kContinue,
    };
    Kind kind = kData;
    std::size_t pos = 0;
    std::string name;
    std::vector<std::string> names;
    ExprPtr expr, filter;
    std::vector<Branch> branches;
    Block body, otherwise;
    std::size_t macro = 0;
};

struct Macro {
    struct Parameter {
        std::string name;
        ExprPtr otherwise;  // may be null
    };
    std::string name;
    std::vector<Parameter> parameters;
    Block body;
};

struct Program {
    Block body;
    std::vector<Macro> macros;
    std::vector<std::string> hidden;  // see ScopeTracker
};

// Parses normalized(), well-formed UTF-8. Throws Failure for a mistake and for every construct that is not known.
Program parse_program(std::string_view source);

}  // namespace vks::tmpl
