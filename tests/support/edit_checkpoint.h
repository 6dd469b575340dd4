// Copies of good checkpoints to damage: JSON files and safetensors headers edited in place, data left as it is.
#pragma once
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>

#include "tests/support/paths.h"
#include "tests/support/temp_dir.h"

namespace vks::test {

inline constexpr const char* kIndex = "model.safetensors.index.json";

using Json = nlohmann::ordered_json;

// Copies tests/golden/MODEL/checkpoint into `dir`.
inline void copy_checkpoint(const std::string& model, const std::filesystem::path& dir) {
    std::filesystem::copy(test::data(model + "/checkpoint"), dir, std::filesystem::copy_options::recursive);
}

inline void edit_json(const std::filesystem::path& path, const std::function<void(Json&)>& edit) {
    Json document = Json::parse(read_bytes(path));
    edit(document);
    write_bytes(path, document.dump());
}

// A safetensors file's two parts.
struct RawFile {
    std::string header, data;
};

inline RawFile read_raw(const std::filesystem::path& path) {
    const std::string bytes = read_bytes(path);
    uint64_t length = 0;
    std::memcpy(&length, bytes.data(), sizeof length);
    return {bytes.substr(sizeof length, length), bytes.substr(sizeof length + length)};
}

inline void write_raw(const std::filesystem::path& path, const RawFile& file) {
    const uint64_t length = file.header.size();
    std::string prefix(sizeof length, '\0');
    std::memcpy(prefix.data(), &length, sizeof length);
    write_bytes(path, prefix + file.header + file.data);
}

inline void edit_header(const std::filesystem::path& path, const std::function<void(Json&)>& edit) {
    RawFile file = read_raw(path);
    Json header = Json::parse(file.header);
    edit(header);
    file.header = header.dump();
    write_raw(path, file);
}

// An object with a key more than `most`, which is how many a JSON file may have; each with that value.
inline std::string many_keys(const std::string& value = "1", int most = 1 << 16) {
    std::string text = "{\"k\":" + value;
    for (int i = 0; i < most; ++i) text.append(",\"").append(std::to_string(i)).append("\":").append(value);
    return text + "}";
}

}  // namespace vks::test
