// The grammar of the shard index.
#include "frontend/io/index.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <unordered_map>
#include <unordered_set>

#include "backend/base/bad_input.h"
#include "frontend/io/json.h"
#include "frontend/io/safetensors.h"

namespace vks {
namespace {

using nlohmann::json;

constexpr uint64_t kMaxIndex = 100'000'000;  // as for a safetensors header; the released one has 9 MB
constexpr size_t kMaxShards = 4000;          // each is a mapped file

// A name that stays in its folder, and that a message can show.
bool plain_file_name(std::string_view name) {
    const auto bad = [](char c) { return c == '/' || c == '\\' || static_cast<unsigned char>(c) < 0x20 || c == 0x7f; };
    return !name.empty() && name.size() <= 255 && name != "." && name != ".." && std::ranges::none_of(name, bad);
}

// {"metadata": {...}, "weight_map": {tensor: shard}}; what else is in the file is passed over.
class IndexParser : public json::json_sax_t {
public:
    ShardIndex index;
    bool has_map = false;
    std::string problem;  // "wanted <x>, found <y>", set when a handler returned false

    bool start_object(size_t) override {
        if (in_map() && depth_ == 2) return fail("a file name", "an object");
        return descend();
    }
    bool start_array(size_t) override {
        if (depth_ == 0) return fail("an object", "an array");
        if (wants_value()) return fail("a file name, and an object of them in weight_map", "an array");
        return descend();
    }
    bool end_object() override { return ascend(); }
    bool end_array() override { return ascend(); }
    bool key(string_t& name) override {
        if (depth_ == 1) {
            top_ = std::move(name);
            if (top_ == "weight_map" && std::exchange(has_map, true)) return fail("weight_map once", "it twice");
        } else if (in_map() && depth_ == 2) {
            tensor_ = std::move(name);
        }
        return true;
    }
    bool string(string_t& value) override {
        if (!wants_value()) return true;
        if (depth_ == 1) return fail("weight_map to be an object", "a string");
        return add(value);
    }
    bool null() override { return scalar("null"); }
    bool boolean(bool) override { return scalar("a boolean"); }
    bool number_integer(number_integer_t) override { return scalar("a number"); }
    bool number_unsigned(number_unsigned_t) override { return scalar("a number"); }
    bool number_float(number_float_t, const string_t&) override { return scalar("a number"); }
    bool binary(binary_t&) override { return scalar("binary data"); }
    bool parse_error(size_t position, const std::string&, const json::exception&) override {
        return fail("JSON", fmt::format("something else at byte {}", position));
    }

private:
    bool in_map() const { return depth_ >= 1 && top_ == "weight_map"; }
    bool wants_value() const { return in_map() && depth_ <= 2; }
    bool descend() { return ++depth_ <= 64 || fail("at most 64 levels", "more"); }
    bool ascend() {
        --depth_;
        return true;
    }
    bool scalar(const char* found) {
        if (depth_ == 0) return fail("an object", found);
        return !wants_value() || fail("a file name, and an object of them in weight_map", found);
    }
    bool add(const std::string& shard) {
        const std::string at = "weight_map[" + quote(tensor_) + "] ";
        if (!plain_file_name(shard)) return fail(at + "to be the name of a file in the same folder", quote(shard));
        if (!names_.insert(tensor_).second) return fail(at + "once", "it twice");
        constexpr size_t kMost = SafetensorsHeader::kMaxTensors;
        if (names_.size() > kMost) return fail(fmt::format("at most {} tensors", kMost), "more");
        const auto [it, fresh] = shards_.try_emplace(shard, static_cast<uint32_t>(index.shards.size()));
        if (fresh) index.shards.push_back(shard);
        if (index.shards.size() > kMaxShards) return fail(fmt::format("at most {} shards", kMaxShards), "more");
        index.tensors.push_back({std::move(tensor_), it->second});
        return true;
    }
    bool fail(const std::string& wanted, const std::string& found) {
        if (problem.empty()) problem = "wanted " + wanted + ", found " + found;
        return false;
    }

    size_t depth_ = 0;
    std::string top_, tensor_;
    std::unordered_set<std::string> names_;
    std::unordered_map<std::string, uint32_t> shards_;
};

}  // namespace

Result<ShardIndex> ShardIndex::load(const std::filesystem::path& path) {
    const auto text = read_file(path, kMaxIndex);
    if (!text) return text.error();
    return parse(*text, path.string());
}

Result<ShardIndex> ShardIndex::parse(std::string_view text, std::string_view file) {
    if (const auto found = not_json(text)) return bad_input("index ({}): wanted JSON, found {}", file, *found);
    IndexParser parser;
    if (!json::sax_parse(text.begin(), text.end(), &parser)) return bad_input("index ({}): {}", file, parser.problem);
    if (!parser.has_map || parser.index.tensors.empty()) {
        return bad_input("index ({}): wanted a weight_map with tensors, found none", file);
    }
    return std::move(parser.index);
}

}  // namespace vks
