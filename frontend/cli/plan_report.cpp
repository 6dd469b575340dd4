#include "frontend/cli/plan_report.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "frontend/cli/runtime.h"

namespace vks {
namespace {

using nlohmann::ordered_json;

// Contexts that the cache's size is told for: powers of four from 4096 on, and the model's own limit.
std::vector<int64_t> contexts(int64_t most) {
    std::vector<int64_t> sizes;
    for (int64_t n = 4096; n < most; n *= 4) sizes.push_back(n);
    sizes.push_back(most);
    return sizes;
}

uint64_t cache_bytes(const PlanReport& report, int64_t context) {
    return report.work.kv_bytes_per_token * static_cast<uint64_t>(context);
}

ordered_json rate_json(const Rate& rate) {
    ordered_json json;
    json["tok_s"] = rate.tok_s;
    json["limit"] = rate.limit;
    json["seconds"] = ordered_json::object();
    for (const Rate::Part& part : rate.parts) json["seconds"][part.link] = part.seconds;
    return json;
}

ordered_json home_json(const Home& home) {
    ordered_json json;
    json["bytes"] = home.bytes;
    json["experts"] = home.experts;
    json["reserved_bytes"] = home.reserved;
    json["bytes_by_kind"] = ordered_json::object();
    for (size_t k = 0; k < kTensorKindNames.size(); ++k) {
        if (home.kinds[k] > 0) json["bytes_by_kind"][std::string(kTensorKindNames[k])] = home.kinds[k];
    }
    return json;
}

// A row of the table of homes: a label and a cell for each of them.
template <class Cell>
std::string row(const PlanReport& report, const std::string& label, const std::string& all, Cell cell) {
    std::string text = fmt::format("{:<16}", label);
    for (const Home& home : report.estimate.homes) text += fmt::format(" {:>12}", cell(home));
    return text + fmt::format(" {:>12}\n", all);
}

std::string homes_text(const PlanReport& report) {
    const auto size = [](uint64_t bytes) { return bytes > 0 ? human_bytes(bytes) : std::string("-"); };
    std::string text = row(report, "", "all", [](const Home& home) { return home.name; });
    int64_t experts = 0;
    for (size_t k = 0; k < kTensorKindNames.size(); ++k) {
        if (report.stats.kinds[k].bytes == 0) continue;
        text += row(report, std::string(kTensorKindNames[k]), size(report.stats.kinds[k].bytes),
                    [&](const Home& home) { return size(home.kinds[k]); });
    }
    for (const Home& home : report.estimate.homes) experts += home.experts;
    text += row(report, "all weights", size(report.stats.bytes), [&](const Home& home) { return size(home.bytes); });
    text += row(report, "experts of that", fmt::format("{}", experts),
                [](const Home& home) { return fmt::format("{}", home.experts); });
    return text + row(report, "caches, buffers", "", [&](const Home& home) { return size(home.reserved); });
}

std::string rate_text(const std::string& what, const Rate& rate, double tokens) {
    std::string text = fmt::format("{:<16} {} tok/s, limited by {} (", what, three_digits(rate.tok_s), rate.limit);
    const char* separator = "";
    for (const Rate::Part& part : rate.parts) {
        text += fmt::format("{}{} {} ms", separator, part.link, three_digits(part.seconds * 1e3 / tokens));
        separator = ", ";
    }
    return text + " a token)\n";
}

}  // namespace

ordered_json plan_json(const PlanReport& report) {
    const Estimate& e = report.estimate;
    ordered_json json;
    json["model_type"] = report.config->model_type;
    json["kv_bytes_per_token"] = report.stats.kv_bytes_per_token;
    json["bytes_total"] = report.stats.bytes;
    for (size_t k = 0; k < kTensorKindNames.size(); ++k) {
        json["bytes_by_kind"][std::string(kTensorKindNames[k])] = report.stats.kinds[k].bytes;
    }
    json["placement"] = ordered_json::object();
    for (const Home& home : e.homes) json["placement"][home.name] = home_json(home);
    json["tok_s"] = e.decode.tok_s;
    json["limit"] = e.decode.limit;
    json["decode"] = rate_json(e.decode);
    json["prefill"] = rate_json(e.prefill);
    json["prefill"]["chunk"] = report.work.chunk;
    json["arithmetic_counted"] = e.counts_flops;
    json["context"] = report.work.context;
    for (const int64_t n : contexts(report.config->max_position_embeddings)) {
        json["kv_bytes_by_context"][std::to_string(n)] = cache_bytes(report, n);
    }
    json["one_more_gb"] = ordered_json::object();
    for (const Gain& gain : report.gains) json["one_more_gb"][gain.memory] = gain.tok_s - e.decode.tok_s;
    json["assumptions"] = ordered_json::array();
    for (const Assumption& a : report.assumptions) {
        json["assumptions"].push_back({{"name", a.name}, {"gb_s", a.gb_s}, {"origin", a.origin}});
    }
    return json;
}

std::string plan_text(const PlanReport& report) {
    const Estimate& e = report.estimate;
    std::string text = fmt::format("{}: {} bytes of weights; latent cache {} bytes a token (16 bits a value)\n\n",
                                   report.config->model_type, report.stats.bytes, report.stats.kv_bytes_per_token);
    text += homes_text(report) + "\n";
    text += rate_text("decode", e.decode, 1);
    text += rate_text("prefill", e.prefill, static_cast<double>(report.work.chunk));
    text +=
        fmt::format("{:<16} decode with {} tokens in the cache, prefill in chunks of {}{}\n", "", report.work.context,
                    report.work.chunk, e.counts_flops ? "" : "; arithmetic is not counted (--compute DEV=TFLOPS)");
    text += fmt::format("{:<16}", "cache size");
    for (const int64_t n : contexts(report.config->max_position_embeddings)) {
        text += fmt::format(" {}: {}{}", n, human_bytes(cache_bytes(report, n)),
                            n == report.config->max_position_embeddings ? "\n" : ",");
    }
    for (const Gain& gain : report.gains) {
        text += fmt::format("{:<16} {:+.3g} % decode\n", "1 GB more " + gain.memory,
                            100 * (gain.tok_s / e.decode.tok_s - 1));
    }
    text += fmt::format("{:<16}", "bandwidths");
    for (const Assumption& a : report.assumptions) {
        text += fmt::format("{} {} {} GB/s ({})", &a == report.assumptions.data() ? "" : ",", a.name,
                            three_digits(a.gb_s), a.origin);
    }
    return text + "\n";
}

}  // namespace vks
