// Typed reading of the fields of a JSON object, with ranges. Errors say "<field> (<file>): wanted <x>, found <y>".
#pragma once
#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "backend/base/bad_input.h"
#include "backend/base/result.h"

namespace vks {

// Borrows the object. A field that is null counts as absent.
class JsonFields {
public:
    // `prefix` is where the object sits in the file, "" or "rope_scaling.".
    JsonFields(const nlohmann::json& object, std::string_view file, std::string prefix = "")
        : object_(object), file_(file), prefix_(std::move(prefix)) {}

    bool has(const char* name) const { return find(name) != nullptr; }
    bool is_null(const char* name) const { return object_.contains(name) && object_[name].is_null(); }
    const nlohmann::json* find(const char* name) const;  // nullptr: absent or null

    // An integer in [low, high]; 61.0 is one too. Without `otherwise` the field must be there.
    Result<int64_t> integer(const char* name, int64_t low, int64_t high, std::optional<int64_t> otherwise = {}) const;
    // A finite number in [low, high].
    Result<double> number(const char* name, double low, double high, std::optional<double> otherwise = {}) const;
    Result<bool> boolean(const char* name, bool otherwise) const;
    // The string, or "" if it is absent.
    Result<std::string> text(const char* name) const;
    // One id or an array of at most 64, each in [0, limit); empty if absent.
    Result<std::vector<int32_t>> token_ids(const char* name, int64_t limit) const;
    // A nested object; nothing if absent.
    Result<std::optional<JsonFields>> object(const char* name) const;

    // Refuses a field that is there with another value than the one implemented.
    Status only(const char* name, const nlohmann::json& implemented) const;

    Error error(std::string_view name, std::string_view wanted, std::string_view found) const {
        return bad_input("{}{} ({}): wanted {}, found {}", prefix_, name, file_, wanted, found);
    }

private:
    const nlohmann::json& object_;
    std::string_view file_;
    std::string prefix_;
};

}  // namespace vks
