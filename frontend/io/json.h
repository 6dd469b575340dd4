// Small JSON files from strangers, read with limits. Not for safetensors headers, which have a parser of their own.
#pragma once
#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "backend/base/result.h"

namespace vks {

// The bytes of a regular file of at most `limit` bytes. Errors: not there, not readable, not regular, larger.
Result<std::string> read_file(const std::filesystem::path& path, uint64_t limit);

// A whole JSON document. Errors, naming `file`: not JSON, NUL bytes, nested deeper than 64, a key twice in an object.
Result<nlohmann::json> parse_json(std::string_view text, std::string_view file);

// How an error message calls a value: the value itself if it is short, else its type.
std::string describe(const nlohmann::json& value);

}  // namespace vks
