#include "tests/e2e/goldens.h"

#include <fmt/format.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <ostream>

#include "tests/support/paths.h"

namespace vks::test {
namespace {

template <class T>
std::vector<T> copied(const TensorView& view) {
    std::vector<T> values(view.bytes / sizeof(T));
    if (view.bytes > 0) std::memcpy(values.data(), view.data, view.bytes);
    return values;
}

}  // namespace

std::optional<TensorFile> TensorFile::open(const std::filesystem::path& path) {
    auto file = SafetensorsFile::open(path);
    if (!file) return {};
    return TensorFile(*std::move(file));
}

std::vector<std::string> TensorFile::names(std::string_view prefix) const {
    std::vector<std::string> list;
    for (const TensorView& view : file_.tensors()) {
        if (view.name.starts_with(prefix)) list.emplace_back(view.name.substr(prefix.size()));
    }
    return list;
}

int64_t TensorFile::width(const std::string& name) const {
    const TensorView* view = file_.find(name);
    return view && view->shape.rank > 0 ? view->shape[view->shape.rank - 1] : 0;
}

std::vector<float> TensorFile::floats(const std::string& name) const {
    const TensorView* view = file_.find(name);
    return view && view->dtype == DType::kF32 ? copied<float>(*view) : std::vector<float>{};
}

std::vector<int64_t> TensorFile::integers(const std::string& name) const {
    const TensorView* view = file_.find(name);
    if (view && view->dtype == DType::kI64) return copied<int64_t>(*view);
    if (!view || view->dtype != DType::kI32) return {};
    const std::vector<int32_t> values = copied<int32_t>(*view);
    return {values.begin(), values.end()};
}

double relative(const std::vector<float>& a, const std::vector<float>& b) {
    constexpr double kWrong = std::numeric_limits<double>::infinity();
    if (a.size() != b.size() || a.empty()) return kWrong;
    double difference = 0, size = 0;
    for (size_t i = 0; i < a.size(); ++i) {
        const double d = static_cast<double>(a[i]) - b[i];
        difference += d * d;
        size += static_cast<double>(b[i]) * b[i];
    }
    const double ratio = std::sqrt(difference / size);
    return std::isfinite(ratio) ? ratio : kWrong;
}

std::vector<float> keep_rows(const std::vector<float>& all, int64_t width, const std::vector<int64_t>& rows) {
    std::vector<float> kept;
    for (const int64_t row : rows) {
        if ((row + 1) * width > static_cast<int64_t>(all.size())) return {};
        kept.insert(kept.end(), all.begin() + row * width, all.begin() + (row + 1) * width);
    }
    return kept;
}

std::filesystem::path GoldenModel::checkpoint() const {
    return test::data(name) / "checkpoint";
}

std::filesystem::path GoldenModel::expected_path() const {
    return test::data(name) / expected;
}

const std::vector<GoldenModel>& golden_models() {
    static const std::vector<GoldenModel> models = {
        {"nano-bf16", "expected.safetensors", {}},
        {"nano-fp8", "expected_dequant.safetensors", {0.070, 0.100, 0.103, 0.108}},
        {"nano-noqlora", "expected.safetensors", {}},
        {"micro-mtp2", "expected.safetensors", {}},
        {"odd-bf16", "expected.safetensors", {}},
        {"odd-fp8", "expected_dequant.safetensors", {0.0468, 0.0724, 0.0940, 0.1184}},
        {"odd-mixed", "expected.safetensors", {}},
        {"odd-dense", "expected.safetensors", {}},
    };
    return models;
}

void PrintTo(const GoldenModel& model, std::ostream* out) {
    *out << model.name;
}

std::string join(const std::vector<int64_t>& ids) {
    return fmt::format("{}", fmt::join(ids, ","));
}

}  // namespace vks::test
