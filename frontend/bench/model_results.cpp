#include "frontend/bench/model_results.h"

#include <fmt/format.h>

#include "frontend/bench/machine.h"
#include "frontend/bench/samples.h"

namespace vks::bench {
namespace {

using Json = nlohmann::ordered_json;

// llama-bench's, in its order; then ours.
const std::vector<Column>& columns() {
    constexpr Type kText = Type::kText, kInteger = Type::kInteger, kReal = Type::kReal;
    static const std::vector<Column> list = {{"build_commit", kText},
                                             {"build_number", kInteger},
                                             {"cpu_info", kText},
                                             {"gpu_info", kText},
                                             {"backends", kText},
                                             {"model_filename", kText},
                                             {"model_type", kText},
                                             {"model_size", kInteger},
                                             {"model_n_params", kInteger},
                                             {"n_batch", kInteger},
                                             {"n_ubatch", kInteger},
                                             {"n_threads", kInteger},
                                             {"cpu_mask", kText},
                                             {"cpu_strict", kInteger},
                                             {"poll", kInteger},
                                             {"type_k", kText},
                                             {"type_v", kText},
                                             {"n_gpu_layers", kInteger},
                                             {"n_cpu_moe", kInteger},
                                             {"split_mode", kText},
                                             {"main_gpu", kInteger},
                                             {"no_kv_offload", kInteger},
                                             {"flash_attn", kInteger},
                                             {"devices", kText},
                                             {"tensor_split", kText},
                                             {"tensor_buft_overrides", kText},
                                             {"use_mmap", kInteger},
                                             {"embeddings", kInteger},
                                             {"no_op_offload", kInteger},
                                             {"n_prompt", kInteger},
                                             {"n_gen", kInteger},
                                             {"n_depth", kInteger},
                                             {"test_time", kText},
                                             {"avg_ns", kInteger},
                                             {"stddev_ns", kInteger},
                                             {"avg_ts", kReal},
                                             {"stddev_ts", kReal},
                                             {"mtp", kInteger},
                                             {"mtp_acceptance", kReal},
                                             {"mtp_accepted", kReal},
                                             {"mtp_tokens_per_step", kReal},
                                             {"mtp_ratio", kReal},
                                             {"mtp_ratio_by_bytes", kReal},
                                             {"routing", kText},
                                             {"extrapolated_layers", kInteger},
                                             {"extrapolated_ts", kReal},
                                             {"n_layer", kInteger},
                                             {"n_expert", kInteger},
                                             {"step_bytes", kReal},
                                             {"step_flops", kReal},
                                             {"depth_rows", kText}};
    return list;
}

std::string test_cell(const Json& row) {
    const ModelTest test{row["n_prompt"], row["n_gen"], row["n_depth"], row["mtp"],
                         row["mtp_acceptance"].is_null() ? 1 : row["mtp_acceptance"].get<double>()};
    return test.name();
}

std::vector<Heading> headings() {
    return {{"model", -30, [](const Json& row) { return row["model_type"].get<std::string>(); }},
            {"size", 10, [](const Json& row) { return binary_size(row["model_size"]); }},
            {"params", 10, [](const Json& row) { return short_count(row["model_n_params"]); }},
            {"backend", -10, [](const Json& row) { return row["backends"].get<std::string>(); }},
            {"threads", 7, [](const Json& row) { return row["n_threads"].dump(); }},
            {"test", 15, test_cell},
            {"t/s", 20, [](const Json& row) {
                 return fmt::format("{:.2f} ± {:.2f}", row["avg_ts"].get<double>(), row["stddev_ts"].get<double>());
             }}};
}

std::string type_name(const ModelUnderTest& model) {
    return fmt::format("{} {} {}", model.config.model_type, short_count(double(model.stats.parameters)),
                       model.config.fp8 ? "FP8" : "BF16");
}

// Of a token that is generated without drafts, in the middle of the test, or of the whole prompt.
StepWork work_of(const ModelConfig& config, const ModelTest& test, Routing routing) {
    return step_work(config, 0, test.prompt > 0 ? test.prompt : 1, 1, test.depth + test.tokens() / 2, routing);
}

// How much longer the whole model would take: by what generation reads, by what a prompt computes.
double times_longer(const ModelUnderTest& model, const ModelTest& test) {
    const StepWork part = work_of(model.config, test, Routing::kIndependent),
                   whole = work_of(*model.whole, test, Routing::kIndependent);
    return test.prompt > 0 ? whole.flops / part.flops : whole.bytes / part.bytes;
}

void add_model(Json& row, const ModelUnderTest& model) {
    const char* cache = model.half ? "bf16" : "f32";
    row["build_commit"] = model.build;
    row["build_number"] = 0;
    row["cpu_info"] = cpu_name();
    row["gpu_info"] = model.gpu_info;
    row["backends"] = model.backends;
    row["model_filename"] = model.filename;
    row["model_type"] = type_name(model);
    row["model_size"] = model.stats.bytes;
    row["model_n_params"] = model.stats.parameters + model.stats.mtp_parameters;
    row["n_batch"] = model.chunk;
    row["n_ubatch"] = model.chunk;
    row["n_threads"] = model.threads;
    // What only llama.cpp has is as if it were switched off.
    row.update({{"cpu_mask", "0x0"},
                {"cpu_strict", false},
                {"poll", 0},
                {"type_k", cache},
                {"type_v", cache},
                {"n_gpu_layers", model.gpu_info.empty() ? 0 : -1},
                {"n_cpu_moe", 0},
                {"split_mode", "none"},
                {"main_gpu", 0},
                {"no_kv_offload", false},
                {"flash_attn", true},
                {"devices", model.backends},
                {"tensor_split", "0.00"},
                {"tensor_buft_overrides", "none"},
                {"use_mmap", true},
                {"embeddings", false},
                {"no_op_offload", 0}});
}

void add_times(Json& row, const ModelResult& result) {
    std::vector<double> ns, ts;
    for (const ModelSample& sample : result.samples) {
        ns.push_back(sample.seconds * 1e9);
        ts.push_back(double(result.test.tokens()) / sample.seconds);
    }
    row["n_prompt"] = result.test.prompt;
    row["n_gen"] = result.test.generate;
    row["n_depth"] = result.test.depth;
    row["test_time"] = result.time;
    row["avg_ns"] = int64_t(mean(ns));
    row["stddev_ns"] = int64_t(deviation(ns));
    row["avg_ts"] = mean(ts);
    row["stddev_ts"] = deviation(ts);
    row["samples_ns"] = std::vector<int64_t>(ns.begin(), ns.end());
    row["samples_ts"] = ts;
}

// Of the repetitions that ran one after the other.
double ratio(const ModelResult& drafted, const ModelResult& plain) {
    std::vector<double> ratios;
    for (size_t i = 0; i < drafted.samples.size(); ++i)
        ratios.push_back(plain.samples[i].seconds / drafted.samples[i].seconds);
    return median(ratios);
}

}  // namespace

ModelReport::ModelReport(ModelUnderTest model, Format format)
    : model_(std::move(model)), format_(format), printer_({"llama_bench", columns(), headings()}, format) {}

Json ModelReport::row(const ModelResult& result, const ModelResult& plain) const {
    Json row;
    add_model(row, model_);
    add_times(row, result);
    const ModelTest& test = result.test;
    row["mtp"] = test.drafts;
    row["mtp_acceptance"] = nullptr;
    if (test.drafts > 0) {
        const SpeculationStats& mtp = result.samples.front().mtp;
        row["mtp_acceptance"] = test.acceptance;
        row["mtp_accepted"] = mtp.acceptance();
        row["mtp_tokens_per_step"] = double(test.generate) / double(mtp.steps);
        row["mtp_ratio"] = ratio(result, plain);
        row["mtp_ratio_by_bytes"] =
            drafting_gain(model_.config, test.drafts, test.acceptance, test.depth + test.generate / 2, model_.routing);
        row["mtp_seconds"] = {{"draft", mtp.draft_seconds}, {"verify", mtp.verify_seconds}};
        row["routing"] = model_.routing == Routing::kCoincide ? "coincide" : "independent";
    }
    const bool part = model_.whole && model_.whole->num_hidden_layers > model_.config.num_hidden_layers;
    if (part && test.drafts == 0) {
        row["extrapolated_layers"] = model_.whole->num_hidden_layers;
        row["extrapolated_ts"] = row["avg_ts"].get<double>() / times_longer(model_, test);
    }
    if (test.depth > 0) row["depth_rows"] = model_.repeated ? "repeated" : "computed";
    row["n_layer"] = model_.config.num_hidden_layers;
    row["n_expert"] = model_.config.n_routed_experts;
    if (test.drafts == 0) {
        const StepWork work = work_of(model_.config, test, model_.routing);
        row["step_bytes"] = work.bytes;
        row["step_flops"] = work.flops;
    }
    return row;
}

std::string ModelReport::add(const ModelResult& result, const ModelResult& plain) {
    rows_.push_back(row(result, plain));
    return printer_.row(rows_.back());
}

std::string ModelReport::end() const {
    std::string text = printer_.end();
    if (format_ != Format::kMarkdown) return text;
    text += fmt::format("\nbuild: {} (0)\n", model_.build);
    for (const Json& row : rows_) {
        const std::string test = test_cell(row);
        if (row.contains("mtp_ratio"))
            text += fmt::format(
                "{}: {:.2f} times as fast as without drafts, in turn, experts {}; {:.2f} if only bytes "
                "counted; {:.0f} % of the drafts accepted, {:.2f} tokens a step\n",
                test, row["mtp_ratio"].get<double>(), row["routing"].get<std::string>(),
                row["mtp_ratio_by_bytes"].get<double>(), 100 * row["mtp_accepted"].get<double>(),
                row["mtp_tokens_per_step"].get<double>());
        if (row.contains("extrapolated_ts"))
            text += fmt::format("{}: extrapolation, not measured: {:.3g} t/s with all {} layers, by {}\n", test,
                                row["extrapolated_ts"].get<double>(), row["extrapolated_layers"].get<int64_t>(),
                                row["n_prompt"] > 0 ? "multiplications" : "bytes read");
    }
    return text;
}

}  // namespace vks::bench
