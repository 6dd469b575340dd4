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

// The released patterns, known to take linear time. Whatever else a file brings has its steps counted, which takes half
// as much time again.
constexpr std::array<std::string_view, 3> kLinear = {
    R"(\p{N}{1,3})", "[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+",
    "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\r\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| "
    "?[\\p{P}\\p{S}]+[\r\n]*|\\s*[\r\n]+|\\s+(?!\\S)|\\s+"};

// The steps of one call of split. PCRE2's own limits count backtracking only, not the characters that a repeat runs
// over: stacked repeats, or a long look ahead from every place, would take years.
struct Steps {
    uint64_t left;
    PCRE2_SIZE at;
};

// Called before each item of a counted pattern: one step, and as many as there are bytes between here and the last
// place.
int count_steps(pcre2_callout_block* block, void* data) {
    auto& steps = *static_cast<Steps*>(data);
    const PCRE2_SIZE at = block->current_position;
    const uint64_t taken = 1 + (at > steps.at ? at - steps.at : steps.at - at);
    steps.at = at;
    if (taken > steps.left) return PCRE2_ERROR_MATCHLIMIT;
    steps.left -= taken;
    return 0;
}

// What one call of split needs; PCRE2's compiled patterns are shared between threads, these are not.
struct MatchState {
    std::unique_ptr<pcre2_match_data, void (*)(pcre2_match_data*)> data{pcre2_match_data_create(1, nullptr),
                                                                        pcre2_match_data_free};
    std::unique_ptr<pcre2_match_context, void (*)(pcre2_match_context*)> context{pcre2_match_context_create(nullptr),
                                                                                 pcre2_match_context_free};
};

// Appends the pieces of `text` between and around the matches of `code`; returns PCRE2's error, or 0.
int cut_by(const pcre2_code* code, std::string_view text, const MatchState& state,
           std::vector<std::string_view>& pieces) {
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
        const bool counted = std::ranges::find(kLinear, pattern) == kLinear.end();
        int error = 0;
        PCRE2_SIZE where = 0;
        pcre2_code* code =
            pcre2_compile(reinterpret_cast<PCRE2_SPTR>(translated.data()), translated.size(),
                          PCRE2_UTF | PCRE2_UCP | (counted ? PCRE2_AUTO_CALLOUT : 0), &error, &where, nullptr);
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
    // Both rise with the length: stepping back over a long run of spaces once is fine. PCRE2's limit holds for each
    // place where a match may begin, ours for the whole text; patterns in use need some ten steps a byte.
    constexpr size_t kTries = 100'000, kTriesPerByte = 16, kSteps = 1'000'000, kStepsPerByte = 256;
    const size_t tries = kTries + std::min<size_t>(text.size(), UINT32_MAX / 2 / kTriesPerByte) * kTriesPerByte;
    Steps steps{kSteps + text.size() * kStepsPerByte, 0};
    pcre2_set_match_limit(state.context.get(), static_cast<uint32_t>(tries));
    pcre2_set_callout(state.context.get(), count_steps, &steps);

    std::vector<std::string_view> pieces = {text}, finer;
    for (const auto& code : codes_) {
        finer.clear();
        for (const std::string_view piece : pieces) {
            steps.at = 0;
            if (const int error = cut_by(code.get(), piece, state, finer); error != 0) {
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
