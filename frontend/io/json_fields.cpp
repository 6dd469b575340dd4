// Typed reading of JSON fields.
#include "frontend/io/json_fields.h"

#include <cmath>

#include "frontend/io/json.h"

namespace vks {
namespace {

using nlohmann::json;

std::optional<int64_t> as_integer(const json& value) {
    if (value.is_number_unsigned()) {
        const auto number = value.get<uint64_t>();
        if (number > INT64_MAX) return std::nullopt;
        return static_cast<int64_t>(number);
    }
    if (value.is_number_integer()) return value.get<int64_t>();
    if (!value.is_number_float()) return std::nullopt;
    const auto number = value.get<double>();
    constexpr double kExact = 9007199254740992.0;  // 2^53: every integer below has its own double
    if (!(std::fabs(number) <= kExact) || std::trunc(number) != number) return std::nullopt;
    return static_cast<int64_t>(number);
}

}  // namespace

const json* JsonFields::find(const char* name) const {
    const auto at = object_.find(name);
    return at == object_.end() || at->is_null() ? nullptr : &*at;
}

Result<int64_t> JsonFields::integer(const char* name, int64_t low, int64_t high,
                                    std::optional<int64_t> otherwise) const {
    const json* field = find(name);
    if (field == nullptr && otherwise) return *otherwise;
    const std::string wanted = fmt::format("an integer from {} to {}", low, high);
    if (field == nullptr) return error(name, wanted, "nothing");
    const auto value = as_integer(*field);
    if (!value || *value < low || *value > high) return error(name, wanted, describe(*field));
    return *value;
}

Result<double> JsonFields::number(const char* name, double low, double high, std::optional<double> otherwise) const {
    const json* field = find(name);
    if (field == nullptr && otherwise) return *otherwise;
    const std::string wanted = fmt::format("a number from {} to {}", low, high);
    if (field == nullptr) return error(name, wanted, "nothing");
    if (!field->is_number()) return error(name, wanted, describe(*field));
    const auto value = field->get<double>();
    if (!(value >= low && value <= high)) return error(name, wanted, describe(*field));
    return value;
}

Result<bool> JsonFields::boolean(const char* name, bool otherwise) const {
    const json* field = find(name);
    if (field == nullptr) return otherwise;
    if (!field->is_boolean()) return error(name, "true or false", describe(*field));
    return field->get<bool>();
}

Result<std::string> JsonFields::text(const char* name) const {
    const json* field = find(name);
    if (field == nullptr) return std::string();
    if (!field->is_string()) return error(name, "a string", describe(*field));
    return field->get<std::string>();
}

Result<std::vector<int32_t>> JsonFields::token_ids(const char* name, int64_t limit) const {
    const json* field = find(name);
    std::vector<int32_t> ids;
    if (field == nullptr) return ids;
    const std::string wanted = fmt::format("a token id below {}, or an array of at most 64", limit);
    if (field->is_array() && field->size() > 64) return error(name, wanted, describe(*field));
    const json list = field->is_array() ? *field : json::array({*field});
    for (const json& item : list) {
        const auto id = as_integer(item);
        if (!id || *id < 0 || *id >= limit) return error(name, wanted, describe(item));
        ids.push_back(static_cast<int32_t>(*id));
    }
    return ids;
}

Result<std::optional<JsonFields>> JsonFields::object(const char* name) const {
    const json* field = find(name);
    if (field == nullptr) return std::optional<JsonFields>();
    if (!field->is_object()) return error(name, "an object or null", describe(*field));
    return std::optional<JsonFields>(std::in_place, *field, file_, prefix_ + name + ".");
}

Status JsonFields::only(const char* name, const json& implemented) const {
    const json* field = find(name);
    if (field == nullptr || *field == implemented) return {};
    return error(name, describe(implemented) + ", the only kind implemented", describe(*field));
}

}  // namespace vks
