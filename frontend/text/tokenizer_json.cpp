// A handler for nlohmann's streaming parser; every callback returns false to stop, with the error set.
#include "frontend/text/tokenizer_json.h"

#include <fmt/format.h>

#include <optional>
#include <utility>

#include "frontend/io/json.h"
#include "frontend/text/utf8.h"
#include "frontend/text/vocabulary.h"

namespace vks {
namespace {

using nlohmann::json;

constexpr size_t kMaxLevels = 32;

class Handler final : public nlohmann::json_sax<json> {
public:
    explicit Handler(const std::string& file) : file_(file) {}

    TokenizerJson& result() { return result_; }
    const std::optional<Error>& error() const { return error_; }

    bool null() override { return value(json()); }
    bool boolean(bool b) override { return value(json(b)); }
    bool number_integer(json::number_integer_t n) override { return value(json(n)); }
    bool number_float(json::number_float_t n, const json::string_t&) override { return value(json(n)); }
    bool binary(json::binary_t&) override { return value(json()); }  // JSON text has none
    bool number_unsigned(json::number_unsigned_t n) override { return part_ == kVocab ? vocab_id(n) : value(json(n)); }

    bool string(json::string_t& s) override {
        if (part_ == kMerges) return merge(s);
        if (part_ == kMergePair) return merge_half(s);
        return value(json(std::move(s)));
    }

    bool key(json::string_t& k) override {
        key_ = k;  // a copy leaves both buffers their memory
        if (part_ != kTree || !open_.back()->contains(k)) return true;
        return fail(fmt::format("contents ({}): wanted each key once, found {} twice", file_, excerpt(k)));
    }

    bool start_object(std::size_t) override {
        if (part_ == kTree && in_model() && key_ == "vocab") return begin(kVocab);
        return open(json::object());
    }
    bool end_object() override {
        if (std::exchange(part_, kTree) == kTree) open_.pop_back();
        return true;
    }

    bool start_array(std::size_t) override {
        if (part_ == kTree && in_model() && key_ == "merges") return begin(kMerges);
        if (part_ != kMerges) return open(json::array());
        part_ = kMergePair;
        result_.merges.push_back({static_cast<uint32_t>(result_.merge_text.size()), 0, 0});
        halves_ = 0;
        return true;
    }
    bool end_array() override {
        if (part_ == kTree) {
            open_.pop_back();
        } else if (part_ == kMerges) {
            part_ = kTree;
        } else {
            if (halves_ != 2) return bad_merge(fmt::format("an array of {}", halves_));
            part_ = kMerges;
        }
        return true;
    }

    bool parse_error(std::size_t position, const std::string&, const nlohmann::detail::exception&) override {
        return fail(fmt::format("contents ({}): wanted JSON, found something else at byte {}", file_, position));
    }

private:
    // Where the parser is; kTree is everything but the two big parts.
    enum Part { kTree, kVocab, kMerges, kMergePair };

    // Directly in the object `model` of the root.
    bool in_model() const { return open_.size() == 2 && model_ != nullptr && open_.back() == model_; }

    // The tree keeps only that it was there.
    bool begin(Part part) {
        put(json());
        part_ = part;
        result_.has_merges |= part == kMerges;
        return true;
    }

    // A value in the tree, or one of a wrong kind in one of the big parts.
    bool value(json v) {
        switch (part_) {
            case kVocab:
                return fail(fmt::format("id of token {} ({}): wanted an integer from 0 to {}, found {}", excerpt(key_),
                                        file_, Vocabulary::kIdLimit - 1, shown(v)));
            case kMerges:
            case kMergePair:
                return bad_merge(shown(v));
            case kTree:
                put(std::move(v));
                return true;
        }
        return false;
    }

