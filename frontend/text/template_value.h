// The values a chat template computes with: those of Python that JSON and the template language can make.
// Internal to the template interpreter; strings are well-formed UTF-8.
#pragma once
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace vks::tmpl {

inline constexpr std::size_t kMaxValueDepth = 100;              // lists and objects inside each other
inline constexpr std::size_t kMaxText = std::size_t{64} << 20;  // bytes of one string, and of the output

// Bytes made and compared in one rendering. Fuzzing looks for work that is not counted, and its code is slow.
#ifdef VKS_FUZZ
inline constexpr std::size_t kMaxWork = std::size_t{16} << 20;
#else
inline constexpr std::size_t kMaxWork = std::size_t{512} << 20;
#endif

// Thrown inside the interpreter only, as "wanted <x>, found <y>"; Template turns it into an Error.
struct Failure {
    static constexpr std::size_t kNowhere = static_cast<std::size_t>(-1);
    std::string text;
    std::size_t pos = kNowhere;  // byte offset in the template
};

// What is left of kMaxWork. It bounds time and memory at once, because nothing is counted back.
class Work {
public:
    void charge(std::size_t bytes) {
        if (bytes > left_) throw Failure{"wanted a rendering of bounded work, found too much text copied or compared"};
        left_ -= bytes;
    }
    // For a Finder, which makes a table of the needle.
    void charge_search(std::size_t text, std::size_t needle) { charge(text + needle * (1 + sizeof(std::size_t))); }

private:
    std::size_t left_ = kMaxWork;
};

class Value;
class Loop;

struct Undefined {};
struct None {};
using Text = std::shared_ptr<const std::string>;

// list, or tuple.
struct Sequence {
    std::vector<Value> items;
    bool tuple = false;
    std::size_t depth = 1;
};

// dict; keys are strings, in order of insertion.
struct Dict {
    std::vector<std::pair<Text, Value>> entries;
    std::size_t depth = 1;
    const Value* find(Work& work, std::string_view key) const;
};

// What range(), .keys(), .values(), .items() and |items give: to be looped over, not to be printed or indexed.
struct Iterable {
    std::vector<Value> items;
    bool once = false;  // a generator
    mutable bool used = false;
};

// namespace(...): the only value that changes. It holds no namespace, so there are no cycles.
struct Namespace {
    std::map<std::string, Value, std::less<>> attributes;
};

class Value {
public:
    using Data =
        std::variant<Undefined, None, bool, std::int64_t, double, Text, std::shared_ptr<const Sequence>,
                     std::shared_ptr<const Dict>, std::shared_ptr<const Iterable>, std::shared_ptr<Namespace>, Loop*>;
    Value() = default;  // undefined
    Value(Undefined) {}
    Value(None) : data_(None{}) {}
    Value(bool value) : data_(value) {}
    Value(std::int64_t value) : data_(value) {}
    Value(double value) : data_(value) {}
    Value(std::string value) : data_(std::make_shared<const std::string>(std::move(value))) {}
    Value(Text value) : data_(std::move(value)) {}
    Value(std::shared_ptr<const Sequence> value) : data_(std::move(value)) {}
    Value(std::shared_ptr<const Dict> value) : data_(std::move(value)) {}
    Value(std::shared_ptr<const Iterable> value) : data_(std::move(value)) {}
    Value(std::shared_ptr<Namespace> value) : data_(std::move(value)) {}
    // A loop outlives every variable that can hold it: its frame's.
    Value(Loop* value) : data_(value) {}
    template <class T>
    Value(T*) = delete;  // would be a bool

    bool is_undefined() const { return std::holds_alternative<Undefined>(data_); }
    bool is_none() const { return std::holds_alternative<None>(data_); }
    const bool* boolean() const { return std::get_if<bool>(&data_); }
    const double* real() const { return std::get_if<double>(&data_); }
    const std::string* text() const;
    const Sequence* sequence() const;
    const Dict* dict() const;
    const Iterable* iterable() const;
    Namespace* name_space() const;
    Loop* loop() const;
    // An int as Python sees it: bool is one.
    const std::int64_t* integer(std::int64_t& store) const;
    const Data& data() const { return data_; }

private:
    Data data_;
};

// Python's name of the type, for messages.
std::string_view type_name(const Value& value);

// Containers. Failure: deeper than kMaxValueDepth, or an item that only a variable may hold (namespace, loop,
// iterable).
Value make_sequence(std::vector<Value> items, bool tuple);
Value make_dict(Work& work, std::vector<std::pair<Text, Value>> entries);
// Whether a container or a namespace may hold it, or a Failure.
void check_item(const Value& value);
// Copies a JSON document. Failure: too deep, an integer above 2^63 - 1, ill-formed UTF-8.
Value from_json(const nlohmann::ordered_json& json, std::size_t depth = 0);

bool truthy(const Value& value);
bool equal(Work& work, const Value& a, const Value& b);
// a < b. Failure unless both are numbers or both are strings.
bool less(Work& work, const Value& a, const Value& b);

// str(value), repr(value). Failure: what has no stable text in Python (namespaces, loops, iterables).
std::string to_text(Work& work, const Value& value);
std::string to_repr(Work& work, const Value& value);

// json.dumps with Hugging Face's defaults.
struct JsonStyle {
    bool ascii = false;
    bool indented = false;
    std::string indent;  // one level
    std::string item_separator = ", ", key_separator = ": ";
    bool sort_keys = false;
};
std::string to_json(Work& work, const Value& value, const JsonStyle& style);

}  // namespace vks::tmpl
