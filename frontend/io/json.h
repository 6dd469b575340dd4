// Small JSON files from strangers, read with limits. Not for safetensors headers, which have a parser of their own.
#pragma once
#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "backend/base/result.h"

namespace vks {

// What a file that begins so is, if it is one of those often found in another's place: a Git LFS pointer, a GGUF file.
std::optional<std::string> other_file(std::string_view text);

// The bytes of a regular file of at most `limit` bytes. Errors: not there, not readable, not regular, larger.
Result<std::string> read_file(const std::filesystem::path& path, uint64_t limit);

// What in `text` is not JSON although the library lets it pass: a byte order mark, which it skips, and a NUL, which it
// takes for the end, not looking at what follows; or that it is another file. Nothing if there is neither.
std::optional<std::string> not_json(std::string_view text);

// A whole JSON document. Errors, naming `file`: not JSON, a byte order mark, NUL bytes, nested deeper than 64, a key
// twice in an object, more than 2^16 keys.
Result<nlohmann::json> parse_json(std::string_view text, std::string_view file);

// How an error message calls a value: the value itself if it is short, else its type.
std::string describe(const nlohmann::json& value);

}  // namespace vks
