// How an operation that can fail because of its input says so: a value or one readable line.
// Broken invariants are not errors: they go to check.h.
#pragma once
#include <optional>
#include <string>
#include <utility>
#include <variant>

#include "backend/base/check.h"

namespace vks {

// What kind of failure; the numbers are the program's exit statuses.
enum class Code {
    kUsage = 2,      // the command line was wrong
    kBadInput = 3,   // a model, file or text was wrong
    kNoBackend = 4,  // no device, plugin or operator could do it
    kMismatch = 5,   // it ran, but a comparison failed
};

// `text` is one line without a full stop: "<what> (<file or option>): wanted <x>, found <y>".
struct Error {
    Code code = Code::kBadInput;
    std::string text;
};

// A T or an Error. Not thread-safe; value semantics.
template <class T>
class [[nodiscard]] Result {
public:
    Result(T value) : data_(std::in_place_index<0>, std::move(value)) {}
    Result(Error error) : data_(std::in_place_index<1>, std::move(error)) {}

    explicit operator bool() const { return data_.index() == 0; }
    T& operator*() & { return value(); }
    const T& operator*() const& { return value(); }
    T&& operator*() && { return std::move(value()); }
    T* operator->() { return &value(); }
    const T* operator->() const { return &value(); }
    const Error& error() const {
        CHECK(data_.index() == 1, "error() of a Result that holds a value");
        return *std::get_if<1>(&data_);
    }

private:
    T& value() {
        CHECK(data_.index() == 0, "value of a failed Result: {}", std::get_if<1>(&data_)->text);
        return *std::get_if<0>(&data_);
    }
    const T& value() const { return const_cast<Result*>(this)->value(); }
    std::variant<T, Error> data_;
};

// Success or an Error.
template <>
class [[nodiscard]] Result<void> {
public:
    Result() = default;
    Result(Error error) : error_(std::move(error)) {}
    explicit operator bool() const { return !error_; }
    const Error& error() const {
        CHECK(error_.has_value(), "error() of a Result that holds a value");
        return *error_;
    }

private:
    std::optional<Error> error_;
};

using Status = Result<void>;

}  // namespace vks

// Returns the error of `expr` from the enclosing function, or goes on.
#define VKS_TRY(expr)                                       \
    do {                                                    \
        auto vks_try_result = (expr);                       \
        if (!vks_try_result) return vks_try_result.error(); \
    } while (0)

#define VKS_CONCAT_(a, b) a##b
#define VKS_CONCAT(a, b) VKS_CONCAT_(a, b)

// VKS_ASSIGN(auto x, f()): declares x from f()'s value, or returns its error.
#define VKS_ASSIGN(decl, expr)                                                                \
    auto VKS_CONCAT(vks_result_, __LINE__) = (expr);                                          \
    if (!VKS_CONCAT(vks_result_, __LINE__)) return VKS_CONCAT(vks_result_, __LINE__).error(); \
    /* NOLINTNEXTLINE(bugprone-macro-parentheses): a declaration, not an expression */        \
    decl = *std::move(VKS_CONCAT(vks_result_, __LINE__))
