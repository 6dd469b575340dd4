// Seeded pseudo-random tensors, fast: a table turns 16 random bits into a normally distributed value or e4m3 code. Good
// for making weights that behave like a model's; not for statistics.
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace vks {

// A stream of 64-bit numbers (xoshiro256**, Blackman and Vigna 2018).
class RandomStream {
public:
    // The same seed and name give the same stream everywhere, whatever else is generated.
    RandomStream(uint64_t seed, std::string_view name);
    uint64_t next();
    double uniform();  // [0, 1)

private:
    uint64_t state_[4] = {};
};

// Standard deviation of the values of random_e4m3's codes: 448 is four of them, as large as a code gets.
inline constexpr double kCodeDeviation = 112;

// Each call continues the stream; a tensor cut into pieces of whole multiples of 4 elements gives the same values.
void random_e4m3(RandomStream& stream, std::span<uint8_t> codes);
void random_bf16(RandomStream& stream, double mean, double deviation, std::span<uint16_t> values);
void random_f32(RandomStream& stream, double mean, double deviation, std::span<float> values);

}  // namespace vks
