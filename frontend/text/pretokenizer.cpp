// Split patterns on PCRE2. The differences between its syntax and Oniguruma's are split_pattern's business.
#include "frontend/text/pretokenizer.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <fmt/format.h>
#include <pcre2.h>

#include <algorithm>
#include <array>

#include "frontend/text/split_pattern.h"
#include "frontend/text/utf8.h"

namespace vks {
namespace {

std::string pcre2_text(int code) {
    std::array<PCRE2_UCHAR, 160> text{};
    pcre2_get_error_message(code, text.data(), text.size());
    return reinterpret_cast<const char*>(text.data());
}

// What one call of split needs; PCRE2's compiled patterns are shared between threads, these are not.
struct MatchState {
    std::unique_ptr<pcre2_match_data, void (*)(pcre2_match_data*)> data{pcre2_match_data_create(1, nullptr),
                                                                        pcre2_match_data_free};
    std::unique_ptr<pcre2_match_context, void (*)(pcre2_match_context*)> context{pcre2_match_context_create(nullptr),
                                                                                 pcre2_match_context_free};
};

// Appends the pieces of `text` between and around the matches of `code`; returns PCRE2's error, or 0.
int cut(const pcre2_code* code, std::string_view text, const MatchState& state, std::vector<std::string_view>& pieces) {
    const auto* subject = reinterpret_cast<PCRE2_SPTR>(text.data());
    const PCRE2_SIZE* match = pcre2_get_ovector_pointer(state.data.get());
    size_t at = 0;
    while (at < text.size()) {
        // Without NO_UTF_CHECK each call would read the whole rest of the text.
        const auto run = [&](uint32_t options) {
            return pcre2_match(code, subject, text.size(), at, PCRE2_NO_UTF_CHECK | options, state.data.get(),
                               state.context.get());
        };
        int found = run(0);
        // Compiled code works on a fixed stack; the interpreter takes what it needs from the heap.
        if (found == PCRE2_ERROR_JIT_STACKLIMIT) found = run(PCRE2_NO_JIT);
        if (found == PCRE2_ERROR_NOMATCH) break;
        if (found < 0) return found;
        if (match[0] > at) pieces.push_back(text.substr(at, match[0] - at));
        pieces.push_back(text.substr(match[0], match[1] - match[0]));
        at = match[1];
    }
    if (at < text.size()) pieces.push_back(text.substr(at));
    return 0;
}

}  // namespace

void Pretokenizer::FreeCode::operator()(pcre2_real_code_8* code) const {
    pcre2_code_free(code);
}

Result<Pretokenizer> Pretokenizer::compile(const std::vector<std::string>& patterns, const std::string& file) {
    Pretokenizer made;
    for (const std::string& pattern : patterns) {
        const auto refused = [&](std::string_view wanted, std::string_view found) {
            return Error{Code::kBadInput, fmt::format("pre_tokenizer pattern {} ({}): wanted {}, found {}",
                                                      excerpt(pattern), file, wanted, found)};
        };
        if (find_invalid_utf8(pattern)) return refused("UTF-8", "other bytes");
        VKS_ASSIGN(const std::string translated, split_pattern_for_pcre2(pattern, file));
        int error = 0;
        PCRE2_SIZE where = 0;
        pcre2_code* code = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(translated.data()), translated.size(),
                                         PCRE2_UTF | PCRE2_UCP, &error, &where, nullptr);
        if (code == nullptr) return refused("a regular expression", pcre2_text(error));
        made.codes_.emplace_back(code);
        uint32_t may_be_empty = 0;
        pcre2_pattern_info(code, PCRE2_INFO_MATCHEMPTY, &may_be_empty);
        if (may_be_empty != 0) return refused("one that always matches something", "one that can match nothing");
        // Where there is no compiler for this machine, or no executable memory, the interpreter does the same.
        pcre2_jit_compile(code, PCRE2_JIT_COMPLETE);
    }
    return made;
}

Status Pretokenizer::split(std::string_view text, std::vector<std::string_view>& words) const {
    if (text.empty()) return {};
    const MatchState state;
    if (!state.data || !state.context) return Error{Code::kBadInput, "text: wanted memory to split it, found none"};
    // The limit holds for each place where a match may begin. It rises with the length: stepping back over a long run
    // of spaces once is fine. Its base is far below PCRE2's own, with which every byte may take a tenth of a second.
    constexpr size_t kSteps = 100'000, kStepsPerByte = 16;
    const size_t steps = kSteps + std::min<size_t>(text.size(), UINT32_MAX / 2 / kStepsPerByte) * kStepsPerByte;
    pcre2_set_match_limit(state.context.get(), static_cast<uint32_t>(steps));

    std::vector<std::string_view> pieces = {text}, finer;
    for (const auto& code : codes_) {
        finer.clear();
        for (const std::string_view piece : pieces) {
            if (const int error = cut(code.get(), piece, state, finer); error != 0) {
                return Error{
                    Code::kBadInput,
                    fmt::format("text: wanted one the pre_tokenizer patterns can split, found {}", pcre2_text(error))};
            }
        }
        pieces.swap(finer);
    }
    words.insert(words.end(), pieces.begin(), pieces.end());
    return {};
}

}  // namespace vks
