// Puts the parts together: reading files, checking that vocabulary, merges and added tokens fit each other, and the way
// of a text through added tokens, words and merges.
#include "frontend/text/tokenizer.h"

#include <fmt/format.h>

#include <system_error>
#include <utility>

#include "frontend/io/json.h"
#include "frontend/text/added_tokens.h"
#include "frontend/text/bpe.h"
#include "frontend/text/pretokenizer.h"
#include "frontend/text/tokenizer_json.h"
#include "frontend/text/tokenizer_rules.h"
#include "frontend/text/utf8.h"
#include "frontend/text/vocabulary.h"

namespace vks {

struct Tokenizer::Tables {
    std::string file;  // tokenizer.json, for messages
    Vocabulary vocabulary;
    Bpe bpe;
    Pretokenizer pretokenizer;
    // Hugging Face looks for added tokens in two rounds, first those not subject to normalization. There is no
    // normalization here, but the order decides between tokens that overlap.
    AddedTokens added_first, added_second;
    bool ignore_merges = false;
    bool add_bos = false;
    std::optional<int32_t> bos_id, eos_id;
};

namespace {

constexpr size_t kMaxText = size_t{1} << 31;
constexpr size_t kMaxTokenizerConfig = size_t{64} << 20;

Error bad(const std::string& what, const std::string& file, std::string_view wanted, std::string_view found) {
    return {Code::kBadInput, fmt::format("{} ({}): wanted {}, found {}", what, file, wanted, found)};
}

Status add_vocabulary(const TokenizerJson& json, const std::string& file, Vocabulary& vocabulary) {
    if (json.vocab.empty()) return bad("tokenizer model.vocab", file, "tokens", "none");
    for (const TokenizerJson::Entry& entry : json.vocab) {
        const std::string_view text = json.text(entry);
        switch (vocabulary.add(text, entry.id)) {
            case Vocabulary::Added::kYes:
                break;
            case Vocabulary::Added::kIdTaken:
                return bad("tokenizer id of token " + excerpt(text), file, "one of its own",
                           fmt::format("{}, the id of {}", entry.id, excerpt(vocabulary.text(entry.id))));
            case Vocabulary::Added::kTextTaken:
                return bad("tokenizer model.vocab", file, "each token once", excerpt(text) + " twice");
        }
    }
    return {};
}

Status add_merges(const TokenizerJson& json, const std::string& file, const Vocabulary& vocabulary, Bpe& bpe) {
    if (!json.has_merges) return bad("tokenizer model.merges", file, "a list", "none");
    bpe.reserve(json.merges.size());
    for (size_t i = 0; i < json.merges.size(); ++i) {
        const TokenizerJson::Merge& merge = json.merges[i];
        const auto left = vocabulary.id_of(json.left(merge));
        const auto right = vocabulary.id_of(json.right(merge));
        const auto result = vocabulary.id_of(json.joined(merge));
        const auto what = [&] { return fmt::format("tokenizer model.merges[{}]", i); };
        if (!left || !right || !result) {
            const std::string_view absent = !left ? json.left(merge) : !right ? json.right(merge) : json.joined(merge);
            return bad(what(), file, "tokens of the vocabulary", excerpt(absent));
        }
        if (!bpe.add_merge(*left, *right, *result)) {
            return bad(what(), file, "each merge once",
                       fmt::format("{} {} again", excerpt(json.left(merge)), excerpt(json.right(merge))));
        }
    }
    for (int byte = 0; byte < 256; ++byte) {
        const char c = static_cast<char>(byte);
        if (const auto id = vocabulary.id_of(byte_level_text({&c, 1}))) bpe.set_byte(static_cast<uint8_t>(byte), *id);
    }
    return {};
}

// An added token may repeat an entry of the model's vocabulary, with the same id.
Status check_added(const TokenizerRules& rules, const std::string& file, Vocabulary& vocabulary) {
    std::vector<bool> seen(static_cast<size_t>(Vocabulary::kIdLimit));
    for (size_t i = 0; i < rules.added.size(); ++i) {
        const TokenizerRules::Added& token = rules.added[i];
        const std::string what = fmt::format("tokenizer added_tokens[{}] {}", i, excerpt(token.text));
        const auto known = vocabulary.id_of(token.text);
        if (known && *known != token.id) return bad(what, file, fmt::format("id {}", *known), std::to_string(token.id));
        if (seen[static_cast<size_t>(token.id)]) return bad(what, file, "each token once", "it twice");
        if (!known && vocabulary.add(token.text, token.id) != Vocabulary::Added::kYes) {
            return bad(what, file, "an id of its own",
                       fmt::format("{}, the id of {}", token.id, excerpt(vocabulary.text(token.id))));
        }
        seen[static_cast<size_t>(token.id)] = true;
        if (token.special) vocabulary.set_special(token.id);
    }
    return {};
}

Result<std::optional<int32_t>> token_of(const char* field, const std::optional<std::string>& text,
                                        const std::string& file, const Vocabulary& vocabulary) {
    if (!text) return std::optional<int32_t>();
    const auto id = vocabulary.id_of(*text);
    if (!id) return bad(fmt::format("tokenizer {}", field), file, "a token of tokenizer.json", excerpt(*text));
    return id;
}

}  // namespace

Tokenizer::Tokenizer(std::unique_ptr<const Tables> tables) : tables_(std::move(tables)) {}
Tokenizer::Tokenizer(Tokenizer&&) noexcept = default;
Tokenizer& Tokenizer::operator=(Tokenizer&&) noexcept = default;
Tokenizer::~Tokenizer() = default;

Result<Tokenizer> Tokenizer::load(const std::filesystem::path& dir) {
    VKS_ASSIGN(const std::string json, read_file(dir / "tokenizer.json", kMaxTokenizerJson));
    std::string config;
    std::error_code error;
    // A link that leads nowhere is not "no file": a BOS would silently be missing.
    const std::filesystem::path path = dir / "tokenizer_config.json";
    if (std::filesystem::symlink_status(path, error).type() != std::filesystem::file_type::not_found) {
        VKS_ASSIGN(config, read_file(path, kMaxTokenizerConfig));
        if (config.empty()) return bad("tokenizer contents", path.string(), "JSON", "an empty file");
    }
    return parse(json, config, dir);
}

Result<Tokenizer> Tokenizer::parse(std::string_view tokenizer_json, std::string_view tokenizer_config,
                                   const std::filesystem::path& dir) {
    auto tables = std::make_unique<Tables>();
    const std::string file = (dir / "tokenizer.json").string();
    const std::string config_file = (dir / "tokenizer_config.json").string();
    tables->file = file;
    VKS_ASSIGN(const TokenizerJson json, read_tokenizer_json(tokenizer_json, file));
    VKS_ASSIGN(const TokenizerRules rules, read_tokenizer_rules(json.rest, file));
    VKS_ASSIGN(TokenizerConfig config, read_tokenizer_config(tokenizer_config, config_file));
    VKS_ASSIGN(tables->pretokenizer, Pretokenizer::compile(rules.patterns, file));

    tables->vocabulary.reserve(json.vocab.size() + rules.added.size());
    VKS_TRY(add_vocabulary(json, file, tables->vocabulary));
    VKS_TRY(add_merges(json, file, tables->vocabulary, tables->bpe));
    VKS_TRY(check_added(rules, file, tables->vocabulary));
    for (const TokenizerRules::Added& token : rules.added) {
        (token.normalized ? tables->added_second : tables->added_first).add(token.text, token.id);
    }
    tables->ignore_merges = rules.ignore_merges;

    VKS_TRY(token_of("post_processor", rules.bos, file, tables->vocabulary));
    const bool bos_of_template = !config.bos && rules.bos;
    if (bos_of_template) config.bos = rules.bos;
    VKS_ASSIGN(tables->bos_id,
               token_of("bos_token", config.bos, bos_of_template ? file : config_file, tables->vocabulary));
    VKS_ASSIGN(tables->eos_id, token_of("eos_token", config.eos, config_file, tables->vocabulary));
    tables->add_bos = config.add_bos.value_or(rules.bos.has_value());
    if (tables->add_bos && !tables->bos_id) return bad("tokenizer bos_token", config_file, "one to add", "none");
    return Tokenizer(std::move(tables));
}

namespace {

// Calls on_text for what lies between the added tokens of `text` (never empty) and on_token for each of them.
template <class OnText, class OnToken>
Status cut_at(const AddedTokens& added, std::string_view text, OnText on_text, OnToken on_token) {
    size_t at = 0;
    while (const auto match = added.find(text, at)) {
        if (match->begin > at) VKS_TRY(on_text(text.substr(at, match->begin - at)));
        on_token(match->id);
        at = match->begin + match->length;
    }
    if (at < text.size()) VKS_TRY(on_text(text.substr(at)));
    return {};
}

}  // namespace

Result<std::vector<int32_t>> Tokenizer::encode(std::string_view text, bool parse_added, std::string_view name) const {
    if (text.size() >= kMaxText) {
        return Error{Code::kBadInput,
                     fmt::format("{}: wanted less than {} bytes, found {}", name, kMaxText, text.size())};
    }
    if (const auto at = find_invalid_utf8(text)) {
        return Error{Code::kBadInput, fmt::format("{}: wanted UTF-8, found byte 0x{:02x} at offset {}", name,
                                                  static_cast<uint8_t>(text[*at]), *at)};
    }
    std::vector<int32_t> ids;
    std::vector<std::string_view> words;
    Bpe::Workspace work;
    const auto encode_words = [&](std::string_view piece) -> Status {
        words.clear();
        VKS_TRY(tables_->pretokenizer.split(piece, words));
        for (const std::string_view word : words) {
            if (tables_->ignore_merges) {
                if (const auto id = tables_->vocabulary.id_of(byte_level_text(word))) {
                    ids.push_back(*id);
                    continue;
                }
            }
            if (const auto byte = tables_->bpe.encode(word, work, ids)) {
                return bad("text", tables_->file, "bytes with a token in the vocabulary",
                           fmt::format("0x{:02x}", *byte));
            }
        }
        return {};
    };
    const auto on_token = [&](int32_t id) { ids.push_back(id); };
    const auto second = [&](std::string_view piece) {
        return cut_at(tables_->added_second, piece, encode_words, on_token);
    };
    if (parse_added) {
        VKS_TRY(cut_at(tables_->added_first, text, second, on_token));
    } else {
        VKS_TRY(encode_words(text));
    }
    return ids;
}

std::string Tokenizer::decode(std::span<const int32_t> ids, bool skip_special) const {
    std::string bytes;
    for (const int32_t id : ids) {
        if (!(skip_special && is_special(id))) bytes.append(token_bytes(id));
    }
    std::string text;
    append_utf8(text, bytes, true);
    return text;
}

std::string_view Tokenizer::token_bytes(int32_t id) const {
    return tables_->vocabulary.bytes(id);
}
bool Tokenizer::is_special(int32_t id) const {
    return tables_->vocabulary.special(id);
}
std::optional<int32_t> Tokenizer::id_of(std::string_view token) const {
    return tables_->vocabulary.id_of(token);
}
size_t Tokenizer::size() const {
    return tables_->vocabulary.size();
}
int32_t Tokenizer::id_limit() const {
    return tables_->vocabulary.id_limit();
}
std::optional<int32_t> Tokenizer::bos_id() const {
    return tables_->bos_id;
}
std::optional<int32_t> Tokenizer::eos_id() const {
    return tables_->eos_id;
}
bool Tokenizer::add_bos() const {
    return tables_->add_bos;
}
std::string_view Tokenizer::bos_text() const {
    return bos_id() ? tables_->vocabulary.text(*bos_id()) : std::string_view();
}
std::string_view Tokenizer::eos_text() const {
    return eos_id() ? tables_->vocabulary.text(*eos_id()) : std::string_view();
}

StreamDecoder::StreamDecoder(const Tokenizer& tokenizer, bool skip_special)
    : tokenizer_(tokenizer), skip_special_(skip_special) {}

std::string StreamDecoder::push(int32_t id) {
    if (skip_special_ && tokenizer_.is_special(id)) return {};
    pending_.append(tokenizer_.token_bytes(id));
    std::string text;
    pending_.erase(0, append_utf8(text, pending_, false));
    return text;
}

std::string StreamDecoder::finish() {
    std::string text;
    append_utf8(text, pending_, true);
    pending_.clear();
    return text;
}

}  // namespace vks