    bool open(json container) {
        if (part_ != kTree) return value(std::move(container));
        if (open_.size() == kMaxLevels) {
            return fail(fmt::format("contents ({}): wanted at most {} levels, found more", file_, kMaxLevels));
        }
        const bool is_model = open_.size() == 1 && open_.back()->is_object() && key_ == "model";
        open_.push_back(put(std::move(container)));
        if (is_model) model_ = open_.back();
        return true;
    }

    // Pointers into the tree stay valid: a container grows only while it is the innermost open one.
    json* put(json v) {
        if (open_.empty()) return &(result_.rest = std::move(v));
        json& parent = *open_.back();
        if (parent.is_array()) {
            parent.push_back(std::move(v));
            return &parent.back();
        }
        return &(parent[key_] = std::move(v));
    }

    bool vocab_id(uint64_t id) {
        if (id >= static_cast<uint64_t>(Vocabulary::kIdLimit)) return value(json(id));
        const size_t at = result_.vocab_text.size();
        result_.vocab.push_back(
            {static_cast<uint32_t>(at), static_cast<uint32_t>(key_.size()), static_cast<int32_t>(id)});
        result_.vocab_text.append(key_);
        return true;
    }

    bool merge(const std::string& s) {
        const size_t space = s.find(' ');
        if (space == std::string::npos || space == 0 || space + 1 == s.size() ||
            s.find(' ', space + 1) != std::string::npos) {
            return bad_merge(excerpt(s));
        }
        const size_t at = result_.merge_text.size();
        result_.merges.push_back(
            {static_cast<uint32_t>(at), static_cast<uint32_t>(space), static_cast<uint32_t>(s.size() - space - 1)});
        result_.merge_text.append(s, 0, space).append(s, space + 1);
        return true;
    }

    bool merge_half(const std::string& s) {
        if (halves_ == 2 || s.empty()) return bad_merge(halves_ == 2 ? "an array of more" : "an empty string");
        TokenizerJson::Merge& merge = result_.merges.back();
        (halves_++ == 0 ? merge.left : merge.right) = static_cast<uint32_t>(s.size());
        result_.merge_text.append(s);
        return true;
    }

    bool bad_merge(std::string_view found) {
        const size_t index = result_.merges.size() - (part_ == kMergePair ? 1 : 0);
        return fail(fmt::format("model.merges[{}] ({}): wanted two tokens, found {}", index, file_, found));
    }

    bool fail(std::string text) {
        error_ = Error{Code::kBadInput, "tokenizer " + std::move(text)};
        return false;
    }

    const std::string& file_;
    TokenizerJson result_;
    std::optional<Error> error_;
    Part part_ = kTree;
    int halves_ = 0;               // of the merge being read
    std::string key_;              // the last key
    std::vector<json*> open_;      // the containers around the parser's position
    const json* model_ = nullptr;  // the root's "model", once met
};

}  // namespace

Result<TokenizerJson> read_tokenizer_json(std::string_view text, const std::string& file) {
    if (text.size() > kMaxTokenizerJson) {
        return Error{Code::kBadInput, fmt::format("tokenizer size ({}): wanted at most {} bytes, found {}", file,
                                                  kMaxTokenizerJson, text.size())};
    }
    if (const auto found = not_json(text)) {
        return Error{Code::kBadInput, fmt::format("tokenizer contents ({}): wanted JSON, found {}", file, *found)};
    }
    Handler handler(file);
    if (!json::sax_parse(text.data(), text.data() + text.size(), &handler)) {
        return handler.error().value_or(
            Error{Code::kBadInput, fmt::format("tokenizer contents ({}): wanted JSON, found something else", file)});
    }
    return std::move(handler.result());
}

std::string shown(const json& value) {
    if (value.is_string()) return excerpt(value.get_ref<const std::string&>());
    if (value.is_object()) return value.empty() ? "an empty object" : "an object";
    if (value.is_array()) return value.empty() ? "an empty array" : "an array";
    return value.is_discarded() ? "nothing" : value.dump();
}

}  // namespace vks
