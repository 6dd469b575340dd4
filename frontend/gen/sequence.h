// One sequence in an engine's latent caches: which rows of the main model's and of each MTP module's caches stand for
// which ids. Takes ids back without copying: their rows are overwritten by what comes next.
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "backend/base/result.h"
#include "frontend/gen/engine.h"

namespace vks {

// A device failed, and what ran goes on without it.
struct Recovery {
    std::string reason;  // the error
    Swap swap;
    int64_t recomputed_tokens = 0;  // whose rows of the main model were lost with the device
};

// Row i of module k's cache depends on ids 0 to i + k, row i of the main model's on 0 to i (module 0, so to speak).
// Not thread-safe.
class Sequence {
public:
    // `modules`: the MTP modules to keep up with the main model, at most engine.options().mtp. The engine must outlive
    // this, and nothing else may run steps on it.
    Sequence(Engine& engine, int modules);

    // Ids run by the main model, and then those pushed since.
    std::span<const int32_t> ids() const { return ids_; }
    // How many of them the main model has run.
    int64_t run_count() const { return rows_[0]; }
    // Rows of module k's cache that are right.
    int64_t rows(int k) const { return rows_[size_t(k)]; }

    // The sequence becomes `prompt`, of which what the main model's cache already has needn't run again, as far as
    // modules lack nothing for theirs: how many that are. At least the last one stays to be run.
    int64_t begin(std::span<const int32_t> prompt);
    void push(int32_t id) { ids_.push_back(id); }
    // For measurements: goes on as `ids`, which begin with those that were run; the rows of the others are copies of
    // theirs (Engine::repeat_rows). Without modules.
    Status stretch(std::span<const int32_t> ids);
    // Takes back the ids from `size` on, and all that depends on them.
    void truncate(int64_t size);

    // The engine changed its plans: rows that a lost device took with it are computed again, as after a failure below.
    // How many of the main model those were.
    Result<int64_t> adopt(const Swap& swap);

    // A device that fails in one of these is left, the rows that went with it are computed again, and so is what
    // was running. An error means that this can't be done.

    // The main model over the next `count` ids.
    Status run(int64_t count);
    // The same over all that were pushed, one and its drafts.
    Status verify();
    // Modules over the rows before `end`, as far as their ids are there; draft() does what is left.
    Status catch_up(int64_t end);
    // Of the last run() that left no id to run, or the last verify(): engine().logits(). Once.
    std::vector<float> take_logits() { return std::exchange(logits_, {}); }
    // What happened since this was asked for the last time.
    std::vector<Recovery> recoveries() { return std::exchange(recoveries_, {}); }
    // How many rows module 1 is behind.
    int64_t behind() const { return rows_.size() > 1 ? rows_[0] - rows_[1] : 0; }
    // So many that what is kept for them is worth being rid of.
    bool keeps_much() const { return behind() * int64_t(engine_.hidden_bytes()) > kMostKept; }
    // A draft's logits: what follows the ids, at least one of which was pushed since the last step. One module after
    // the other predicts one id further; after the last module comes itself, on its own output at the next row.
    Result<std::vector<float>> draft();

    Engine& engine() { return engine_; }

private:
    static constexpr int64_t kMostKept = int64_t{64} << 20;
    // Rows [first, first + bytes / width) of final norms.
    struct Hidden {
        int64_t first = 0;
        std::vector<std::byte> bytes;
    };
    int modules() const { return int(rows_.size()) - 1; }
    void ran(int module, int64_t count);
    Status advance(int module, int64_t end);
    template <class Work>
    Status attempt(Work&& work);
    Status main_step(Status (Engine::*step)(std::span<const int32_t>, int64_t), int64_t count);
    Result<std::vector<float>> draft_once(int module, int64_t first, int64_t depth);
    void drop_used();
    Status recover(const Error& error, int unread);
    Status recover_to(std::span<const int64_t> rows, Error error);
    Status run_again(std::span<const int64_t> rows);
    void lose(std::span<const int64_t> left);

    Engine& engine_;
    std::vector<int32_t> ids_;
    std::vector<int64_t> rows_;   // by module
    std::vector<Hidden> hidden_;  // of each module that has a next one: what that may still need
    std::vector<std::byte> own_;  // the last module's, of its last row run
    std::vector<float> logits_;
    std::vector<Recovery> recoveries_;
};

}  // namespace vks
