#include "frontend/bench/samples.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace vks::bench {

double mean(const std::vector<double>& samples) {
    if (samples.empty()) return 0;
    return std::accumulate(samples.begin(), samples.end(), 0.0) / double(samples.size());
}

double deviation(const std::vector<double>& samples) {
    if (samples.size() < 2) return 0;
    const double middle = mean(samples);
    double squares = 0;
    for (const double x : samples) squares += (x - middle) * (x - middle);
    return std::sqrt(squares / double(samples.size() - 1));
}

double median(std::vector<double> samples) {
    if (samples.empty()) return 0;
    std::sort(samples.begin(), samples.end());
    const size_t half = samples.size() / 2;
    return samples.size() % 2 ? samples[half] : (samples[half - 1] + samples[half]) / 2;
}

double best(const std::vector<double>& samples) {
    return samples.empty() ? 0 : *std::min_element(samples.begin(), samples.end());
}

double spread(const std::vector<double>& samples) {
    if (samples.empty()) return 0;
    return (*std::max_element(samples.begin(), samples.end()) - best(samples)) / median(samples);
}

}  // namespace vks::bench
