#include "frontend/gen/generator.h"

#include <algorithm>
#include <bit>
#include <chrono>
#include <optional>
#include <utility>

#include "backend/base/bad_input.h"
#include "frontend/gen/stop_strings.h"

namespace vks {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
    return std::chrono::duration<double>(Clock::now() - start).count();
}

uint64_t hash_row(std::span<const float> row) {
    uint64_t hash = 0xcbf29ce484222325;
    for (const float value : row) {
        const uint32_t bits = std::bit_cast<uint32_t>(value);
        for (int shift = 0; shift < 32; shift += 8) {
            hash = (hash ^ ((bits >> shift) & 0xff)) * 0x100000001b3;
        }
    }
    return hash;
}

// The text side of a run: ids to whole characters to what is no stop string.
class TextOut {
public:
    TextOut(const Tokenizer* tokenizer, const GenerateOptions& options, const GenerateHooks& hooks, std::string& text)
        : stops_(options.stops), hooks_(hooks), text_(text) {
        if (tokenizer) decoder_.emplace(*tokenizer, true);
    }
    Status push(int32_t id) { return decoder_ ? emit(stops_.push(decoder_->push(id))) : Status{}; }
    Status finish() {
        if (!decoder_ || stops_.stopped()) return {};
        std::string rest = stops_.push(decoder_->finish());
        return emit(rest + stops_.finish());
    }
    bool stopped() const { return stops_.stopped(); }

private:
    Status emit(const std::string& piece) {
        text_ += piece;
        return piece.empty() || !hooks_.text ? Status{} : hooks_.text(piece);
    }
    std::optional<StreamDecoder> decoder_;
    StopStrings stops_;
    const GenerateHooks& hooks_;
    std::string& text_;
};

bool is_set(const std::atomic<bool>* flag) {
    return flag && flag->load();
}

}  // namespace

std::string_view finish_name(Finish finish) {
    switch (finish) {
        case Finish::kStop:
            return "stop";
        case Finish::kLength:
            return "length";
        case Finish::kContext:
            return "context";
        case Finish::kInterrupted:
            return "interrupted";
    }
    return "";
}

Status check_ids(std::span<const int32_t> ids, int64_t vocab_size, std::string_view what) {
    for (size_t i = 0; i < ids.size(); ++i) {
        if (ids[i] < 0 || ids[i] >= vocab_size) {
            return bad_input("{}: wanted ids from 0 to {}, found {} at position {}", what, vocab_size - 1, ids[i], i);
        }
    }
    return {};
}

Status Generator::check(std::span<const int32_t> prompt) const {
    if (prompt.empty()) return bad_input("prompt: wanted at least one token, found none");
    if (static_cast<int64_t>(prompt.size()) > engine_.context()) {
        return bad_input("prompt: wanted at most {} tokens (the context, -c), found {}", engine_.context(),
                         prompt.size());
    }
    return check_ids(prompt, engine_.config().vocab_size, "prompt");
}

Status Generator::step(std::span<const int32_t> ids) {
    // A step that fails may have written some rows: they don't count.
    VKS_TRY(engine_.step(ids, static_cast<int64_t>(cached_.size())));
    cached_.insert(cached_.end(), ids.begin(), ids.end());
    return {};
}

Result<std::vector<float>> Generator::last_logits() {
    VKS_ASSIGN(std::vector<float> rows, engine_.logits());
    const auto vocab = static_cast<ptrdiff_t>(engine_.config().vocab_size);
    rows.erase(rows.begin(), rows.end() - vocab);  // more than one under all_rows
    return rows;
}

Result<bool> Generator::prefill(std::span<const int32_t> prompt, const GenerateHooks& hooks, Generation& out) {
    const auto start = Clock::now();
    const auto differ = std::mismatch(prompt.begin(), prompt.end(), cached_.begin(), cached_.end()).first;
    // The last token always runs: its logits are wanted.
    const size_t common = std::min(static_cast<size_t>(differ - prompt.begin()), prompt.size() - 1);
    cached_.resize(common);
    out.reused = static_cast<int64_t>(common);

    const size_t chunk = static_cast<size_t>(engine_.options().chunk);
    for (size_t at = common; at < prompt.size();) {
        if (is_set(hooks.interrupted)) return false;
        const size_t count = std::min(chunk, prompt.size() - at);
        VKS_TRY(step(prompt.subspan(at, count)));
        at += count;
        out.prefill = {static_cast<int64_t>(at - common), seconds_since(start)};
        if (hooks.prefilled) hooks.prefilled(out.prefill.tokens, static_cast<int64_t>(prompt.size() - common));
    }
    return true;
}

Result<Generation> Generator::run(std::span<const int32_t> prompt, const GenerateOptions& options,
                                  const GenerateHooks& hooks) {
    VKS_TRY(check(prompt));
    Generation out;
    VKS_ASSIGN(const bool ready, prefill(prompt, hooks, out));
    if (!ready) {
        out.finish = Finish::kInterrupted;
        return out;
    }

    std::vector<int32_t> sequence(prompt.begin(), prompt.end());  // prompt and generated ids
    Sampler sampler(options.sampling);
    TextOut text(tokenizer_, options, hooks, out.text);
    std::vector<float> row;
    Clock::time_point first_token;
    std::optional<Finish> finish;
    const auto full = [&]() -> std::optional<Finish> {
        const int64_t done = static_cast<int64_t>(out.ids.size());
        if (options.max_tokens >= 0 && done >= options.max_tokens) return Finish::kLength;
        if (static_cast<int64_t>(sequence.size()) >= engine_.context()) return Finish::kContext;
        return {};
    };
    for (finish = full(); !finish;) {
        VKS_ASSIGN(row, last_logits());
        VKS_ASSIGN(const int32_t id, sampler.sample(row, static_cast<int64_t>(sequence.size()), sequence));
        sequence.push_back(id);
        out.ids.push_back(id);
        const int64_t done = static_cast<int64_t>(out.ids.size());
        if (done == 1) first_token = Clock::now();
        if (done > 1) out.decode = {done - 1, seconds_since(first_token)};

        const bool eos = std::find(options.eos_ids.begin(), options.eos_ids.end(), id) != options.eos_ids.end();
        if (!eos) VKS_TRY(text.push(id));
        finish = eos || text.stopped() ? Finish::kStop : full();
        if (!finish && is_set(hooks.interrupted)) finish = Finish::kInterrupted;
        if (!finish) VKS_TRY(step({&id, 1}));
    }
    out.finish = *finish;
    if (row.empty()) {
        VKS_ASSIGN(row, last_logits());
    }
    out.logits_hash = hash_row(row);  // also of a run that was to generate nothing
    VKS_TRY(text.finish());
    return out;
}

}  // namespace vks
