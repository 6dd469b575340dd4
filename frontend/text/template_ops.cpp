// Operators on values.
#include "frontend/text/template_ops.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "frontend/text/template_loop.h"
#include "frontend/text/template_strings.h"

namespace vks::tmpl {

namespace {

constexpr std::int64_t kExactInDouble = std::int64_t{1} << 53;

[[noreturn]] void refuse(std::string_view op, const Value& a, const Value& b) {
    throw Failure{fmt::format("wanted values that '{}' takes, found {} and {}", op, type_name(a), type_name(b))};
}

std::string_view symbol(Arithmetic op) {
    static constexpr std::string_view kSymbols[] = {"+", "-", "*", "/", "//", "%"};
    return kSymbols[static_cast<std::size_t>(op)];
}

[[noreturn]] void overflow() {
    throw Failure{"wanted integers of at most 64 bits, found a larger result"};
}

void check_divisor(bool zero) {
    if (zero) throw Failure{"wanted a divisor other than zero, found zero"};
}

Value integers(Arithmetic op, std::int64_t a, std::int64_t b) {
    std::int64_t out = 0;
    bool wide = false;
    switch (op) {
        case Arithmetic::kAdd:
            wide = __builtin_add_overflow(a, b, &out);
            break;
        case Arithmetic::kSubtract:
            wide = __builtin_sub_overflow(a, b, &out);
            break;
        case Arithmetic::kMultiply:
            wide = __builtin_mul_overflow(a, b, &out);
            break;
        case Arithmetic::kDivide:
            check_divisor(b == 0);
            if (a > kExactInDouble || a < -kExactInDouble || b > kExactInDouble || b < -kExactInDouble) overflow();
            return static_cast<double>(a) / static_cast<double>(b);
        case Arithmetic::kFloorDivide:
        case Arithmetic::kModulo: {
            check_divisor(b == 0);
            if (b == -1)
                return integers(op == Arithmetic::kModulo ? Arithmetic::kMultiply : Arithmetic::kSubtract, 0, a);
            std::int64_t quotient = a / b, rest = a % b;
            if (rest != 0 && (rest < 0) != (b < 0)) {
                --quotient;
                rest += b;
            }
            return op == Arithmetic::kModulo ? rest : quotient;
        }
    }
    if (wide) overflow();
    return out;
}

Value reals(Arithmetic op, double a, double b, const Value& left, const Value& right) {
    switch (op) {
        case Arithmetic::kAdd:
            return a + b;
        case Arithmetic::kSubtract:
            return a - b;
        case Arithmetic::kMultiply:
            return a * b;
        case Arithmetic::kDivide:
            check_divisor(b == 0);
            return a / b;
        case Arithmetic::kFloorDivide:
        case Arithmetic::kModulo:
            break;
    }
    refuse(symbol(op), left, right);
}

std::optional<double> as_real(const Value& value) {
    if (const double* real = value.real()) return *real;
    std::int64_t store = 0;
    if (const std::int64_t* number = value.integer(store)) return static_cast<double>(*number);
    return std::nullopt;
}

std::string joined(Work& work, const std::string& a, const std::string& b) {
    if (a.size() + b.size() > kMaxText) {
        throw Failure{fmt::format("wanted a string of at most {} bytes, found more", kMaxText)};
    }
    work.charge(a.size() + b.size());
    return a + b;
}

Value repeated(Work& work, const std::string& text, std::int64_t count) {
    if (count <= 0 || text.empty()) return std::string();
    if (static_cast<std::uint64_t>(count) > kMaxText / text.size()) {
        throw Failure{fmt::format("wanted a string of at most {} bytes, found more", kMaxText)};
    }
    const auto size = text.size() * static_cast<std::size_t>(count);
    work.charge(size);
    // By doubling: a short text many times would be as many calls.
    std::string out = text;
    out.reserve(size);
    while (out.size() < size) out.append(out, 0, std::min(out.size(), size - out.size()));
    return out;
}

Value concatenated(Work& work, const Sequence& a, const Sequence& b) {
    work.charge((a.items.size() + b.items.size()) * sizeof(Value));
    std::vector<Value> items = a.items;
    items.insert(items.end(), b.items.begin(), b.items.end());
    return make_sequence(std::move(items), a.tuple);
}

}  // namespace

Value arithmetic(Work& work, Arithmetic op, const Value& a, const Value& b) {
    std::int64_t a_store = 0, b_store = 0;
    const std::int64_t *a_int = a.integer(a_store), *b_int = b.integer(b_store);
    if (a_int && b_int) return integers(op, *a_int, *b_int);
    if (const auto left = as_real(a), right = as_real(b); left && right) return reals(op, *left, *right, a, b);
    if (op == Arithmetic::kAdd) {
        if (a.text() && b.text()) return joined(work, *a.text(), *b.text());
        if (a.sequence() && b.sequence() && a.sequence()->tuple == b.sequence()->tuple) {
            return concatenated(work, *a.sequence(), *b.sequence());
        }
    }
    if (op == Arithmetic::kMultiply) {
        if (a.text() && b_int) return repeated(work, *a.text(), *b_int);
        if (b.text() && a_int) return repeated(work, *b.text(), *a_int);
    }
    refuse(symbol(op), a, b);
}

Value negate(const Value& value) {
    std::int64_t store = 0;
    if (const std::int64_t* number = value.integer(store)) return integers(Arithmetic::kSubtract, 0, *number);
    if (const double* real = value.real()) return -*real;
    throw Failure{fmt::format("wanted a number after '-', found {}", type_name(value))};
}

Value plus(const Value& value) {
    std::int64_t store = 0;
    if (const std::int64_t* number = value.integer(store)) return *number;
    if (value.real()) return value;
    throw Failure{fmt::format("wanted a number after '+', found {}", type_name(value))};
}

bool contains(Work& work, const Value& container, const Value& item) {
    if (const std::string* text = container.text()) {
        if (!item.text()) refuse("in", item, container);
        work.charge_search(text->size(), item.text()->size());
        return Finder(*item.text()).find(*text, 0) != std::string_view::npos;
    }
    if (const Sequence* sequence = container.sequence()) {
        return std::any_of(sequence->items.begin(), sequence->items.end(),
                           [&](const Value& other) { return equal(work, other, item); });
    }
    if (const Dict* dict = container.dict()) {
        if (item.dict() || item.sequence()) refuse("in", item, container);  // most are unhashable
        return item.text() && dict->find(work, *item.text());
    }
    if (container.is_undefined()) return false;
    refuse("in", item, container);
}

namespace {

constexpr std::string_view kDictMethods[] = {"clear", "copy",    "fromkeys",   "get",    "items", "keys",
                                             "pop",   "popitem", "setdefault", "update", "values"};
constexpr std::string_view kListMethods[] = {"append", "clear", "copy",   "count",   "extend", "index",
                                             "insert", "pop",   "remove", "reverse", "sort"};
constexpr std::string_view kNumberMethods[] = {
    "as_integer_ratio", "bit_count", "bit_length", "conjugate",  "denominator", "from_bytes", "from_number",
    "fromhex",          "hex",       "imag",       "is_integer", "numerator",   "real",       "to_bytes"};
constexpr std::string_view kTupleMethods[] = {"count", "index"};
constexpr std::string_view kTextMethods[] = {
    "capitalize",   "casefold",   "center",    "count",       "encode",    "endswith",     "expandtabs",   "find",
    "format",       "format_map", "index",     "isalnum",     "isalpha",   "isascii",      "isdecimal",    "isdigit",
    "isidentifier", "islower",    "isnumeric", "isprintable", "isspace",   "istitle",      "isupper",      "join",
    "ljust",        "lower",      "lstrip",    "maketrans",   "partition", "removeprefix", "removesuffix", "replace",
    "rfind",        "rindex",     "rjust",     "rpartition",  "rsplit",    "rstrip",       "split",        "splitlines",
    "startswith",   "strip",      "swapcase",  "title",       "translate", "upper",        "zfill"};

// Refuses what Python's own attributes of the type would give: those are methods, or hidden by the sandbox.
void refuse_native(const Value& object, std::string_view name) {
    auto among = [&](const auto& names) {
        return std::find(std::begin(names), std::end(names), name) != std::end(names);
    };
    std::int64_t store = 0;
    bool native = name.substr(0, 2) == "__";
    if (object.text()) native = native || among(kTextMethods);
    if (object.dict()) native = native || among(kDictMethods);
    if (const Sequence* sequence = object.sequence()) {
        native = native || (sequence->tuple ? among(kTupleMethods) : among(kListMethods));
    }
    if (object.integer(store) || object.real()) native = native || among(kNumberMethods);
    if (object.iterable()) native = true;
    if (native) {
        throw Failure{
            fmt::format("wanted a field or a called method, found attribute '{}' of {}", name, type_name(object))};
    }
}

// The position that an index or a slice's bound names; nothing when it is no integer.
std::optional<std::int64_t> as_index(const Value& value) {
    std::int64_t store = 0;
    const std::int64_t* number = value.integer(store);
    return number ? std::optional<std::int64_t>(*number) : std::nullopt;
}

Value item_at(Work& work, const Value& object, std::int64_t index) {
    if (const Sequence* sequence = object.sequence()) {
        const auto size = static_cast<std::int64_t>(sequence->items.size());
        if (index < -size || index >= size) return Undefined{};
        return sequence->items[static_cast<std::size_t>(index < 0 ? index + size : index)];
    }
    const std::string& text = *object.text();
    work.charge(text.size());
    const auto size = static_cast<std::int64_t>(text_length(text));
    if (index < -size || index >= size) return Undefined{};
    const std::size_t at = byte_offset(text, static_cast<std::size_t>(index < 0 ? index + size : index));
    return text.substr(at, code_point(text, at).bytes);
}

}  // namespace

Value attribute(Work& work, const Value& object, std::string_view name) {
    if (object.is_undefined()) throw Failure{fmt::format("wanted an object with '{}', found undefined", name)};
    if (Loop* loop = object.loop()) return loop->attribute(name);
    if (const Namespace* space = object.name_space()) {
        const auto found = space->attributes.find(name);
        return found == space->attributes.end() ? Value() : found->second;
    }
    refuse_native(object, name);
    if (const Dict* dict = object.dict()) {
        const Value* found = dict->find(work, name);
        return found ? *found : Value();
    }
    return Undefined{};
}

Value subscript(Work& work, const Value& object, const Value& key) {
    if (object.is_undefined()) throw Failure{"wanted an object to index, found undefined"};
    if (const std::string* name = key.text()) {
        if (const Dict* dict = object.dict()) {
            if (const Value* found = dict->find(work, *name)) return *found;
        }
        return attribute(work, object, *name);
    }
    const auto index = as_index(key);
    if (object.iterable()) throw Failure{"wanted an object to index, found iterable"};
    if (index && (object.sequence() || object.text())) return item_at(work, object, *index);
    return Undefined{};
}

namespace {

struct Range {
    std::int64_t start, stop, step;
};

// Python's adjustment of a slice to a length (PySlice_AdjustIndices), with all bounds inside the sequence.
Range adjusted(const Value& start, const Value& stop, const Value& step, std::int64_t size) {
    auto bound = [&](const Value& value, std::int64_t otherwise) {
        if (value.is_none()) return otherwise;
        const auto index = as_index(value);
        if (!index) throw Failure{fmt::format("wanted integers in a slice, found {}", type_name(value))};
        return *index;
    };
    const std::int64_t by = std::max(bound(step, 1), -INT64_MAX);
    if (by == 0) throw Failure{"wanted a slice step other than zero, found zero"};
    const std::int64_t low = by < 0 ? -1 : 0, high = by < 0 ? size - 1 : size;
    auto inside = [&](std::int64_t at) { return std::clamp(at < 0 ? std::max(at, -size - 1) + size : at, low, high); };
    const std::int64_t from = start.is_none() ? (by < 0 ? high : low) : inside(bound(start, 0));
    const std::int64_t to = stop.is_none() ? (by < 0 ? low : high) : inside(bound(stop, 0));
    return {from, to, by};
}

template <class Visit>
void visit_range(const Range& range, const Visit& visit) {
    for (std::int64_t at = range.start; range.step > 0 ? at < range.stop : at > range.stop;) {
        visit(static_cast<std::size_t>(at));
        if (__builtin_add_overflow(at, range.step, &at)) return;
    }
}

}  // namespace

Value slice(Work& work, const Value& object, const Value& start, const Value& stop, const Value& step) {
    if (const Sequence* sequence = object.sequence()) {
        work.charge(sequence->items.size() * sizeof(Value));
        std::vector<Value> items;
        visit_range(adjusted(start, stop, step, static_cast<std::int64_t>(sequence->items.size())),
                    [&](std::size_t at) { items.push_back(sequence->items[at]); });
        return make_sequence(std::move(items), sequence->tuple);
    }
    const std::string* text = object.text();
    if (!text) throw Failure{fmt::format("wanted a string or a list to slice, found {}", type_name(object))};
    work.charge(text->size());
    const Range range = adjusted(start, stop, step, static_cast<std::int64_t>(text_length(*text)));
    if (range.step == 1) {
        if (range.start >= range.stop) return std::string();
        const std::size_t from = byte_offset(*text, static_cast<std::size_t>(range.start));
        const std::string_view rest = std::string_view(*text).substr(from);
        return std::string(rest.substr(0, byte_offset(rest, static_cast<std::size_t>(range.stop - range.start))));
    }
    work.charge(text->size() * sizeof(std::size_t));
    std::vector<std::size_t> starts;
    for (std::size_t at = 0; at < text->size(); at += code_point(*text, at).bytes) starts.push_back(at);
    std::string out;
    visit_range(range, [&](std::size_t at) { out.append(*text, starts[at], code_point(*text, starts[at]).bytes); });
    return out;
}

std::shared_ptr<const std::vector<Value>> iterate(Work& work, const Value& value) {
    using Items = std::vector<Value>;
    if (const auto* held = std::get_if<std::shared_ptr<const Sequence>>(&value.data())) {
        return std::shared_ptr<const Items>(*held, &(*held)->items);
    }
    if (const auto* held = std::get_if<std::shared_ptr<const Iterable>>(&value.data())) {
        if ((*held)->once && (*held)->used) throw Failure{"wanted an iterable that is used once, found it used again"};
        (*held)->used = true;
        return std::shared_ptr<const Items>(*held, &(*held)->items);
    }
    auto items = std::make_shared<Items>();
    if (const std::string* text = value.text()) {
        for (std::size_t at = 0; at < text->size();) {
            const std::size_t bytes = code_point(*text, at).bytes;
            work.charge(4 * sizeof(Value));
            items->emplace_back(text->substr(at, bytes));
            at += bytes;
        }
    } else if (const Dict* dict = value.dict()) {
        work.charge(dict->entries.size() * sizeof(Value));
        for (const auto& entry : dict->entries) items->emplace_back(entry.first);
    } else if (!value.is_undefined()) {
        throw Failure{fmt::format("wanted something to loop over, found {}", type_name(value))};
    }
    return items;
}

std::int64_t length(Work& work, const Value& value) {
    if (const std::string* text = value.text()) {
        work.charge(text->size());
        return static_cast<std::int64_t>(text_length(*text));
    }
    if (const Sequence* sequence = value.sequence()) return static_cast<std::int64_t>(sequence->items.size());
    if (const Dict* dict = value.dict()) return static_cast<std::int64_t>(dict->entries.size());
    if (const Iterable* iterable = value.iterable(); iterable && !iterable->once) {
        return static_cast<std::int64_t>(iterable->items.size());
    }
    if (value.is_undefined()) return 0;
    throw Failure{fmt::format("wanted something with a length, found {}", type_name(value))};
}

}  // namespace vks::tmpl
