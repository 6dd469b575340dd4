// RMSNorm's row statistic, shared by the operators that normalise.
#ifndef VKS_NORM
#define VKS_NORM
#include "lib/reduce.glsl"

// inverse = 1 / sqrt(mean(ELEMENT(i)^2) + eps) over i in [0, n), by the whole workgroup. Sums of 16 are added up, not
// squares: a workgroup of four adds thousands, and each addition to a sum that has grown rounds the more.
#define INVERSE_RMS(inverse, ELEMENT, n, eps)                                                 \
    {                                                                                         \
        float sum_of_squares = 0;                                                             \
        for (uint i = gl_LocalInvocationIndex; i < (n);) {                                    \
            float squares = 0;                                                                \
            for (uint j = 0; j < 16u && i < (n); ++j, i += gl_WorkGroupSize.x) {              \
                const float v = ELEMENT(i);                                                   \
                squares += v * v;                                                             \
            }                                                                                 \
            sum_of_squares += squares;                                                        \
        }                                                                                     \
        inverse = 1.0 / sqrt(team_sum(sum_of_squares) / float(n) + (eps));                    \
    }
#endif
