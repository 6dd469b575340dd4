// Text through the demo model's tokenizer and back, and arbitrary ids through decoding, at once and as a stream.
#include <vector>

#include "frontend/text/tokenizer.h"
#include "tests/fuzz/fuzz.h"

namespace vks::fuzz {
namespace {

const Tokenizer& demo() {
    static const Tokenizer tokenizer = [] {
        auto loaded = Tokenizer::load(VKS_DEMO_MODEL);
        CHECK(loaded, "no tokenizer: {}", loaded.error().text);
        return *std::move(loaded);
    }();
    return tokenizer;
}

void check_text(std::string_view text, bool parse_added) {
    const auto ids = demo().encode(text, parse_added);
    const auto* found = accepted(ids);
    CHECK((found != nullptr) == !find_invalid_utf8(text), "UTF-8 or not: {}", one_line(text));
    if (found == nullptr) return;
    for (const int32_t id : *found) CHECK(id >= 0 && id < demo().id_limit(), "id {}", id);
    CHECK(demo().decode(*found) == text, "{} came back as {}", one_line(text), one_line(demo().decode(*found)));
}

void check_ids(const std::vector<int32_t>& ids, bool skip_special) {
    const std::string text = demo().decode(ids, skip_special);
    check_utf8(text);
    StreamDecoder decoder(demo(), skip_special);
    std::string streamed;
    for (const int32_t id : ids) {
        const std::string piece = decoder.push(id);
        check_utf8(piece);
        streamed += piece;
    }
    streamed += decoder.finish();
    CHECK(streamed == text, "{} as a stream is {}", one_line(text), one_line(streamed));
    check_text(text, true);
}

}  // namespace

void run_input(std::string_view input) {
    check_text(input, true);
    check_text(input, false);
    std::vector<int32_t> ids;  // two bytes each: every entry of the vocabulary, some that are none, some negative
    for (size_t i = 0; i + 1 < input.size(); i += 2) {
        ids.push_back(static_cast<int8_t>(input[i]) * 256 + static_cast<uint8_t>(input[i + 1]));
    }
    check_ids(ids, false);
    check_ids(ids, true);
}

}  // namespace vks::fuzz
