#include "frontend/gen/sequence.h"

#include <algorithm>

namespace vks {

Sequence::Sequence(Engine& engine, int modules)
    : engine_(engine), rows_(size_t(modules) + 1), hidden_(size_t(modules)) {
    CHECK(modules <= engine.options().mtp, "{} MTP modules of {}", modules, engine.options().mtp);
    CHECK(modules == 0 || !engine.options().all_rows, "a draft is one row of logits");
}

int64_t Sequence::begin(std::span<const int32_t> prompt) {
    const auto differ = std::mismatch(prompt.begin(), prompt.end(), ids_.begin(), ids_.end()).first;
    truncate(differ - prompt.begin());
    ids_.assign(prompt.begin(), prompt.end());
    // All go on from the same row: what the main model gave for earlier ones is no longer there.
    const int64_t start = std::min(*std::min_element(rows_.begin(), rows_.end()), std::ssize(prompt) - 1);
    std::fill(rows_.begin(), rows_.end(), start);
    for (Hidden& hidden : hidden_) hidden = {start, {}};
    return start;
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

Status Sequence::run(int64_t count) {
    VKS_TRY(engine_.step(ids().subspan(size_t(rows_[0]), size_t(count)), rows_[0]));
    ran(0, count);
    return {};
}

Status Sequence::verify() {
    const auto pushed = ids().subspan(size_t(rows_[0]));
    VKS_TRY(engine_.verify(pushed, rows_[0]));
    ran(0, std::ssize(pushed));
    return {};
}

// Rows of module k up to `end`.
Status Sequence::advance(int k, int64_t end) {
    const int64_t most = std::max(engine_.options().chunk, engine_.options().draft + 1);
    int64_t& row = rows_[size_t(k)];
    while (row < end) {
        const int64_t count = std::min(most, end - row);
        const Hidden& in = hidden_[size_t(k) - 1];
        const size_t at = size_t(row - in.first) * engine_.hidden_bytes();
        CHECK(row >= in.first && at + size_t(count) * engine_.hidden_bytes() <= in.bytes.size(),
              "module {}: rows {}+{} of {}", k, row, count, in.first);
        VKS_TRY(engine_.mtp_step(k, ids().subspan(size_t(row + k), size_t(count)), row, in.bytes.data() + at));
        ran(k, count);
    }
    return {};
}

Status Sequence::catch_up(int64_t end) {
    for (int k = 1; k <= modules(); ++k) VKS_TRY(advance(k, std::min({end, rows_[0], std::ssize(ids_) - k})));
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
    const int64_t row = rows_[0] - 1, depth = std::ssize(ids_) - rows_[0];
    CHECK(modules() > 0 && row >= 0 && depth >= 1, "a draft after {} of {} ids", rows_[0], ids_.size());
    const int module = int(std::min<int64_t>(depth, modules()));
    for (int k = 1; k <= module; ++k) VKS_TRY(advance(k, rows_[0]));
    if (depth > modules()) {
        // This row's cache entries stand for nothing: rows_ doesn't count them.
        VKS_TRY(engine_.mtp_step(module, ids().last(1), row + depth - module, own_.data()));
        const std::span<const std::byte> out = engine_.hidden();
        own_.assign(out.begin(), out.end());
    }
    drop_used();
    return engine_.mtp_logits(module);
}

}  // namespace vks
