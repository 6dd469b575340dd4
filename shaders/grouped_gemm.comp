//! op       grouped_gemm/1   y[r] = x[row[r]] w_e^T, r in [offset[e], offset[e+1]). Bound as gemm's, w of experts with rows.
//! variant  subgroup subgroup_int64 coopmat addresses addresses_subgroup addresses_subgroup_int64 addresses_coopmat coopmat_float8 addresses_coopmat_float8
#version 450
#extension GL_GOOGLE_include_directive : require
#ifdef COOPMAT
#include "lib/matrix.glsl"
#else
#include "lib/tile.glsl"
#endif
#include "grouped_gemm.h"

#ifdef ADDRESSES
layout(binding = 3) readonly buffer TableBuffer { uvec2 table[]; };  // of each expert w, w_scale
#endif
layout(binding = 5) readonly buffer OffsetBuffer { int offset[]; };
layout(binding = 6) readonly buffer RowBuffer { uint list[]; };
layout(push_constant) uniform Push { GroupedGemmPush p; };

uint x_row(uint r) {
    const uint row = p.listed != 0u ? list[r] : r;
    return row < p.x_rows ? row : NO_ROW;
}

uint bound(uint e) { return uint(clamp(offset[e], 0, int(p.y_rows))); }

#ifdef ADDRESSES
// The last expert whose list begins at r or before; the first if there is none.
uint expert_of(uint r) {
    uint from = 0, to = p.experts;
    while (to - from > 1u) {
        const uint middle = (from + to) / 2u;
        if (bound(middle) <= r) {
            from = middle;
        } else {
            to = middle;
        }
    }
    return from;
}

// A slot does the tiles that begin in its span of the list, of whichever experts: as many slots as the list could fill
// are enough for any skew, and one without a tile is over after a binary search.
void walk(uint share, uint slot) {
    const uint stop = min((slot + 1u) * p.span, p.y_rows);
    for (uint r = slot * p.span; r < stop;) {
        const uint e = expert_of(r), begin = bound(e), end = bound(e + 1u);
        const uint first = r <= begin ? begin : begin + (r - begin + AT_ONCE - 1u) / AT_ONCE * AT_ONCE;
        const uint last = min(end, first + AT_ONCE);
        if (first < min(stop, end)) {
            w_address = table[2u * e];
            w_scale_address = table[2u * e + 1u];
            job.k = w_address == uvec2(0) ? 0u : p.k;  // a sum of nothing where it is elsewhere
            multiply(share, first, last);
        }
        if (e + 1u == p.experts && r >= end) return;
        r = max(r + 1u, last);
    }
}
#else
void walk(uint share, uint slot) {
    const uint end = bound(p.expert + 1u);
    for (uint first = bound(p.expert) + slot * AT_ONCE; first < end; first += p.slots * AT_ONCE)
        multiply(share, first, min(end, first + AT_ONCE));
}
#endif

void main() {
    const uint group = group_index();
    if (group >= p.shares * p.slots) return;
    job = Job(p.n, p.k, 0u, p.k, 0u, 0u, 0u, p.n);
    walk(group % p.shares, group / p.shares);
}
