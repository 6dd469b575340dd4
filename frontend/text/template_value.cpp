// Values: making, comparing and copying in from JSON. Their texts are in template_print.cpp.
#include "frontend/text/template_value.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <unordered_map>

#include "frontend/text/utf8.h"

namespace vks::tmpl {

namespace {

template <class T>
T* pointer(const Value::Data& data) {
    const auto* held = std::get_if<std::shared_ptr<T>>(&data);
    return held ? held->get() : nullptr;
}

std::size_t depth_of(const Value& value) {
    if (const Sequence* sequence = value.sequence()) return sequence->depth;
    if (const Dict* dict = value.dict()) return dict->depth;
    return 0;
}

std::size_t checked_depth(std::size_t inner) {
    if (inner >= kMaxValueDepth) {
        throw Failure{fmt::format("wanted values nested at most {} deep, found more", kMaxValueDepth)};
    }
    return inner + 1;
}

// Exact for every pair, as Python's comparison is: a double near 2^63 must not be rounded into an int.
int compare_numbers(std::int64_t a, double b) {
    constexpr double kTwo63 = 9223372036854775808.0;
    if (b >= kTwo63) return -1;
    if (b < -kTwo63) return 1;
    const auto whole = static_cast<std::int64_t>(b);
    if (a != whole) return a < whole ? -1 : 1;
    const double rest = b - static_cast<double>(whole);
    return rest > 0 ? -1 : rest < 0 ? 1 : 0;
}

// -1, 0, 1; or 2 when one is not a number, or is a NaN.
int compare_numbers(const Value& a, const Value& b) {
    std::int64_t a_store = 0, b_store = 0;
    const std::int64_t *a_int = a.integer(a_store), *b_int = b.integer(b_store);
    const double *a_real = a.real(), *b_real = b.real();
    if ((!a_int && !a_real) || (!b_int && !b_real)) return 2;
    if ((a_real && std::isnan(*a_real)) || (b_real && std::isnan(*b_real))) return 2;
    if (a_int && b_int) return *a_int < *b_int ? -1 : *a_int > *b_int ? 1 : 0;
    if (a_int) return compare_numbers(*a_int, *b_real);
    if (b_int) return -compare_numbers(*b_int, *a_real);
    return *a_real < *b_real ? -1 : *a_real > *b_real ? 1 : 0;
}

bool equal_dicts(Work& work, const Dict& a, const Dict& b) {
    if (a.entries.size() != b.entries.size()) return false;
    for (const auto& [key, value] : a.entries) {
        const Value* other = b.find(work, *key);
        if (!other || !equal(work, value, *other)) return false;
    }
    return true;
}

}  // namespace

const std::string* Value::text() const {
    return pointer<const std::string>(data_);
}
const Sequence* Value::sequence() const {
    return pointer<const Sequence>(data_);
}
const Dict* Value::dict() const {
    return pointer<const Dict>(data_);
}
const Iterable* Value::iterable() const {
    return pointer<const Iterable>(data_);
}
Namespace* Value::name_space() const {
    return pointer<Namespace>(data_);
}
Loop* Value::loop() const {
    const auto* held = std::get_if<Loop*>(&data_);
    return held ? *held : nullptr;
}

const std::int64_t* Value::integer(std::int64_t& store) const {
    if (const bool* value = boolean()) {
        store = *value ? 1 : 0;
        return &store;
    }
    return std::get_if<std::int64_t>(&data_);
}

const Value* Dict::find(Work& work, std::string_view key) const {
    work.charge(8 * entries.size());
    for (const auto& [name, value] : entries) {
        if (name->size() != key.size()) continue;
        work.charge(key.size());
        if (*name == key) return &value;
    }
    return nullptr;
}

std::string_view type_name(const Value& value) {
    if (const Sequence* sequence = value.sequence()) return sequence->tuple ? "tuple" : "list";
    static constexpr std::string_view kNames[] = {"undefined", "None", "bool",     "int",       "float", "str",
                                                  "list",      "dict", "iterable", "namespace", "loop"};
    static_assert(std::size(kNames) == std::variant_size_v<Value::Data>);
    return kNames[value.data().index()];
}

void check_item(const Value& value) {
    if (value.iterable() || value.name_space() || value.loop()) {
        throw Failure{fmt::format("wanted a plain value in a list, dict or namespace, found {}", type_name(value))};
    }
}

Value make_sequence(std::vector<Value> items, bool tuple) {
    auto sequence = std::make_shared<Sequence>();
    std::size_t depth = 0;
    for (const Value& item : items) {
        check_item(item);
        depth = std::max(depth, depth_of(item));
    }
    sequence->items = std::move(items);
    sequence->tuple = tuple;
    sequence->depth = checked_depth(depth);
    return Value(std::shared_ptr<const Sequence>(std::move(sequence)));
}

// NOLINTNEXTLINE(performance-unnecessary-value-param): the entries are moved out one by one
Value make_dict(Work& work, std::vector<std::pair<Text, Value>> entries) {
    auto dict = std::make_shared<Dict>();
    std::unordered_map<std::string_view, std::size_t> seen;
    std::size_t depth = 0;
    for (auto& [key, value] : entries) {
        check_item(value);
        work.charge(key->size() + sizeof(Value));
        depth = std::max(depth, depth_of(value));
        const auto [place, fresh] = seen.emplace(*key, dict->entries.size());
        if (fresh) {
            dict->entries.emplace_back(std::move(key), std::move(value));
        } else {
            dict->entries[place->second].second = std::move(value);
        }
    }
    dict->depth = checked_depth(depth);
    return Value(std::shared_ptr<const Dict>(std::move(dict)));
}

namespace {

std::string checked_text(const std::string& text) {
    if (find_invalid_utf8(text)) throw Failure{"wanted UTF-8 text in the document, found ill-formed bytes"};
    return text;
}

std::shared_ptr<const Dict> dict_from_json(const nlohmann::ordered_json& json, std::size_t depth) {
    auto dict = std::make_shared<Dict>();
    std::size_t inner = 0;
    for (const auto& [key, value] : json.items()) {
        dict->entries.emplace_back(std::make_shared<const std::string>(checked_text(key)), from_json(value, depth + 1));
        inner = std::max(inner, depth_of(dict->entries.back().second));
    }
    dict->depth = inner + 1;
    return dict;
}

}  // namespace

Value from_json(const nlohmann::ordered_json& json, std::size_t depth) {
    using Kind = nlohmann::ordered_json::value_t;
    if (depth > 0 && json.is_structured()) checked_depth(depth);
    switch (json.type()) {
        case Kind::null:
            return None{};
        case Kind::boolean:
            return json.get<bool>();
        case Kind::number_integer:
            return json.get<std::int64_t>();
        case Kind::number_unsigned:
            if (json.get<std::uint64_t>() > static_cast<std::uint64_t>(INT64_MAX)) {
                throw Failure{"wanted integers of at most 2^63 - 1 in the document, found " + json.dump()};
            }
            return json.get<std::int64_t>();
        case Kind::number_float:
            return json.get<double>();
        case Kind::string:
            return checked_text(json.get_ref<const std::string&>());
        case Kind::object:
            return dict_from_json(json, depth);
        case Kind::array: {
            std::vector<Value> items;
            for (const auto& item : json) items.push_back(from_json(item, depth + 1));
            return make_sequence(std::move(items), false);
        }
        case Kind::binary:
        case Kind::discarded:
            break;
    }
    throw Failure{"wanted JSON values in the document, found binary data"};
}

bool truthy(const Value& value) {
    if (value.is_undefined() || value.is_none()) return false;
    std::int64_t store = 0;
    if (const std::int64_t* number = value.integer(store)) return *number != 0;
    if (const double* number = value.real()) return *number != 0;
    if (const std::string* text = value.text()) return !text->empty();
    if (const Sequence* sequence = value.sequence()) return !sequence->items.empty();
    if (const Dict* dict = value.dict()) return !dict->entries.empty();
    if (const Iterable* iterable = value.iterable()) return iterable->once || !iterable->items.empty();
    return true;
}

bool equal(Work& work, const Value& a, const Value& b) {
    work.charge(16);
    if (const int order = compare_numbers(a, b); order != 2) return order == 0;
    if (a.data().index() != b.data().index()) return false;
    if (a.is_undefined() || a.is_none()) return true;
    if (const std::string* text = a.text()) {
        if (text->size() != b.text()->size()) return false;
        work.charge(text->size());
        return *text == *b.text();
    }
    if (const Sequence* left = a.sequence()) {
        const Sequence* right = b.sequence();
        if (left->tuple != right->tuple || left->items.size() != right->items.size()) return false;
        for (std::size_t i = 0; i < left->items.size(); ++i) {
            if (!equal(work, left->items[i], right->items[i])) return false;
        }
        return true;
    }
    if (const Dict* left = a.dict()) return equal_dicts(work, *left, *b.dict());
    if (a.name_space()) return a.name_space() == b.name_space();
    if (a.loop()) return a.loop() == b.loop();
    if (a.iterable()) throw Failure{"wanted values that can be compared, found iterable"};
    return false;  // floats, one a NaN
}

bool less(Work& work, const Value& a, const Value& b) {
    if (a.text() && b.text()) {
        work.charge(std::min(a.text()->size(), b.text()->size()));
        return *a.text() < *b.text();  // the order of code points is that of their UTF-8
    }
    std::int64_t store = 0;
    auto number = [&](const Value& value) { return value.integer(store) || value.real(); };
    if (!number(a) || !number(b)) {
        throw Failure{
            fmt::format("wanted two numbers or two strings to compare, found {} and {}", type_name(a), type_name(b))};
    }
    return compare_numbers(a, b) == -1;
}

}  // namespace vks::tmpl
