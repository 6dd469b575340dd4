// From a prompt's ids to generated ids and text: prefill in chunks, then a step a token or, with drafts, for several,
// until something says stop.
// Doesn't print and doesn't know the command line.
#pragma once
#include <atomic>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "backend/base/result.h"
#include "frontend/gen/engine.h"
#include "frontend/gen/sampler.h"
#include "frontend/gen/sequence.h"
#include "frontend/gen/speculative.h"
#include "frontend/gen/swaps.h"
#include "frontend/text/tokenizer.h"

namespace vks {

// Why generation ended.
enum class Finish {
    kStop,         // an end-of-text id or a stop string
    kLength,       // as many tokens as were asked for
    kContext,      // prompt and generated tokens fill the context
    kInterrupted,  // the caller's flag was set
};
std::string_view finish_name(Finish finish);  // "stop", "length", "context", "interrupted"

struct GenerateOptions {
    SamplingOptions sampling;
    int64_t max_tokens = -1;         // < 0: until the context is full
    std::vector<int32_t> eos_ids;    // generating one of them ends the text; it is among the ids, not in the text
    std::vector<std::string> stops;  // a stop string ends the text before it
    std::vector<PlannedSwap> swaps;  // where operators run from then on
};

// What the caller wants to hear while it lasts; each may be empty.
struct GenerateHooks {
    std::function<Status(std::string_view)> text;  // the next piece of text, whole UTF-8 characters; its error ends all
    std::function<void(int64_t, int64_t)> prefilled;  // tokens of the prompt done, and in all
    std::function<void(std::span<const float>)> row;  // the logits that gave the next id
    const std::atomic<bool>* interrupted = nullptr;   // looked at between steps
};

// Tokens that went through the model and the time that took.
struct Phase {
    int64_t tokens = 0;
    double seconds = 0;
    double rate() const { return seconds > 0 ? static_cast<double>(tokens) / seconds : 0; }
};

struct Generation {
    std::vector<int32_t> ids;  // generated
    std::string text;          // of ids; special tokens and ids without an entry print nothing
    Finish finish = Finish::kLength;
    int64_t reused = 0;    // of the prompt: already in the cache
    Phase prefill;         // the rest of the prompt; gives the first id
    Phase decode;          // every id after the first
    SpeculationStats mtp;  // of the decode phase
    std::vector<SwapEvent> swaps;
    uint64_t logits_hash = 0;  // FNV-1a of the bits of the last row of logits; 0 without one

    // Of the main model after the prompt.
    double tokens_per_step() const { return mtp.steps > 0 ? double(decode.tokens) / double(mtp.steps) : 1; }
};

// Not thread-safe.
class Generator {
public:
    // Both must outlive the generator; `tokenizer` may be null, texts are empty then. With drafts the engine has as
    // many in its options, and at least one MTP module.
    Generator(Engine& engine, const Tokenizer* tokenizer, SpeculationOptions speculation = {});

    // Continues `prompt`. What it has in common with the ids of earlier runs stays in the cache and isn't run again.
    // Errors: an empty prompt, one longer than the context, ids outside the vocabulary, those of steps and hooks.
    Result<Generation> run(std::span<const int32_t> prompt, const GenerateOptions& options, const GenerateHooks& hooks);

    // For measurements at a depth: as if `prompt` had been run. Its first tokens (a chunk of the engine's) are; the
    // rows of the others in the latent caches are copies of theirs. Without drafts.
    Status pretend(std::span<const int32_t> prompt);

    // Between two runs: a change of placement. What was run stays in the caches; rows that a lost device took with it
    // are computed again. An error before it took place leaves all as it was.
    Result<SwapEvent> change(const Change& change);

    // The next run begins with an empty cache.
    void reset() { sequence_.truncate(0); }

private:
    Status check(std::span<const int32_t> prompt) const;
    void note_recoveries(Generation& out);
    // False: interrupted.
    Result<bool> prefill(std::span<const int32_t> prompt, const GenerateHooks& hooks, Generation& out);

    Engine& engine_;
    const Tokenizer* tokenizer_;
    SpeculationOptions speculation_;
    DraftLength length_;  // what it learned lasts from run to run
    Sequence sequence_;
};

// Error unless every id is within the vocabulary; `what` names them in the message.
Status check_ids(std::span<const int32_t> ids, int64_t vocab_size, std::string_view what);

}  // namespace vks
