#include "frontend/bench/op_bench.h"

#include <algorithm>
#include <cmath>

#include "backend/base/bad_input.h"
#include "backend/conformance/trial.h"
#include "frontend/bench/machine.h"
#include "frontend/bench/samples.h"

namespace vks::bench {
namespace {

using conformance::Argument;
using conformance::Case;
using conformance::Compare;
using conformance::Role;
using conformance::Value;
using Json = nlohmann::ordered_json;

constexpr int64_t kReferenceRows = 8;

bool is_wrong(const Argument& a, double found, double wanted, double allowed) {
    if (a.compare == Compare::kExact) return found != wanted;
    return !(std::fabs(found - wanted) <= allowed);  // also NaN
}

// The first element that is further off than what is allowed for the whole, taken per element; the worst one if none
// is.
Difference locate(size_t argument, const Argument& a, const Value& got, const Value& want, double tolerance) {
    double squares = 0;
    for (int64_t i = 0; i < want.count(); ++i) squares += want.at(i) * want.at(i);
    const double allowed = tolerance * std::sqrt(squares / double(std::max<int64_t>(1, want.count())));
    int64_t worst = 0;
    for (int64_t i = 0; i < want.count(); ++i) {
        if (is_wrong(a, got.at(i), want.at(i), std::max(allowed, tolerance * std::fabs(want.at(i)))))
            return {argument, i, want.at(i), got.at(i), ""};
        if (std::fabs(got.at(i) - want.at(i)) > std::fabs(got.at(worst) - want.at(worst))) worst = i;
    }
    return {argument, worst, want.at(worst), got.at(worst), ""};
}

constexpr uint64_t kPiece = 1 << 20;  // of what is copied to flush caches

// Why a model has no such case.
std::string no_use(const OpFamily& family, int64_t rows) {
    if (rows > family.most_rows) return fmt::format("a step has at most {} rows of it", family.most_rows);
    return fmt::format("the context has {} rows", family.context);
}

}  // namespace

std::optional<Difference> difference(const Case& c, const std::vector<Value>& got, const std::vector<Value>& want,
                                     const std::string& variant) {
    conformance::Outcome ours, theirs;
    ours.variant = variant;
    ours.outputs = got;
    theirs.outputs = want;
    const std::string text = judge(c, ours, &theirs);
    if (text.empty()) return {};
    size_t output = 0;
    Difference found;
    for (size_t i = 0; i < c.args.size(); ++i) {
        const Argument& a = c.args[i];
        if (a.value.dtype == VKS_NONE || (a.role != Role::kOutput && a.role != Role::kInOut)) continue;
        const size_t at = output++;
        conformance::Outcome one = ours;
        one.outputs = want;
        one.outputs[at] = got[at];
        if (judge(c, one, &theirs).empty()) continue;
        found = locate(i, a, got[at], want[at], c.tolerance);
        break;
    }
    found.text = text;
    return found;
}

OpBench::OpBench(const vks_plugin& plugin, uint32_t index, const vks_plugin& reference, const OpBenchOptions& options)
    : options_(options), target_(plugin, index, options.device_options), reference_(reference, 0, "variant=plain") {
    for (const conformance::Target* t : {&target_, &reference_})
        if (!t->ok()) problem_ = "open: " + conformance::describe(t->status, t->error);
    if (!problem_.empty() || !options_.cold) return;
    constexpr uint64_t kLeast = 64 << 20, kMost = 512 << 20;
    flush_bytes_ = std::clamp<uint64_t>(2 * last_cache_bytes(), kLeast, kMost) / kPiece * kPiece;
    from_ = target_.buffer(flush_bytes_, VKS_BUFFER_DEVICE);
    to_ = target_.buffer(kPiece, VKS_BUFFER_DEVICE);
    // What was never written may be one page of zeros, over and over: copying that leaves caches as they are.
    const std::vector<std::byte> ones(kPiece, std::byte{1});
    bool written = from_ && to_;
    for (uint64_t at = 0; written && at < flush_bytes_; at += kPiece)
        written = target_.write(from_, at, ones.data(), kPiece);
    if (!written) problem_ = "memory to flush caches: " + conformance::describe(target_.status, target_.error);
}

// Much is read and little written: lines that were written would have to go to memory while an operator reads, which
// those of a model's step don't.
bool OpBench::flush() {
    const vks_tensor to = conformance::bytes_at(kPiece, to_, 0);
    for (uint64_t at = 0; at < flush_bytes_; at += kPiece) {
        const vks_tensor from = conformance::bytes_at(kPiece, from_, at);
        if (!target_.note(target_.api.copy(target_.stream, &from, &to, &target_.error))) return false;
    }
    return target_.finish();
}

// The case once on the reference, or as many of its rows as that takes reasonable time for.
std::string OpBench::expect(PlacedConstants& there, const OpCase& c, std::optional<Expected>& expected) {
    SampledCase sampled = sample_rows(c.arguments, kReferenceRows);
    OpTrial reference(reference_, there, sampled.arguments);
    if (!reference.prepare() || !reference.launch())
        return "the reference: " + reference.unsupported() + reference.problem();
    auto outputs = reference.outputs();
    if (!outputs) return "the reference: " + reference.problem();
    expected = Expected{std::move(sampled), *std::move(outputs)};
    return {};
}

std::string OpBench::verify(PlacedConstants& there, const OpCase& c, OpRun& run, std::optional<Expected>& expected) {
    auto got = run.trial.outputs();
    if (!got) return run.trial.problem();
    if (!expected)
        if (std::string problem = expect(there, c, expected); !problem.empty()) return problem;
    const auto& [sampled, want] = *expected;
    if (!sampled.rows.empty())
        for (Value& value : *got) value = pick_rows(value, sampled.rows);
    run.result.verified_rows = want.empty() ? 0 : want.back().rows();
    run.result.wrong = difference(sampled.arguments, *got, want, run.result.variant);
    return {};
}

std::unique_ptr<OpRun> OpBench::check(PlacedConstants& here, PlacedConstants& there, const OpCase& c,
                                      std::optional<Expected>& expected) {
    auto run = std::make_unique<OpRun>(target_, here, c);
    OpTrial& trial = run->trial;
    const bool ready = trial.prepare();
    run->result.variant = trial.variant();
    run->result.skipped = trial.unsupported();
    run->result.problem = trial.problem();
    if (!ready) return run;
    if (!options_.variant.empty() && trial.variant() != options_.variant) {
        run->result.skipped = fmt::format("it runs as {}, --variant asks for {}", trial.variant(), options_.variant);
        return run;
    }
    run->result.problem = trial.launch() ? verify(there, c, *run, expected) : trial.problem();
    return run;
}

void OpBench::repeat(OpRun& run, const StreamClock& clock) {
    if (options_.cold && !flush()) {
        run.result.problem = "flushing caches: " + conformance::describe(target_.status, target_.error);
        return;
    }
    if (const auto seconds = run.trial.launch(clock)) {
        run.result.seconds.push_back(*seconds);
    } else {
        run.result.problem = run.trial.problem();
    }
}

void OpBench::time(const std::vector<OpRun*>& runs, const std::function<void(size_t)>& turn) {
    const StreamClock clock(target_.plugin, target_.stream);
    for (OpRun* run : runs) {
        run->result.device_clock = bool(clock);
        run->result.seconds.clear();
    }
    double spent = 0;
    for (int64_t i = 0; i < options_.repetitions && spent < options_.most_seconds; ++i)
        for (size_t n = 0; n < runs.size(); ++n) {
            const size_t at = i % 2 == 0 ? n : runs.size() - 1 - n;  // nobody is always the first
            OpRun& run = *runs[at];
            if (!run.right()) continue;
            if (turn) turn(at);
            repeat(run, clock);
            if (run.right()) spent += run.result.seconds.back() / double(runs.size());
        }
    for (OpRun* run : runs)
        if (!run->right()) run->result.seconds.clear();
}

bool OpBench::asks_for(const OpFamily& family, int64_t rows) {
    return rows <= family.most_rows && (family.context == 0 || rows <= family.context);
}

std::string OpBench::too_large(const OpFamily& family) const {
    const double all = family.constant_bytes;
    if (options_.most_bytes > 0 && all > options_.most_bytes)
        return fmt::format("its constants take {:.1f} GB, --most-memory allows {:.1f} GB", all / 1e9,
                           options_.most_bytes / 1e9);
    if (2 * all > room())
        return fmt::format("its constants take {:.1f} GB, twice, of {:.1f} GB of free memory", all / 1e9, room() / 1e9);
    return {};
}

std::string OpBench::too_large(const OpFamily& family, int64_t rows) const {
    const double all = family.row_bytes(rows);
    if (2 * all <= room()) return {};
    return fmt::format("its rows take {:.1f} GB, twice, of {:.1f} GB of free memory", all / 1e9, room() / 1e9);
}

// The host has everything once, the device may want a copy, and both may be the same memory.
double OpBench::room() const {
    return double(std::min(target_.info.bytes_free, reference_.info.bytes_free));
}

std::string OpBench::too_long(const OpFamily& family, int64_t rows, const Pace& pace) const {
    const double flops = family.flops(rows);
    if (options_.most_flops > 0 && flops > options_.most_flops)
        return fmt::format("{:.0f} GFLOP, --most-gflop allows {:.0f}", flops / 1e9, options_.most_flops / 1e9);
    const double seconds = pace.flops > 0 ? pace.seconds * flops / pace.flops : 0;
    if (options_.most_case_seconds > 0 && seconds > options_.most_case_seconds)
        return fmt::format("a launch would take {:.0f} s by that of fewer rows, --most-time allows {:.0f}", seconds,
                           options_.most_case_seconds);
    return {};
}

Status OpBench::run(const OpFamily& family, const std::function<Status(const OpResult&)>& done) {
    const auto skip = [&](int64_t rows, const std::string& why) {
        return done({.op = family.op, .shape = fmt::format("T {} {}", rows, family.name), .skipped = why});
    };
    if (const std::string why = too_large(family); !why.empty()) return skip(0, why);
    OpCase c = family.make();
    PlacedConstants here(target_, c.arguments), there(reference_, c.arguments);
    Pace pace;
    for (const int64_t rows : options_.rows) {
        if (!asks_for(family, rows)) {
            if (options_.list_all) VKS_TRY(skip(rows, no_use(family, rows)));
            continue;
        }
        std::string why = too_long(family, rows, pace);
        if (why.empty()) why = too_large(family, rows);
        if (!why.empty()) {
            VKS_TRY(skip(rows, why));
            continue;
        }
        family.set_rows(c, rows);
        bool wanted = true;
        if (options_.before) {
            VKS_ASSIGN(wanted, options_.before(target_, c));
        }
        if (!wanted) continue;
        std::optional<Expected> expected;
        const auto measured = check(here, there, c, expected);
        time({measured.get()});
        if (const auto& seconds = measured->result.seconds; !seconds.empty()) pace = {c.flops, best(seconds)};
        VKS_TRY(done(measured->result));
    }
    return {};
}

Json op_row(const OpResult& result, const std::string& backend, const std::string& device, const Roofline* roofline) {
    Json row = {{"op", result.op.substr(0, result.op.find('/'))},
                {"backend", backend},
                {"device", device},
                {"variant", result.variant},
                {"shape", result.shape}};
    row["verified"] = !result.wrong && result.problem.empty() && result.skipped.empty();
    for (const char* name : {"median_us", "best_us", "spread", "gb_s", "gflop_s", "roofline_share", "limit"})
        row[name] = nullptr;
    row["verified_rows"] = result.verified_rows;
    row["bytes"] = result.bytes;
    row["flops"] = result.flops;
    if (!result.skipped.empty()) row["skipped"] = result.skipped;
    if (!result.problem.empty()) row["problem"] = result.problem;
    if (const auto& w = result.wrong)
        row["wrong"] = {{"argument", w->argument},
                        {"index", w->index},
                        {"wanted", w->wanted},
                        {"found", w->found},
                        {"problem", w->text}};
    if (result.seconds.empty()) return row;
    const double seconds = median(result.seconds);
    row["median_us"] = seconds * 1e6;
    row["best_us"] = best(result.seconds) * 1e6;
    row["spread"] = spread(result.seconds);
    row["gb_s"] = result.bytes / seconds / 1e9;
    row["gflop_s"] = result.flops / seconds / 1e9;
    row["repetitions"] = result.seconds.size();
    row["clock"] = result.device_clock ? "device" : "host";
    if (!roofline) return row;
    const Bound bound = roofline->bound(result.bytes, result.flops, result.device_clock);
    row["roofline_share"] = bound.seconds / seconds;
    row["limit"] = bound.limit;
    return row;
}

TableLayout op_table() {
    constexpr Type kText = Type::kText, kReal = Type::kReal, kInteger = Type::kInteger;
    const auto number = [](const char* name, const char* format) {
        return [=](const Json& row) {
            return row[name].is_null() ? std::string("-") : fmt::format(fmt::runtime(format), row[name].get<double>());
        };
    };
    const auto text = [](const char* name) {
        return [=](const Json& row) { return row[name].is_null() ? std::string("-") : row[name].get<std::string>(); };
    };
    // Of what was not timed, why.
    const auto limit = [text](const Json& row) {
        for (const char* name : {"skipped", "problem"})
            if (row.contains(name)) return row[name].get<std::string>();
        return text("limit")(row);
    };
    const auto right = [](const Json& row) -> std::string {
        return row.contains("skipped") ? "skipped"
               : row["verified"]       ? "yes"
               : row.contains("wrong") ? "WRONG"
                                       : "failed";
    };
    return {"vkseek_ops",
            {{"op", kText},
             {"backend", kText},
             {"device", kText},
             {"variant", kText},
             {"shape", kText},
             {"verified", kInteger},
             {"median_us", kReal},
             {"best_us", kReal},
             {"spread", kReal},
             {"gb_s", kReal},
             {"gflop_s", kReal},
             {"roofline_share", kReal},
             {"limit", kText},
             {"verified_rows", kInteger},
             {"bytes", kReal},
             {"flops", kReal},
             {"skipped", kText},
             {"problem", kText}},
            {{"op", -15, text("op")},
             {"shape", -44, text("shape")},
             {"backend", -9, text("backend")},
             {"variant", -12, text("variant")},
             {"right", -7, right},
             {"median us", 10, number("median_us", "{:.1f}")},
             {"best us", 10, number("best_us", "{:.1f}")},
             {"spread", 6, number("spread", "{:.2f}")},
             {"GB/s", 7, number("gb_s", "{:.2f}")},
             {"GFLOP/s", 8, number("gflop_s", "{:.2f}")},
             {"share", 6, number("roofline_share", "{:.2f}")},
             {"limit", -14, limit}}};
}

}  // namespace vks::bench
