// Filters, tests, methods and functions, each with the meaning it has in Jinja2 as Transformers sets it up.
#include "frontend/text/template_builtins.h"

#include <fmt/format.h>

#include <algorithm>

#include "backend/base/bad_input.h"
#include "frontend/text/template_ops.h"
#include "frontend/text/template_strings.h"

namespace vks::tmpl {

namespace {

constexpr std::int64_t kMaxRange = 100000;   // as in Jinja2's sandbox
constexpr std::int64_t kMaxParts = 1 << 20;  // of a string split
constexpr std::size_t kMaxIndent = 1000;

Value new_text(std::string_view text) {
    return std::string(text);
}

Value value_of(const std::optional<Value>& argument, const Value& otherwise) {
    return argument ? *argument : otherwise;
}

void check_text(const std::string& text) {
    if (text.size() > kMaxText) throw Failure{fmt::format("wanted a string of at most {} bytes, found more", kMaxText)};
}

const std::string& text_of(const Value& value, std::string_view what) {
    const std::string* text = value.text();
    if (!text) throw Failure{fmt::format("wanted a string {}, found {}", what, type_name(value))};
    return *text;
}

std::int64_t integer_of(const Value& value, std::string_view what) {
    std::int64_t store = 0;
    const std::int64_t* number = value.integer(store);
    if (!number) throw Failure{fmt::format("wanted an integer {}, found {}", what, type_name(value))};
    return *number;
}

const Dict& dict_of(const Value& value, std::string_view method) {
    const Dict* dict = value.dict();
    if (!dict) throw Failure{fmt::format("wanted a dict with {}(), found {}", method, type_name(value))};
    return *dict;
}

// str.strip's argument: absent or None means white space.
Value stripped(Work& work, const std::string& text, const std::optional<Value>& chars, bool left, bool right) {
    work.charge(text.size());
    if (!chars || chars->is_none()) return new_text(strip(text, std::nullopt, left, right));
    const std::string& set = text_of(*chars, "of characters to strip");
    work.charge(16 * set.size());  // sorted
    return new_text(strip(text, set, left, right));
}

// Case mapping beyond ASCII depends on the Unicode version and on context, so it is refused.
Value mapped_case(Work& work, std::string text, char first, char last, int shift) {
    work.charge(text.size());
    for (char& c : text) {
        if (static_cast<unsigned char>(c) >= 0x80)
            throw Failure{"wanted ASCII to change the case of, found other text"};
        if (c >= first && c <= last) c = static_cast<char>(c + shift);
    }
    return text;
}

Value upper(Work& work, std::string text) {
    return mapped_case(work, std::move(text), 'a', 'z', 'A' - 'a');
}
Value lower(Work& work, std::string text) {
    return mapped_case(work, std::move(text), 'A', 'Z', 'a' - 'A');
}

Value replaced(Work& work, const std::string& text, const std::string& from, const std::string& to,
               std::int64_t limit) {
    if (from.empty()) throw Failure{"wanted text to replace, found an empty string"};
    work.charge_search(text.size(), from.size());
    const Finder finder(from);
    std::string out;
    std::size_t begin = 0;
    for (std::size_t at = 0; limit != 0 && (at = finder.find(text, begin)) != std::string::npos; --limit) {
        out.append(text, begin, at - begin).append(to);
        begin = at + from.size();
        check_text(out);
    }
    out.append(text, begin);
    check_text(out);
    work.charge(out.size());
    return out;
}

Value all_joined(Work& work, const std::vector<Value>& items, const std::string& separator, bool convert) {
    work.charge(items.size() * sizeof(Value));
    std::string out;
    for (std::size_t i = 0; i < items.size(); ++i) {
        if (i > 0) out += separator;
        out += convert ? to_text(work, items[i]) : text_of(items[i], "to join");
        check_text(out);
    }
    work.charge(out.size());
    return out;
}

std::vector<Value> pairs(Work& work, const Dict& dict) {
    work.charge(dict.entries.size() * 4 * sizeof(Value));
    std::vector<Value> items;
    for (const auto& [key, value] : dict.entries) items.push_back(make_sequence({Value(key), value}, true));
    return items;
}

Value new_iterable(std::vector<Value> items, bool once) {
    auto iterable = std::make_shared<Iterable>();
    iterable->items = std::move(items);
    iterable->once = once;
    return Value(std::shared_ptr<const Iterable>(std::move(iterable)));
}

// Filters.

Value tojson(Work& work, const Value& subject, const Arguments& arguments) {
    JsonStyle style;
    style.ascii = truthy(value_of(arguments[0], false));
    const Value indent = value_of(arguments[1], None{});
    if (!indent.is_none()) {
        style.indented = true;
        style.item_separator = ",";
        const std::string* text = indent.text();
        const std::int64_t spaces = text ? 0 : std::max<std::int64_t>(0, integer_of(indent, "of spaces to indent"));
        style.indent = text ? *text : std::string(static_cast<std::size_t>(std::min<std::int64_t>(spaces, 2000)), ' ');
        if (style.indent.size() > kMaxIndent) throw Failure{"wanted a short indent for tojson, found a long one"};
    }
    if (const Value separators = value_of(arguments[2], None{}); !separators.is_none()) {
        const Sequence* both = separators.sequence();
        if (!both || both->items.size() != 2) throw Failure{"wanted two separators for tojson, found another value"};
        style.item_separator = text_of(both->items[0], "as a separator");
        style.key_separator = text_of(both->items[1], "as a separator");
    }
    style.sort_keys = truthy(value_of(arguments[3], false));
    return to_json(work, subject, style);
}

Value first(Work& work, const Value& subject, const Arguments&) {
    const auto items = iterate(work, subject);
    return items->empty() ? Value() : items->front();
}

Value last(Work& work, const Value& subject, const Arguments&) {
    if (subject.iterable() && subject.iterable()->once)
        throw Failure{"wanted a sequence with a last item, found iterable"};
    const auto items = iterate(work, subject);
    return items->empty() ? Value() : items->back();
}

Value to_list(Work& work, const Value& subject, const Arguments&) {
    const auto items = iterate(work, subject);
    work.charge(items->size() * sizeof(Value));
    return make_sequence(*items, false);
}

Value items_filter(Work& work, const Value& subject, const Arguments&) {
    if (subject.is_undefined()) return new_iterable({}, true);
    return new_iterable(pairs(work, dict_of(subject, "items")), true);
}

Value default_filter(Work&, const Value& subject, const Arguments& arguments) {
    const bool falsy = truthy(value_of(arguments[1], false)) && !truthy(subject);
    if (!subject.is_undefined() && !falsy) return subject;
    return value_of(arguments[0], std::string());
}

Value join_filter(Work& work, const Value& subject, const Arguments& arguments) {
    const std::string separator = arguments[0] ? to_text(work, *arguments[0]) : "";
    return all_joined(work, *iterate(work, subject), separator, true);
}

Value replace_filter(Work& work, const Value& subject, const Arguments& arguments) {
    const Value limit = value_of(arguments[2], None{});
    return replaced(work, to_text(work, subject), to_text(work, *arguments[0]), to_text(work, *arguments[1]),
                    limit.is_none() ? -1 : integer_of(limit, "of replacements"));
}

Value trim(Work& work, const Value& subject, const Arguments& arguments) {
    return stripped(work, to_text(work, subject), arguments[0], true, true);
}
Value length_filter(Work& work, const Value& subject, const Arguments&) {
    return length(work, subject);
}
Value string_filter(Work& work, const Value& subject, const Arguments&) {
    return to_text(work, subject);
}
Value upper_filter(Work& work, const Value& subject, const Arguments&) {
    return upper(work, to_text(work, subject));
}
Value lower_filter(Work& work, const Value& subject, const Arguments&) {
    return lower(work, to_text(work, subject));
}

// Tests.

bool is_integer(const Value& value) {
    return std::holds_alternative<std::int64_t>(value.data());
}
Value defined(Work&, const Value& subject, const Arguments&) {
    return !subject.is_undefined();
}
Value undefined(Work&, const Value& subject, const Arguments&) {
    return subject.is_undefined();
}
Value none(Work&, const Value& subject, const Arguments&) {
    return subject.is_none();
}
Value string(Work&, const Value& subject, const Arguments&) {
    return subject.text() != nullptr;
}
Value mapping(Work&, const Value& subject, const Arguments&) {
    return subject.dict() != nullptr;
}
Value boolean(Work&, const Value& subject, const Arguments&) {
    return subject.boolean() != nullptr;
}
Value integer(Work&, const Value& subject, const Arguments&) {
    return is_integer(subject);
}
Value real(Work&, const Value& subject, const Arguments&) {
    return subject.real() != nullptr;
}
Value number(Work&, const Value& subject, const Arguments&) {
    return is_integer(subject) || subject.boolean() || subject.real();
}
Value is_true(Work&, const Value& subject, const Arguments&) {
    return subject.boolean() && *subject.boolean();
}
Value is_false(Work&, const Value& subject, const Arguments&) {
    return subject.boolean() && !*subject.boolean();
}
Value iterable(Work&, const Value& subject, const Arguments&) {
    return subject.is_undefined() || subject.text() || subject.sequence() || subject.dict() || subject.iterable() ||
           subject.loop();
}
Value sequence(Work&, const Value& subject, const Arguments&) {
    if (subject.iterable()) throw Failure{"wanted a plain value to test, found iterable"};
    return subject.is_undefined() || subject.text() || subject.sequence() || subject.dict();
}
Value equal_test(Work& work, const Value& subject, const Arguments& arguments) {
    return equal(work, subject, *arguments[0]);
}
Value unequal_test(Work& work, const Value& subject, const Arguments& arguments) {
    return !equal(work, subject, *arguments[0]);
}
Value in_test(Work& work, const Value& subject, const Arguments& arguments) {
    return contains(work, *arguments[0], subject);
}
Value divisible(Work& work, const Value& subject, const Arguments& arguments) {
    return equal(work, arithmetic(work, Arithmetic::kModulo, subject, *arguments[0]), std::int64_t{0});
}
Value odd(Work& work, const Value& subject, const Arguments&) {
    return equal(work, arithmetic(work, Arithmetic::kModulo, subject, std::int64_t{2}), std::int64_t{1});
}
Value even(Work& work, const Value& subject, const Arguments&) {
    return equal(work, arithmetic(work, Arithmetic::kModulo, subject, std::int64_t{2}), std::int64_t{0});
}

// Methods.

Value split_with(Work& work, const Value& subject, const Arguments& arguments, bool right) {
    const std::string& text = text_of(subject, right ? "with rsplit()" : "with split()");
    std::int64_t limit = arguments[1] ? integer_of(*arguments[1], "of cuts") : -1;
    std::optional<std::string_view> separator;
    if (arguments[0] && !arguments[0]->is_none()) separator = text_of(*arguments[0], "to split at");
    if (separator && separator->empty()) throw Failure{"wanted text to split at, found an empty string"};
    if (right && !separator && limit >= 0) throw Failure{"wanted a separator for rsplit() with a limit, found none"};
    if (limit < 0 || limit > kMaxParts) limit = kMaxParts;
    work.charge_search(text.size(), separator ? separator->size() : 0);
    const auto parts = right && separator ? split_from_right(text, *separator, limit) : split(text, separator, limit);
    if (static_cast<std::int64_t>(parts.size()) > kMaxParts)
        throw Failure{"wanted fewer parts of a string, found more"};
    work.charge(parts.size() * 4 * sizeof(Value));
    std::vector<Value> items;
    items.reserve(parts.size());
    for (std::string_view part : parts) items.push_back(new_text(part));
    return make_sequence(std::move(items), false);
}

Value split_method(Work& work, const Value& subject, const Arguments& arguments) {
    return split_with(work, subject, arguments, false);
}
Value rsplit_method(Work& work, const Value& subject, const Arguments& arguments) {
    return split_with(work, subject, arguments, true);
}
Value strip_method(Work& work, const Value& subject, const Arguments& arguments) {
    return stripped(work, text_of(subject, "with strip()"), arguments[0], true, true);
}
Value lstrip_method(Work& work, const Value& subject, const Arguments& arguments) {
    return stripped(work, text_of(subject, "with lstrip()"), arguments[0], true, false);
}
Value rstrip_method(Work& work, const Value& subject, const Arguments& arguments) {
    return stripped(work, text_of(subject, "with rstrip()"), arguments[0], false, true);
}
Value upper_method(Work& work, const Value& subject, const Arguments&) {
    return upper(work, text_of(subject, "with upper()"));
}
Value lower_method(Work& work, const Value& subject, const Arguments&) {
    return lower(work, text_of(subject, "with lower()"));
}
Value replace_method(Work& work, const Value& subject, const Arguments& arguments) {
    return replaced(work, text_of(subject, "with replace()"), text_of(*arguments[0], "to replace"),
                    text_of(*arguments[1], "to put in"),
                    arguments[2] ? integer_of(*arguments[2], "of replacements") : -1);
}

// Whether the text begins (or ends) with the argument, or with one of a tuple.
Value has_affix(Work& work, const Value& subject, const Arguments& arguments, bool front) {
    const std::string& text = text_of(subject, front ? "with startswith()" : "with endswith()");
    auto fits = [&](const Value& value) {
        const std::string& affix = text_of(value, "to look for");
        work.charge(16 + affix.size());
        return front ? text.starts_with(affix) : text.ends_with(affix);
    };
    const Sequence* several = arguments[0]->sequence();
    if (!several || !several->tuple) return fits(*arguments[0]);
    return std::any_of(several->items.begin(), several->items.end(), fits);
}
Value startswith(Work& work, const Value& subject, const Arguments& arguments) {
    return has_affix(work, subject, arguments, true);
}
Value endswith(Work& work, const Value& subject, const Arguments& arguments) {
    return has_affix(work, subject, arguments, false);
}

Value find_method(Work& work, const Value& subject, const Arguments& arguments) {
    const std::string& text = text_of(subject, "with find()");
    const std::string& needle = text_of(*arguments[0], "to look for");
    work.charge_search(text.size(), needle.size());
    const std::size_t at = Finder(needle).find(text, 0);
    if (at == std::string::npos) return std::int64_t{-1};
    return static_cast<std::int64_t>(text_length(std::string_view(text).substr(0, at)));
}

Value join_method(Work& work, const Value& subject, const Arguments& arguments) {
    const std::string& separator = text_of(subject, "with join()");
    return all_joined(work, *iterate(work, *arguments[0]), separator, false);
}

Value get_method(Work& work, const Value& subject, const Arguments& arguments) {
    const Dict& dict = dict_of(subject, "get");
    const std::string* key = arguments[0]->text();
    if (arguments[0]->dict() || arguments[0]->sequence()) throw Failure{"wanted a key for get(), found a container"};
    const Value* found = key ? dict.find(work, *key) : nullptr;
    return found ? *found : value_of(arguments[1], None{});
}
Value items_method(Work& work, const Value& subject, const Arguments&) {
    return new_iterable(pairs(work, dict_of(subject, "items")), false);
}
Value keys_method(Work& work, const Value& subject, const Arguments&) {
    dict_of(subject, "keys");
    return new_iterable(*iterate(work, subject), false);
}
Value values_method(Work& work, const Value& subject, const Arguments&) {
    const Dict& dict = dict_of(subject, "values");
    work.charge(dict.entries.size() * sizeof(Value));
    std::vector<Value> items;
    for (const auto& entry : dict.entries) items.push_back(entry.second);
    return new_iterable(std::move(items), false);
}

// Functions.

Value range(Work& work, const Value&, const Arguments& arguments) {
    const std::int64_t one = integer_of(*arguments[0], "in range()");
    const std::int64_t start = arguments[1] ? one : 0;
    const std::int64_t stop = arguments[1] ? integer_of(*arguments[1], "in range()") : one;
    const std::int64_t step = arguments[2] ? integer_of(*arguments[2], "in range()") : 1;
    if (step == 0) throw Failure{"wanted a step of range() other than zero, found zero"};
    std::vector<Value> items;
    for (std::int64_t at = start; step > 0 ? at < stop : at > stop;) {
        if (items.size() == kMaxRange)
            throw Failure{fmt::format("wanted a range() of at most {}, found more", kMaxRange)};
        items.emplace_back(at);
        if (__builtin_add_overflow(at, step, &at)) break;
    }
    work.charge(items.size() * sizeof(Value));
    return new_iterable(std::move(items), false);
}

Value raise_exception(Work& work, const Value&, const Arguments& arguments) {
    throw Failure{fmt::format("wanted messages that the template takes, found its refusal {}",
                              quote(to_text(work, *arguments[0]), 400))};
}

using B = Builtin;
constexpr Builtin kBuiltins[] = {
    {B::kFilter, "tojson", tojson, 0, 4, {"ensure_ascii", "indent", "separators", "sort_keys"}},
    {B::kFilter, "trim", trim, 0, 1, {"chars"}},
    {B::kFilter, "length", length_filter},
    {B::kFilter, "count", length_filter},
    {B::kFilter, "string", string_filter},
    {B::kFilter, "default", default_filter, 0, 2, {"default_value", "boolean"}},
    {B::kFilter, "d", default_filter, 0, 2, {"default_value", "boolean"}},
    {B::kFilter, "join", join_filter, 0, 1, {"d"}},
    {B::kFilter, "first", first},
    {B::kFilter, "last", last},
    {B::kFilter, "list", to_list},
    {B::kFilter, "items", items_filter},
    {B::kFilter, "replace", replace_filter, 2, 3, {"old", "new", "count"}},
    {B::kFilter, "upper", upper_filter},
    {B::kFilter, "lower", lower_filter},
    {B::kTest, "defined", defined},
    {B::kTest, "undefined", undefined},
    {B::kTest, "none", none},
    {B::kTest, "string", string},
    {B::kTest, "mapping", mapping},
    {B::kTest, "sequence", sequence},
    {B::kTest, "iterable", iterable},
    {B::kTest, "number", number},
    {B::kTest, "integer", integer},
    {B::kTest, "float", real},
    {B::kTest, "boolean", boolean},
    {B::kTest, "true", is_true},
    {B::kTest, "false", is_false},
    {B::kTest, "equalto", equal_test, 1, 1, {}},
    {B::kTest, "eq", equal_test, 1, 1, {}},
    {B::kTest, "ne", unequal_test, 1, 1, {}},
    {B::kTest, "in", in_test, 1, 1, {"seq"}},
    {B::kTest, "divisibleby", divisible, 1, 1, {"num"}},
    {B::kTest, "odd", odd},
    {B::kTest, "even", even},
    {B::kMethod, "split", split_method, 0, 2, {"sep", "maxsplit"}},
    {B::kMethod, "rsplit", rsplit_method, 0, 2, {"sep", "maxsplit"}},
    {B::kMethod, "strip", strip_method, 0, 1, {}},
    {B::kMethod, "lstrip", lstrip_method, 0, 1, {}},
    {B::kMethod, "rstrip", rstrip_method, 0, 1, {}},
    {B::kMethod, "startswith", startswith, 1, 1, {}},
    {B::kMethod, "endswith", endswith, 1, 1, {}},
    {B::kMethod, "upper", upper_method},
    {B::kMethod, "lower", lower_method},
    {B::kMethod, "replace", replace_method, 2, 3, {}},
    {B::kMethod, "find", find_method, 1, 1, {}},
    {B::kMethod, "join", join_method, 1, 1, {}},
    {B::kMethod, "get", get_method, 1, 2, {}},
    {B::kMethod, "items", items_method},
    {B::kMethod, "keys", keys_method},
    {B::kMethod, "values", values_method},
    {B::kFunction, "range", range, 1, 3, {}},
    {B::kFunction, "raise_exception", raise_exception, 1, 1, {"message"}},
};

}  // namespace

const Builtin* find_builtin(Builtin::Kind kind, std::string_view name) {
    const auto* found = std::find_if(std::begin(kBuiltins), std::end(kBuiltins), [&](const Builtin& builtin) {
        return builtin.kind == kind && builtin.name == name;
    });
    return found == std::end(kBuiltins) ? nullptr : found;
}

}  // namespace vks::tmpl
