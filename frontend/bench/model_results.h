// Results of bench model as rows: llama-bench's columns, then what only we have: drafts, and what a shape's figures
// mean for the whole model.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "frontend/bench/bytes_model.h"
#include "frontend/bench/model_bench.h"
#include "frontend/bench/table.h"
#include "frontend/model/inspect.h"

namespace vks::bench {

// What was measured, on what.
struct ModelUnderTest {
    ModelConfig config;
    ModelStats stats;
    std::optional<ModelConfig> whole;  // the shape of which config is a part, or all
    std::string filename, build, backends, gpu_info;
    bool half = true;
    bool repeated = false;  // rows up to a depth: copies of the first chunk's
    int64_t threads = 1, chunk = 512;
    Routing routing = Routing::kIndependent;
};

struct ModelResult {
    ModelTest test;
    std::string time;  // of its beginning
    std::vector<ModelSample> samples;
};

// Not thread-safe.
class ModelReport {
public:
    ModelReport(ModelUnderTest model, Format format);
    std::string begin() const { return printer_.begin(); }
    // `plain`: the test without drafts that ran in turn with this one; or the same.
    std::string add(const ModelResult& result, const ModelResult& plain);
    // For people also what was compared and what was extrapolated.
    std::string end() const;
    const std::vector<nlohmann::ordered_json>& rows() const { return rows_; }

private:
    nlohmann::ordered_json row(const ModelResult& result, const ModelResult& plain) const;

    ModelUnderTest model_;
    Format format_;
    TablePrinter printer_;
    std::vector<nlohmann::ordered_json> rows_;
};

}  // namespace vks::bench
