// One function per part of the file. A field that is absent is as good as null, as in Hugging Face's reader.
#include "frontend/text/tokenizer_rules.h"

#include <fmt/format.h>

#include "frontend/io/json.h"
#include "frontend/text/tokenizer_json.h"
#include "frontend/text/utf8.h"
#include "frontend/text/vocabulary.h"

namespace vks {
namespace {

using nlohmann::json;

constexpr size_t kMaxPatterns = 64;
constexpr size_t kMaxAdded = 1024;  // bytes of an added token, which is looked for at every position of a text

// A JSON value with the names messages need.
struct Field {
    const json& value;
    std::string name;  // "model.dropout"
    const std::string& file;

    // A member; null if it is absent or this is not an object.
    Field at(const char* key) const {
        static const json kNull;
        const bool there = value.is_object() && value.contains(key);
        return {there ? value[key] : kNull, name.empty() ? key : name + "." + key, file};
    }
    Field at(size_t index) const { return {value[index], fmt::format("{}[{}]", name, index), file}; }

    bool null() const { return value.is_null(); }
    bool is(std::string_view text) const { return value.is_string() && value.get_ref<const std::string&>() == text; }
    std::string type() const { return value.is_object() ? shown(at("type").value) : shown(value); }
    size_t size() const { return value.size(); }

