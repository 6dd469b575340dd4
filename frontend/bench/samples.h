// What repeated measurements come to.
#pragma once
#include <cstdint>
#include <vector>

namespace vks::bench {

double mean(const std::vector<double>& samples);
// Of a sample of a larger whole; 0 for less than two.
double deviation(const std::vector<double>& samples);
// 0 for none.
double median(std::vector<double> samples);
double best(const std::vector<double>& samples);
// (worst - best) / median; 0 for none.
double spread(const std::vector<double>& samples);

}  // namespace vks::bench
