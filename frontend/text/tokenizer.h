// The tokenizer of a checkpoint, as Hugging Face's tokenizer.json describes it: text to ids and back, exactly as their
// library does it. Does byte-level BPE as DeepSeek-V3 releases it and refuses every other kind; chat templates are
// frontend/text/chat.
#pragma once
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "backend/base/result.h"

namespace vks {

// Immutable and move-only; every const function may be called from several threads at a time. A moved-from tokenizer
// may only be assigned to or destroyed.
class Tokenizer {
public:
    // Reads tokenizer.json and, if there is one, tokenizer_config.json in `dir`.
    static Result<Tokenizer> load(const std::filesystem::path& dir);
    // The same from the files' contents; an empty `tokenizer_config` is no file. `dir` is for messages only.
    static Result<Tokenizer> parse(std::string_view tokenizer_json, std::string_view tokenizer_config,
                                   const std::filesystem::path& dir);

    Tokenizer(const Tokenizer&) = delete;
    Tokenizer& operator=(const Tokenizer&) = delete;
    Tokenizer(Tokenizer&&) noexcept;
    Tokenizer& operator=(Tokenizer&&) noexcept;
    ~Tokenizer();

    // The ids of `text`; no BOS is added. With `parse_added`, text equal to an added token becomes that token; without,
    // it is text like any other. Fails if `text` is not UTF-8 (Hugging Face can not be given such text), holds a byte
    // the vocabulary has no token for, or is 2 GiB or longer; the first and the last of these errors begin with `name`.
    // Time grows about linearly with the length.
    Result<std::vector<int32_t>> encode(std::string_view text, bool parse_added = true,
                                        std::string_view name = "text") const;

    // The text of `ids`, always UTF-8: bytes that do not form characters become U+FFFD, one for each maximal piece. Ids
    // without an entry print nothing, nor with `skip_special` do special tokens (not all added tokens are special).
    std::string decode(std::span<const int32_t> ids, bool skip_special = false) const;

    // The bytes `id` contributes to a text, often not whole characters; empty for an id without an entry. Borrowed.
    std::string_view token_bytes(int32_t id) const;
    // `id` has an entry that is flagged special.
    bool is_special(int32_t id) const;
    // The id of a token given as the file writes it: "<｜User｜>", or "Ġthe" in the byte alphabet.
    std::optional<int32_t> id_of(std::string_view token) const;

    size_t size() const;       // entries, added tokens included; a model's vocabulary may be larger
    int32_t id_limit() const;  // one more than the largest id that has an entry

    // What tokenizer_config.json says; without it there is neither, unless the post-processor names a BOS. A token that
    // is given has an id; the texts are empty where there is none. add_bos() implies bos_id().
    std::optional<int32_t> bos_id() const;
    std::optional<int32_t> eos_id() const;
    bool add_bos() const;  // a prompt of text is to begin with bos_id(); encode leaves that to its caller
    std::string_view bos_text() const;
    std::string_view eos_text() const;

private:
    struct Tables;
    explicit Tokenizer(std::unique_ptr<const Tables> tables);
    std::unique_ptr<const Tables> tables_;
};

// Decodes ids as they come, never splitting a character: what push and finish returned, joined, is decode() of all ids.
// The tokenizer must outlive it and stay where it is. One thread at a time.
class StreamDecoder {
public:
    explicit StreamDecoder(const Tokenizer& tokenizer, bool skip_special = false);

    // The text that is certain once `id` has come; empty while a character is incomplete.
    std::string push(int32_t id);
    // U+FFFD if the last character stayed incomplete, otherwise nothing. The decoder then starts anew.
    std::string finish();

private:
    const Tokenizer& tokenizer_;
    bool skip_special_;
    std::string pending_;  // the bytes of an incomplete character, at most 3
};

}  // namespace vks