    Error wrong(std::string_view wanted) const { return wrong(wanted, shown(value)); }
    Error wrong(std::string_view wanted, std::string_view found) const {
        return {Code::kBadInput, fmt::format("tokenizer {} ({}): wanted {}, found {}", name, file, wanted, found)};
    }
};

Result<bool> flag(const Field& field, bool absent) {
    if (field.null()) return absent;
    if (!field.value.is_boolean()) return field.wrong("true or false");
    return field.value.get<bool>();
}

Status want_flag(const Field& field, bool wanted, bool absent) {
    VKS_ASSIGN(const bool found, flag(field, absent));
    if (found != wanted) return field.wrong(wanted ? "true" : "false");
    return {};
}

Status want_array(const Field& field) {
    if (!field.value.is_array()) return field.wrong("an array");
    return {};
}

Status read_model(const Field& model, TokenizerRules& rules) {
    if (!model.value.is_object()) return model.wrong("an object");
    if (!model.at("type").is("BPE")) return model.at("type").wrong("\"BPE\"");
    const Field dropout = model.at("dropout");
    if (!dropout.null() && dropout.value != json(0.0)) return dropout.wrong("null");
    for (const char* key : {"unk_token", "continuing_subword_prefix", "end_of_word_suffix"}) {
        const Field field = model.at(key);
        if (!field.null() && !field.is("")) return field.wrong("null");
    }
    VKS_TRY(want_flag(model.at("byte_fallback"), false, false));
    VKS_TRY(want_flag(model.at("fuse_unk"), false, false));
    VKS_ASSIGN(rules.ignore_merges, flag(model.at("ignore_merges"), false));
    return {};
}

Status read_normalizer(const Field& normalizer) {
    if (normalizer.null()) return {};
    const Field list = normalizer.at("normalizers");
    if (!normalizer.at("type").is("Sequence") || !list.value.is_array()) {
        return normalizer.wrong("null or an empty Sequence", normalizer.type());
    }
    if (list.size() > 0) return list.at(size_t{0}).wrong("none", list.at(size_t{0}).type());
    return {};
}

Status read_split(const Field& split, TokenizerRules& rules) {
    const Field regex = split.at("pattern").at("Regex");
    if (!regex.value.is_string()) return regex.wrong("a regular expression");
    if (!split.at("behavior").is("Isolated")) return split.at("behavior").wrong("\"Isolated\"");
    VKS_TRY(want_flag(split.at("invert"), false, false));
    if (rules.patterns.size() == kMaxPatterns)
        return split.wrong(fmt::format("at most {} patterns", kMaxPatterns), "more");
    rules.patterns.push_back(regex.value.get<std::string>());
    return {};
}

// Split patterns, then ByteLevel without a pattern of its own; ByteLevel may also stand alone.
Status read_pre_tokenizer(const Field& pre, TokenizerRules& rules) {
    const auto byte_level = [](const Field& field) -> Status {
        if (!field.at("type").is("ByteLevel")) return field.wrong("ByteLevel", field.type());
        VKS_TRY(want_flag(field.at("add_prefix_space"), false, true));
        return want_flag(field.at("use_regex"), false, true);
    };
    if (!pre.at("type").is("Sequence")) return byte_level(pre);
    const Field list = pre.at("pretokenizers");
    VKS_TRY(want_array(list));
    if (list.size() == 0) return list.wrong("Split patterns and ByteLevel");
    for (size_t i = 0; i + 1 < list.size(); ++i) {
        const Field step = list.at(i);
        if (!step.at("type").is("Split")) return step.wrong("Split", step.type());
        VKS_TRY(read_split(step, rules));
    }
    return byte_level(list.at(list.size() - 1));
}

// [bos, A]: the only template there is a use for. Post-processing never changes the ids of the text itself.
Status read_template(const Field& single, TokenizerRules& rules) {
    VKS_TRY(want_array(single));
    const size_t size = single.size();
    const bool text_last = size > 0 && single.at(size - 1).at("Sequence").at("id").is("A");
    if (!text_last || size > 2) return single.wrong("an optional token and the text", "something else");
    if (size == 1) return {};
    const Field bos = single.at(size_t{0}).at("SpecialToken").at("id");
    if (!bos.value.is_string()) return bos.wrong("a token");
    rules.bos = bos.value.get<std::string>();
    return {};
}

Status read_post_processor(const Field& post, TokenizerRules& rules) {
    if (post.null() || post.at("type").is("ByteLevel")) return {};  // ByteLevel only trims offsets
    if (post.at("type").is("TemplateProcessing")) return read_template(post.at("single"), rules);
    if (!post.at("type").is("Sequence")) return post.wrong("ByteLevel or TemplateProcessing", post.type());
    const Field list = post.at("processors");
    VKS_TRY(want_array(list));
    for (size_t i = 0; i < list.size(); ++i) {
        if (list.at(i).at("type").is("Sequence"))
            return list.at(i).wrong("ByteLevel or TemplateProcessing", "Sequence");
        VKS_TRY(read_post_processor(list.at(i), rules));
    }
    return {};
}

Status read_added(const Field& list, TokenizerRules& rules) {
    if (list.null()) return {};
    VKS_TRY(want_array(list));
    for (size_t i = 0; i < list.size(); ++i) {
        const Field token = list.at(i), id = token.at("id"), content = token.at("content");
        if (!id.value.is_number_unsigned() || id.value.get<uint64_t>() >= static_cast<uint64_t>(Vocabulary::kIdLimit)) {
            return id.wrong(fmt::format("an integer from 0 to {}", Vocabulary::kIdLimit - 1));
        }
        if (!content.value.is_string() || content.is("")) return content.wrong("a text");
        if (const size_t size = content.value.get_ref<const std::string&>().size(); size > kMaxAdded) {
            return content.wrong(fmt::format("at most {} bytes", kMaxAdded), std::to_string(size));
        }
        for (const char* key : {"single_word", "lstrip", "rstrip"}) VKS_TRY(want_flag(token.at(key), false, false));
        VKS_ASSIGN(const bool special, flag(token.at("special"), false));
        VKS_ASSIGN(const bool normalized, flag(token.at("normalized"), !special));
        rules.added.push_back({content.value.get<std::string>(), id.value.get<int32_t>(), special, normalized});
    }
    return {};
}

// A special token's text: a string, or an AddedToken object with the string in `content`.
Result<std::optional<std::string>> special_token(const Field& field) {
    if (field.null()) return std::optional<std::string>();
    const Field content = field.value.is_object() ? field.at("content") : field;
    if (!content.value.is_string()) return content.wrong("a token's text");
    return std::optional(content.value.get<std::string>());
}

}  // namespace

Result<TokenizerRules> read_tokenizer_rules(const json& root, const std::string& file) {
    const Field top{root, "", file};
    if (!root.is_object()) return Field{root, "contents", file}.wrong("an object");
    TokenizerRules rules;
    VKS_TRY(read_model(top.at("model"), rules));
    VKS_TRY(read_normalizer(top.at("normalizer")));
    VKS_TRY(read_pre_tokenizer(top.at("pre_tokenizer"), rules));
    VKS_TRY(read_post_processor(top.at("post_processor"), rules));
    if (!top.at("decoder").at("type").is("ByteLevel")) {
        return top.at("decoder").wrong("ByteLevel", top.at("decoder").type());
    }
    VKS_TRY(read_added(top.at("added_tokens"), rules));
    return rules;
}

Result<TokenizerConfig> read_tokenizer_config(std::string_view text, const std::string& file) {
    TokenizerConfig config;
    if (text.empty()) return config;
    VKS_ASSIGN(const json root, parse_json(text, file));
    const Field top{root, "", file};
    if (!root.is_object()) return Field{root, "contents", file}.wrong("an object");
    const Field add_bos = top.at("add_bos_token");
    if (!add_bos.null()) {
        VKS_ASSIGN(config.add_bos, flag(add_bos, false));
    }
    VKS_TRY(want_flag(top.at("add_eos_token"), false, false));
    VKS_ASSIGN(config.bos, special_token(top.at("bos_token")));
    VKS_ASSIGN(config.eos, special_token(top.at("eos_token")));
    return config;
}

}  // namespace vks
