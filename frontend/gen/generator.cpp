#include "frontend/gen/generator.h"

#include <algorithm>
#include <bit>
#include <optional>
#include <utility>

#include "backend/base/bad_input.h"
#include "backend/base/clock.h"
#include "frontend/gen/stop_strings.h"

namespace vks {
namespace {

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

Generator::Generator(Engine& engine, const Tokenizer* tokenizer, SpeculationOptions speculation)
    : engine_(engine),
      tokenizer_(tokenizer),
      speculation_(std::move(speculation)),
      length_(speculation_.most),
      sequence_(engine, speculation_.most > 0 ? engine.options().mtp : 0) {
    CHECK(speculation_.most <= engine.options().draft, "{} drafts of {}", speculation_.most, engine.options().draft);
}

Status Generator::check(std::span<const int32_t> prompt) const {
    if (prompt.empty()) return bad_input("prompt: wanted at least one token, found none");
    if (static_cast<int64_t>(prompt.size()) > engine_.context()) {
        return bad_input("prompt: wanted at most {} tokens (the context, -c), found {}", engine_.context(),
                         prompt.size());
    }
    return check_ids(prompt, engine_.config().vocab_size, "prompt");
}

void Generator::note_recoveries(Generation& out) {
    for (Recovery& r : sequence_.recoveries())
        out.swaps.push_back({std::ssize(out.ids), std::move(r.reason), std::move(r.swap), r.recomputed_tokens, ""});
}

Result<bool> Generator::prefill(std::span<const int32_t> prompt, const GenerateHooks& hooks, Generation& out) {
    const auto start = Clock::now();
    out.reused = sequence_.begin(prompt);
    const int64_t total = std::ssize(prompt) - out.reused;
    while (sequence_.run_count() < std::ssize(prompt)) {
        if (is_set(hooks.interrupted)) return false;
        VKS_TRY(sequence_.run(std::min(engine_.options().chunk, std::ssize(prompt) - sequence_.run_count())));
        // Whether drafts will be wanted isn't known yet.
        if (!speculation_.adapt || sequence_.keeps_much()) VKS_TRY(sequence_.catch_up(sequence_.run_count()));
        out.prefill = {sequence_.run_count() - out.reused, seconds_since(start)};
        note_recoveries(out);
        if (hooks.prefilled) hooks.prefilled(out.prefill.tokens, total);
    }
    // A module is a layer and little else. The first steps of a process take long.
    const double part = double(engine_.options().mtp) / double(engine_.config().num_hidden_layers);
    length_.expect_row(part * out.prefill.seconds / double(std::max<int64_t>(1, out.prefill.tokens)), part);
    return true;
}

Status Generator::pretend(std::span<const int32_t> prompt) {
    VKS_TRY(check(prompt));
    const auto first = prompt.first(size_t(std::min(engine_.options().chunk, std::ssize(prompt))));
    sequence_.begin(first);
    VKS_TRY(sequence_.run(std::ssize(first) - sequence_.run_count()));
    return sequence_.stretch(prompt);
}

Result<SwapEvent> Generator::change(const Change& change) {
    SwapEvent event;
    VKS_TRY(prepare(engine_, change));
    VKS_ASSIGN(event.swap, commit(engine_, change));
    VKS_ASSIGN(event.recomputed_tokens, sequence_.adopt(event.swap));
    return event;
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

    Sampler sampler(options.sampling);
    Speculator speculator(sequence_, sampler, speculation_, length_);
    VKS_TRY(speculator.begin());
    TextOut text(tokenizer_, options, hooks, out.text);
    Clock::time_point first_token;
    const int64_t room = engine_.context() - std::ssize(prompt);
    // How many more ids there may be, and why not more.
    const auto left = [&] {
        const int64_t done = std::ssize(out.ids);
        if (options.max_tokens >= 0 && options.max_tokens <= room) {
            return std::pair(options.max_tokens - done, Finish::kLength);
        }
        return std::pair(room - done, Finish::kContext);
    };
    const auto full = [&] { return left().first > 0 ? std::optional<Finish>{} : left().second; };
    std::optional<Finish> finish = full();
    SwapSchedule swaps(sequence_, options.swaps, out.swaps);
    while (!finish) {
        VKS_TRY(swaps.at(std::ssize(out.ids)));
        if (speculator.used_up()) VKS_TRY(speculator.step(left().first - 1));
        note_recoveries(out);
        VKS_ASSIGN(const int32_t id, speculator.next());
        out.ids.push_back(id);
        if (hooks.row) hooks.row(speculator.row());
        const int64_t done = std::ssize(out.ids);
        if (done == 1) first_token = Clock::now();
        if (done > 1) out.decode = {done - 1, seconds_since(first_token)};

        const bool eos = std::find(options.eos_ids.begin(), options.eos_ids.end(), id) != options.eos_ids.end();
        if (!eos) VKS_TRY(text.push(id));
        finish = eos || text.stopped() ? Finish::kStop : full();
        if (!finish && is_set(hooks.interrupted)) finish = Finish::kInterrupted;
    }
    swaps.finish(std::ssize(out.ids));
    out.finish = *finish;
    out.mtp = speculator.stats();
    out.logits_hash = hash_row(speculator.row());  // also of a run that was to generate nothing
    VKS_TRY(text.finish());
    return out;
}

}  // namespace vks
