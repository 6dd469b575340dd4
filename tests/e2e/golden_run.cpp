#include "tests/e2e/golden_run.h"

#include <fmt/format.h>

#include <algorithm>

namespace vks::test {

void GoldenRun::SetUp() {
    golden_ = TensorFile::open(GetParam().expected_path());
    ASSERT_TRUE(golden_);
}

std::string GoldenRun::prompt_ids(int prompt) const {
    return join(golden_->integers(fmt::format("p{}.input_ids", prompt)));
}

std::filesystem::path GoldenRun::logits(int prompt, const std::vector<std::string>& options, const std::string& name) {
    const std::filesystem::path out = dir_ / name;
    std::vector<std::string> arguments = {
        "logits", "-m", GetParam().checkpoint(), "--backend", backend_, "--ids", prompt_ids(prompt), "-o", out};
    arguments.insert(arguments.end(), options.begin(), options.end());
    const Ran ran = run_program(arguments);
    EXPECT_EQ(ran.status, 0) << ran.err;
    EXPECT_EQ(ran.out + ran.err, "");
    return out;
}

std::vector<std::string> GoldenRun::float_names(int prompt) const {
    std::vector<std::string> names;
    for (const std::string& name : golden_->names(fmt::format("p{}.", prompt))) {
        const bool mtp_logits = name.starts_with("mtp") && name.ends_with(".logits");
        if (name == "logits" || name.starts_with("hidden.") || name.starts_with("kv.") || mtp_logits) {
            names.push_back(name);
        }
    }
    return names;
}

double GoldenRun::distance(const TensorFile& ours, int prompt, const std::string& name) const {
    const std::vector<int64_t> rows = golden_->integers(fmt::format("p{}.rows", prompt));
    return relative(keep_rows(ours.floats(name), ours.width(name), rows),
                    golden_->floats(fmt::format("p{}.{}", prompt, name)));
}

std::vector<GoldenRun::Flip> GoldenRun::flips(const TensorFile& ours, int prompt) const {
    std::vector<Flip> list;
    for (const std::string& name : golden_->names(fmt::format("p{}.router.", prompt))) {
        if (!name.ends_with(".topk_idx")) continue;
        const std::string layer = name.substr(0, name.find('.'));
        const std::string router = fmt::format("router.{}.", layer), golden = fmt::format("p{}.{}", prompt, router);
        const std::vector<int64_t> a = ours.integers(router + "topk_idx"), b = golden_->integers(golden + "topk_idx");
        const std::vector<float> margin = golden_->floats(golden + "margin");
        EXPECT_EQ(a.size(), b.size()) << router;
        if (a.size() != b.size()) continue;
        const size_t k = b.size() / margin.size();
        for (size_t t = 0; t < margin.size(); ++t) {
            const bool same = std::equal(&b[t * k], &b[t * k] + k, &a[t * k]);
            if (!same) list.push_back({layer, t, margin[t]});
        }
    }
    return list;
}

void GoldenRun::expect_router_weights(const TensorFile& ours, int prompt) const {
    for (const std::string& name : golden_->names(fmt::format("p{}.router.", prompt))) {
        if (!name.ends_with(".topk_weight")) continue;
        const std::vector<float> a = ours.floats("router." + name);
        const std::vector<float> b = golden_->floats(fmt::format("p{}.router.{}", prompt, name));
        ASSERT_EQ(a.size(), b.size()) << name;
        for (size_t i = 0; i < a.size(); ++i) EXPECT_NEAR(a[i], b[i], 1e-5) << name << " " << i;
    }
}

void GoldenRun::expect_f32(const TensorFile& ours, int prompt) const {
    const std::vector<std::string> names = float_names(prompt);
    EXPECT_GE(names.size(), 6U);  // logits, hidden before, between and after layers, two of the latent cache
    for (const std::string& name : names) EXPECT_LE(distance(ours, prompt, name), kF32) << name;
    for (const Flip& flip : flips(ours, prompt)) {
        EXPECT_LE(flip.margin, kMarginF32) << "layer " << flip.layer << " position " << flip.position;
    }
    expect_router_weights(ours, prompt);
}

bool GoldenRun::expect_half(const TensorFile& ours, int prompt) const {
    const std::vector<Flip> changed = flips(ours, prompt);
    // What comes after a changed decision may well differ. The first MoE layer has none before it.
    for (const Flip& flip : changed) {
        if (flip.layer == changed.front().layer) {
            EXPECT_LE(flip.margin, kMarginHalf) << flip.position;
        }
    }
    if (!changed.empty()) return false;
    for (const std::string& name : float_names(prompt)) {
        if (!name.starts_with("mtp")) {
            EXPECT_LE(distance(ours, prompt, name), kHalf) << name;
        }
    }
    return true;
}

std::string GoldenRun::greedy(int prompt, const std::vector<std::string>& options) {
    std::vector<std::string> arguments = {
        "generate",        "-m", GetParam().checkpoint(), "--backend", backend_, "--math", "f32",
        "--temp",          "0",  "--ignore-eos",          "-n",        "32",     "--json", "--ids",
        prompt_ids(prompt)};
    arguments.insert(arguments.end(), options.begin(), options.end());
    const Ran ran = run_program(arguments);
    EXPECT_EQ(ran.status, 0) << ran.err;
    return ran.out;
}

std::string golden_name(const testing::TestParamInfo<GoldenModel>& info) {
    std::string name = info.param.name;
    std::replace(name.begin(), name.end(), '-', '_');
    return name;
}

std::vector<GoldenModel> fp8_models() {
    std::vector<GoldenModel> models = golden_models();
    std::erase_if(models, [](const GoldenModel& model) { return model.w8a8_distance.empty(); });
    return models;
}

}  // namespace vks::test
