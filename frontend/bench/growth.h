// How a model's times grow: results of bench model that differ in one thing only, the law that fits them, and the law
// that the bytes and multiplications of a step (bytes_model.h) let one expect.
#pragma once
#include <array>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

namespace vks::bench {

enum class Axis {
    kContext,  // rows in the latent cache, generation: time of a token is a + b x
    kPrompt,   // tokens of a prompt, all of it: a + b x + c x^2
    kRows,     // of one small step: a + b x
    kExperts,  // of the model, generation: a + b x, b about 0
    kThreads,  // a + b / x
};

// time(x) = sum of by[i] times term i of the axis: 1, x (of threads 1 / x), x^2.
struct Law {
    std::array<double, 3> by{};
    double at(Axis axis, double x) const;
};

struct GrowthPoint {
    double x = 0, ms = 0;            // measured, of a token or of a prompt
    std::optional<double> expected;  // ms: the first point's, times as much as work has grown
};

struct Growth {
    Axis axis = Axis::kContext;
    std::string what;  // "deepseek_v3 1.1B FP8 tg32, cpu, 2 threads"
    std::vector<GrowthPoint> points;
    Law fitted;
    std::optional<Law> expected;
    double worst = 0;  // of the points' distances from the fitted law, as a part of the law's
};

// Least squares of relative errors; nothing where the points don't determine a law. Values above 0.
std::optional<Law> fit(Axis axis, const std::vector<std::pair<double, double>>& points);

// Of `rows`, results of bench model without drafts, each set of at least four different x (of threads two).
std::vector<Growth> find_growths(const std::vector<nlohmann::ordered_json>& rows);

// "7.4 ms + 0.71 us x context"
std::string law_text(Axis axis, const Law& law);

}  // namespace vks::bench
