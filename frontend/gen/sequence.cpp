#include "frontend/gen/sequence.h"

#include <algorithm>
#include <limits>

namespace vks {

Sequence::Sequence(Engine& engine, int modules)
    : engine_(engine), rows_(size_t(modules) + 1), hidden_(size_t(modules)) {
    CHECK(modules <= engine.options().mtp, "{} MTP modules of {}", modules, engine.options().mtp);
    CHECK(modules == 0 || !engine.options().all_rows, "a draft is one row of logits");
}

int64_t Sequence::begin(std::span<const int32_t> prompt) {
    const auto differ = std::mismatch(prompt.begin(), prompt.end(), ids_.begin(), ids_.end()).first;
    const int64_t common = std::min(differ - prompt.begin(), std::ssize(prompt) - 1);
    std::vector<int64_t> left;
    for (int64_t k = 0; k < std::ssize(rows_); ++k) left.push_back(std::max<int64_t>(0, common - k));
    lose(left);
    ids_.assign(prompt.begin(), prompt.end());
    return rows_[0];
}

Status Sequence::stretch(std::span<const int32_t> ids) {
    CHECK(modules() == 0 && run_count() >= 1 && std::ssize(ids) <= engine_.context(), "{} ids", ids.size());
    CHECK(std::ranges::equal(ids.first(size_t(run_count())), ids_), "other ids than those that were run");
    VKS_TRY(engine_.repeat_rows(run_count(), std::ssize(ids)));
    ids_.assign(ids.begin(), ids.end());
    rows_[0] = std::ssize(ids);
    return {};
}

void Sequence::truncate(int64_t size) {
    if (size < std::ssize(ids_)) ids_.resize(size_t(size));
    for (size_t k = 0; k < rows_.size(); ++k) {
        rows_[k] = std::clamp<int64_t>(size - int64_t(k), 0, rows_[k]);
        if (k == hidden_.size()) continue;
        Hidden& hidden = hidden_[k];
        const int64_t kept = std::max<int64_t>(0, rows_[k] - hidden.first);
        hidden.bytes.resize(std::min(hidden.bytes.size(), size_t(kept) * engine_.hidden_bytes()));
    }
}

void Sequence::ran(int module, int64_t count) {
    const size_t k = size_t(module);
    rows_[k] += count;
    const std::span<const std::byte> out = engine_.hidden();
    if (k < hidden_.size()) {
        hidden_[k].bytes.insert(hidden_[k].bytes.end(), out.begin(), out.end());
    } else if (!out.empty()) {
        const auto last = out.last(engine_.hidden_bytes());
        own_.assign(last.begin(), last.end());
    }
}

// Does `work`, again and again where devices fail in it. Until it succeeds it must change nothing but what it keeps.
template <class Work>
Status Sequence::attempt(Work&& work) {
    for (;;) {
        Status status = work();
        if (status) return status;
        VKS_TRY(recover(status.error(), 0));
    }
}

Status Sequence::main_step(Status (Engine::*step)(std::span<const int32_t>, int64_t), int64_t count) {
    return attempt([&]() -> Status {
        VKS_TRY((engine_.*step)(ids().subspan(size_t(rows_[0]), size_t(count)), rows_[0]));
        if (rows_[0] + count == std::ssize(ids_)) {
            VKS_ASSIGN(logits_, engine_.logits());
        }
        ran(0, count);
        return {};
    });
}

Status Sequence::run(int64_t count) {
    return main_step(&Engine::step, count);
}

Status Sequence::verify() {
    return main_step(&Engine::verify, std::ssize(ids_) - rows_[0]);
}

// Rows of a module up to `end`.
Status Sequence::advance(int module, int64_t end) {
    const int64_t most = std::max(engine_.options().chunk, engine_.options().draft + 1);
    int64_t& row = rows_[size_t(module)];
    while (row < end) {
        const int64_t count = std::min(most, end - row);
        const Hidden& in = hidden_[size_t(module) - 1];
        const size_t at = size_t(row - in.first) * engine_.hidden_bytes();
        CHECK(row >= in.first && at + size_t(count) * engine_.hidden_bytes() <= in.bytes.size(),
              "module {}: rows {}+{} of {}", module, row, count, in.first);
        VKS_TRY(
            engine_.mtp_step(module, ids().subspan(size_t(row + module), size_t(count)), row, in.bytes.data() + at));
        ran(module, count);
    }
    return {};
}

Status Sequence::catch_up(int64_t end) {
    for (int k = 1; k <= modules(); ++k)
        VKS_TRY(attempt([&] { return advance(k, std::min({end, rows_[0], std::ssize(ids_) - k})); }));
    drop_used();
    return {};
}

// Drafts that are taken back set module k back by less than k rows.
void Sequence::drop_used() {
    for (size_t k = 0; k < hidden_.size(); ++k) {
        Hidden& hidden = hidden_[k];
        const int64_t first = std::max(hidden.first, rows_[k + 1] - modules());
        const auto used = std::ptrdiff_t(size_t(first - hidden.first) * engine_.hidden_bytes());
        hidden.bytes.erase(hidden.bytes.begin(), hidden.bytes.begin() + used);
        hidden.first = first;
    }
}

Result<std::vector<float>> Sequence::draft() {
    const int64_t depth = std::ssize(ids_) - rows_[0];
    CHECK(modules() > 0 && rows_[0] >= 1 && depth >= 1, "a draft after {} of {} ids", rows_[0], ids_.size());
    const int module = int(std::min<int64_t>(depth, modules()));
    for (int64_t first = depth;;) {
        auto logits = draft_once(module, first, depth);
        if (logits) {
            drop_used();
            return logits;
        }
        VKS_TRY(recover(logits.error(), module));
        // The rows of drafts before this one may have gone with the device, too.
        first = std::min<int64_t>(depth, modules() + 1);
    }
}

// Drafts `first` to `depth`; those before are there.
Result<std::vector<float>> Sequence::draft_once(int module, int64_t first, int64_t depth) {
    for (int k = 1; k <= module; ++k) VKS_TRY(advance(k, rows_[0]));
    if (depth <= modules()) return engine_.mtp_logits(module);
    for (int64_t d = first;; ++d) {
        // This row's cache entries stand for nothing: rows_ doesn't count them.
        const auto id = ids().subspan(size_t(rows_[0] + d - 1), 1);
        VKS_TRY(engine_.mtp_step(module, id, rows_[0] - 1 + d - module, own_.data()));
        if (d == depth) break;
        own_.assign(engine_.hidden().begin(), engine_.hidden().end());
    }
    VKS_ASSIGN(std::vector<float> logits, engine_.mtp_logits(module));
    own_.assign(engine_.hidden().begin(), engine_.hidden().end());
    return logits;
}

// After `error`: on with other devices, every cache as far as it was. `unread`: a module whose last row is to be run
// once more, as what it gave wasn't read; 0: none.
Status Sequence::recover(const Error& error, int unread) {
    std::vector<int64_t> rows = rows_;
    if (unread > 0) rows[size_t(unread)] = std::min(rows[size_t(unread)], rows_[0] - 1);
    lose(rows);
    return recover_to(rows, error);
}

// The same with every module as far as `rows`.
Status Sequence::recover_to(std::span<const int64_t> rows, Error error) {
    for (;;) {
        Recovery recovery;
        recovery.reason = error.text;
        VKS_ASSIGN(recovery.swap, engine_.leave_failed(error));
        const int64_t before = rows_[0];
        lose(recovery.swap.rows);
        recovery.recomputed_tokens = before - rows_[0];
        recoveries_.push_back(std::move(recovery));
        const Status again = run_again(rows);
        if (again) return {};
        error = again.error();
    }
}

Result<int64_t> Sequence::adopt(const Swap& swap) {
    if (!swap.changed) return 0;
    const std::vector<int64_t> rows = rows_;
    lose(swap.rows);
    const int64_t lost = rows[0] - rows_[0];
    if (const Status again = run_again(rows); !again) VKS_TRY(recover_to(rows, again.error()));
    return lost;
}

// Of module k's cache only rows [0, left[k]) are still right. What they take to be computed again, and is no longer
// there, counts as lost with them.
void Sequence::lose(std::span<const int64_t> left) {
    int64_t wanted = std::numeric_limits<int64_t>::max();  // from which row on the next module needs this one's output
    for (size_t k = rows_.size(); k-- > 0;) {
        int64_t rows = std::min(rows_[k], left[k]);
        if (k < hidden_.size()) {
            Hidden& hidden = hidden_[k];
            if (wanted < hidden.first) rows = std::min(rows, wanted);
            if (rows < hidden.first) hidden = {rows, {}};
            hidden.bytes.resize(std::min(hidden.bytes.size(), size_t(rows - hidden.first) * engine_.hidden_bytes()));
        }
        wanted = rows < rows_[k] ? rows : std::numeric_limits<int64_t>::max();
        rows_[k] = rows;
    }
}

// Every module over its rows before rows[k].
Status Sequence::run_again(std::span<const int64_t> rows) {
    while (rows_[0] < rows[0]) {
        const int64_t count = std::min(engine_.options().chunk, rows[0] - rows_[0]);
        VKS_TRY(engine_.step(ids().subspan(size_t(rows_[0]), size_t(count)), rows_[0]));
        // Logits that nobody took may be those of a device found wrong since.
        if (!logits_.empty() && rows_[0] + count == std::ssize(ids_)) {
            VKS_ASSIGN(logits_, engine_.logits());
        }
        ran(0, count);
    }
    for (int k = 1; k <= modules(); ++k) VKS_TRY(advance(k, rows[size_t(k)]));
    return {};
}

}  // namespace vks
