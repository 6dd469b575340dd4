// tokenizer.json and, after a NUL, tokenizer_config.json. Whatever tokenizer is accepted gives a text back as it was,
// if it can encode it.
#include "frontend/text/tokenizer.h"
#include "tests/fuzz/fuzz.h"

namespace vks::fuzz {
namespace {

void check_text(const Tokenizer& tokenizer, std::string_view text) {
    const auto ids = tokenizer.encode(text, false);
    if (const auto* found = accepted(ids)) {
        for (const int32_t id : *found) CHECK(id >= 0 && id < tokenizer.id_limit(), "id {}", id);
        CHECK(tokenizer.decode(*found) == text, "another text back: {}", one_line(tokenizer.decode(*found)));
    }
    // An added token may look like another token's bytes, so that the way back differs; it is UTF-8 all the same.
    const auto with_added = tokenizer.encode(text);
    if (const auto* found = accepted(with_added)) check_utf8(tokenizer.decode(*found));
}

}  // namespace

void run_input(std::string_view input) {
    const size_t end = std::min(input.find('\0'), input.size());
    const std::string_view config = end < input.size() ? input.substr(end + 1) : std::string_view();
    const auto result = Tokenizer::parse(input.substr(0, end), config, "folder");
    const Tokenizer* tokenizer = accepted(result);
    if (tokenizer == nullptr) return;
    CHECK(tokenizer->size() > 0 && tokenizer->id_limit() > 0, "an empty tokenizer");
    CHECK(!tokenizer->add_bos() || tokenizer->bos_id(), "no BOS to add");
    for (const std::string_view text :
         {"", "ab abc  aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!?\n\n", "<s> 12345 \xC3\xA9\xE4\xB8\xAD\xF0\x9F\x98\x80 "}) {
        check_text(*tokenizer, text);
    }
    check_text(*tokenizer, input.substr(0, std::min<size_t>(end, 256)));
}

}  // namespace vks::fuzz
