// mla_attention in f32, of any types and sizes.
//
// A row is a head of a token. A team of LANES invocations holds ROWS rows: their queries and sums in registers, spread over
// the columns. It walks over the cache TILE rows at a time: scores (a team's parts are added up in shared memory), running
// maximum and sum, then the weighted sum of latents. Teams of a workgroup walk together, so the second and later reads of
// a tile are the first-level cache's.
//
// DeepSeek-V3 (512 + 64 columns, 128 heads, bf16 cache): a cache row is 1152 bytes and costs 2176 flop per head. Memory is
// read once per token and, by workgroups of 16 rows, 8 times from the second-level cache: 30 flop/byte there, 242 at
// memory. Bound: f32 arithmetic, on every GPU. Of the instructions, per tile of 4 and lane of 64: 272 multiply-adds (4 rows,
// 9 + 8 columns), 36 loads of 2 words or less, 136 shifts and masks to unpack them, 52 shared loads and stores, 3 barriers.
// Registers and waves of a SIMD (tests/isa): navi31 120, 12 of 16; navi21 128, 8; vega20 128, 2 of 10; Ampere 128, 16 of 48.
//
// LANES = 1 (devices run by the CPU): an invocation is a team, nothing is shared and nothing waits; loads from the cache
// are the same address in all lanes.
#ifndef VKS_ATTEND
#define VKS_ATTEND
#extension GL_EXT_control_flow_attributes : require
#include "lib/attention.glsl"

layout(constant_id = 7) const uint Q = F32;
layout(constant_id = 8) const uint P = F32;
layout(constant_id = 9) const uint C = F32;
layout(constant_id = 10) const uint LANES = 1;
layout(constant_id = 11) const uint ROWS = 1;
layout(constant_id = 12) const uint TILE = 8;
layout(binding = 0) readonly buffer QBuffer { uint q[]; };
layout(binding = 0) readonly buffer QBuffer2 { uvec2 q2[]; };
layout(binding = 1) readonly buffer PBuffer { uint pe[]; };
layout(binding = 2) readonly buffer CBuffer { uint c[]; };
layout(binding = 2) readonly buffer CBuffer2 { uvec2 c2[]; };

const uint TEAMS = gl_WorkGroupSize.x / LANES;
const uint VALUES = ROWS * TILE;                             // scores of a tile
const uint MINE = (VALUES + LANES - 1u) / LANES;             // of them, looked after by one lane,
const uint HELPERS = LANES > VALUES ? LANES / VALUES : 1u;   // or by several: all of these are powers of two
const uint LATENT = (GROUPS + LANES - 1u) / LANES;           // groups of four columns a lane holds
const uint PE = ROPE == 0u ? 1u : (ROPE + LANES - 1u) / LANES;
const bool MIXED = HEADS % (TEAMS * ROWS) != 0u;             // a workgroup's rows may be of several tokens
const uint NONE = 0xffffffffu;

// Of a team, one lane: the columns of its queries and sums.
vec4 query[LANES == 1u || Q != F32 ? 1u : ROWS * LATENT];
uvec2 query_half[LANES == 1u || Q == F32 ? 1u : ROWS * LATENT];  // bf16 stays packed: registers are what bounds ROWS
float query_pe[LANES == 1u ? 1u : ROWS * PE];
vec4 sums[ROWS * LATENT];
float s[VALUES];     // parts of scores, then weights
float shrink[ROWS];  // of the sums so far
uint entry[TILE];    // where the tile's cache rows begin
uvec2 range[ROWS];   // cache rows a row sees

// Of the values this lane looks after: with LANES = 1, of all.
float peak[MINE], total[MINE];
uvec2 value_range[MINE];

shared float part[LANES == 1u ? 1u : TEAMS * VALUES * (LANES + 1u)];  // one more: neighbours in different banks
shared float score[LANES == 1u ? 1u : TEAMS * VALUES * HELPERS];
shared float weight[LANES == 1u ? 1u : TEAMS * VALUES];
shared float team_shrink[LANES == 1u ? 1u : TEAMS * ROWS];
shared uint team_at[LANES == 1u ? 1u : TEAMS];

uint team() { return gl_LocalInvocationIndex / LANES; }
uint lane() { return gl_LocalInvocationIndex % LANES; }
uint value_of(uint i) { return (i * LANES + lane()) % VALUES; }
// Compilers don't see that of the last one all lanes may have theirs.
bool has_group(uint i) { return GROUPS % LANES == 0u || i * LANES + lane() < GROUPS; }
bool has_pe(uint i) { return ROPE != 0u && (ROPE % LANES == 0u || i * LANES + lane() < ROPE); }

vec4 unpack(uvec2 w) { return uintBitsToFloat(uvec4(w.x << 16, w.x & 0xffff0000u, w.y << 16, w.y & 0xffff0000u)); }

// Four columns from 4g on of a latent that begins at element `at`; past its end, zeros. Both read four elements at once
// where rows are aligned for it.
vec4 cache_group(uint at, uint g) {
    at += 4u * g;
    if (LORA % 4u == 0u && ROPE % 4u == 0u) return C == F32 ? uintBitsToFloat(c4[at >> 2]) : unpack(c2[at >> 2]);
    vec4 v = vec4(0);
    for (uint e = 0; e < min(4u, LORA - 4u * g); ++e) v[e] = LOAD(C, c, at + e);
    return v;
}

vec4 query_group(uint row, uint g) {
    const uint at = row * LORA + 4u * g;
    if (LORA % 4u == 0u) return Q == F32 ? uintBitsToFloat(q4[at >> 2]) : unpack(q2[at >> 2]);
    vec4 v = vec4(0);
    for (uint e = 0; e < min(4u, LORA - 4u * g); ++e) v[e] = LOAD(Q, q, at + e);
    return v;
}

// The first cache row from `at` on that a token of this workgroup sees.
uint next_tile(uint at, uvec2 tokens) {
    uint first = NONE;
    for (uint t = tokens.x; t <= tokens.y; ++t) {
        const uvec2 seen_rows = token_range(t);
        if (seen_rows.y > max(at, seen_rows.x)) first = min(first, max(at, seen_rows.x));
    }
    return first;
}

void score_group(uint i, uint g, uint first_row) {
    vec4 rows[ROWS];
    [[unroll]] for (uint r = 0; r < ROWS; ++r) {
        if (LANES == 1u) {
            rows[r] = query_group(min(first_row + r, p.rows - 1u), g);
        } else {
            rows[r] = Q == F32 ? query[r * LATENT + i] : unpack(query_half[r * LATENT + i]);
        }
    }
    [[unroll]] for (uint j = 0; j < TILE; ++j) {
        const vec4 k = cache_group(entry[j], g);
        [[unroll]] for (uint r = 0; r < ROWS; ++r) {
            const vec4 x = rows[r];
            s[r * TILE + j] += x.x * k.x;
            s[r * TILE + j] += x.y * k.y;
            s[r * TILE + j] += x.z * k.z;
            s[r * TILE + j] += x.w * k.w;
        }
    }
}

void score_pe(uint i, uint e, uint first_row) {
    float rows[ROWS];
    [[unroll]] for (uint r = 0; r < ROWS; ++r) {
        const uint row = min(first_row + r, p.rows - 1u);
        rows[r] = LANES == 1u ? LOAD(P, pe, row * ROPE + e) : query_pe[r * PE + i];
    }
    [[unroll]] for (uint j = 0; j < TILE; ++j) {
        const float k = LOAD(C, c, entry[j] + LORA + e);
        [[unroll]] for (uint r = 0; r < ROWS; ++r) s[r * TILE + j] += rows[r] * k;
    }
}

// s = this lane's part of q k, for the tile.
void scores(uint first_row) {
    [[unroll]] for (uint v = 0; v < VALUES; ++v) s[v] = 0;
    if (LANES == 1u) {
        [[dont_unroll]] for (uint g = 0; g < GROUPS; ++g) score_group(0, g, first_row);
        [[dont_unroll]] for (uint e = 0; e < ROPE; ++e) score_pe(0, e, first_row);
        return;
    }
    [[unroll]] for (uint i = 0; i < LATENT; ++i)
        if (has_group(i)) score_group(i, i * LANES + lane(), first_row);
    [[unroll]] for (uint i = 0; i < PE; ++i)
        if (has_pe(i)) score_pe(i, i * LANES + lane(), first_row);
}

// s = weights of the tile, shrink = what the sums so far are worth now. One invocation has all columns.
void weigh_alone(uint at) {
    [[unroll]] for (uint r = 0; r < ROWS; ++r) {
        float highest = peak[r];
        [[unroll]] for (uint j = 0; j < TILE; ++j) {
            const bool inside = at + j >= range[r].x && at + j < range[r].y;
            s[r * TILE + j] = inside ? s[r * TILE + j] * p.scale : LOWEST;
            highest = max(highest, s[r * TILE + j]);
        }
        shrink[r] = peak[r] == LOWEST ? 0.0 : decay(peak[r] - highest);
        total[r] *= shrink[r];
        peak[r] = highest;
        [[unroll]] for (uint j = 0; j < TILE; ++j) {
            const float below = s[r * TILE + j];
            s[r * TILE + j] = below == LOWEST ? 0.0 : decay(below - highest);
            total[r] += s[r * TILE + j];
        }
    }
}

// The same for a team: each lane adds up, and takes the exponential of, its own values; where lanes outnumber values, each
// adds up a share. Gives `at` back in a way no compiler sees through: it would keep the tile in registers from the scores to
// the sums, at the price of a third to a half of the waves (navi31: 180 registers for 120); the first-level cache has it.
uint weigh_together(uint at) {
    const uint base = team() * VALUES;
    [[unroll]] for (uint v = 0; v < VALUES; ++v) part[(base + v) * (LANES + 1u) + lane()] = s[v];
    barrier();
    if (lane() == 0u) team_at[team()] = at;
    const uint parts = LANES / HELPERS, first_part = lane() / VALUES * parts;
    [[unroll]] for (uint i = 0; i < MINE; ++i) {
        float sum = 0;
        [[unroll]] for (uint l = 0; l < parts; ++l) sum += part[(base + value_of(i)) * (LANES + 1u) + first_part + l];
        score[(base + value_of(i)) * HELPERS + lane() / VALUES] = sum;
    }
    barrier();
    [[unroll]] for (uint i = 0; i < MINE; ++i) {
        const uint v = value_of(i), first = base + v / TILE * TILE;
        float highest = peak[i], mine = LOWEST;
        [[unroll]] for (uint j = 0; j < TILE; ++j) {
            float x = 0;
            [[unroll]] for (uint h = 0; h < HELPERS; ++h) x += score[(first + j) * HELPERS + h];
            x = at + j >= value_range[i].x && at + j < value_range[i].y ? x * p.scale : LOWEST;
            highest = max(highest, x);
            mine = j == v % TILE ? x : mine;
        }
        const float left = peak[i] == LOWEST ? 0.0 : decay(peak[i] - highest);
        const float w = mine == LOWEST ? 0.0 : decay(mine - highest);
        total[i] = total[i] * left + w;
        peak[i] = highest;
        if (lane() < VALUES) {
            weight[base + v] = w;
            if (v % TILE == 0u) team_shrink[team() * ROWS + v / TILE] = left;
        }
    }
    barrier();
    [[unroll]] for (uint v = 0; v < VALUES; ++v) s[v] = weight[base + v];
    [[unroll]] for (uint r = 0; r < ROWS; ++r) shrink[r] = team_shrink[team() * ROWS + r];
    return team_at[team()];
}

// A row that doesn't see a cache row must not meet its value either: it may be NaN.
void sum_group(uint i, uint g, uint at) {
    [[unroll]] for (uint r = 0; r < ROWS; ++r) sums[r * LATENT + i] *= shrink[r];
    [[unroll]] for (uint j = 0; j < TILE; ++j) {
        const vec4 k = cache_group(entry[j], g);
        [[unroll]] for (uint r = 0; r < ROWS; ++r) {
            const vec4 sum = sums[r * LATENT + i] + s[r * TILE + j] * k;
            const bool inside = !MIXED || (at + j >= range[r].x && at + j < range[r].y);
            sums[r * LATENT + i] = inside ? sum : sums[r * LATENT + i];
        }
    }
}

void add_latents(uint at) {
    if (LANES == 1u) {
        [[dont_unroll]] for (uint g = 0; g < GROUPS; ++g) sum_group(g, g, at);
        return;
    }
    [[unroll]] for (uint i = 0; i < LATENT; ++i)
        if (has_group(i)) sum_group(i, i * LANES + lane(), at);
}

// Of a tile that reaches beyond what the workgroup sees, the last row is met again, with weight 0.
void find_entries(uint at, uint last) {
    [[unroll]] for (uint j = 0; j < TILE; ++j) entry[j] = min(at + j, last - 1u) * WIDTH;
}

void begin(uint first_row) {
    [[unroll]] for (uint r = 0; r < ROWS; ++r) {
        const uint row = min(first_row + r, p.rows - 1u);
        range[r] = first_row + r < p.rows ? token_range(row / HEADS) : uvec2(0);
        if (LANES == 1u) continue;
        [[unroll]] for (uint i = 0; i < LATENT; ++i) {
            const vec4 v = query_group(row, min(i * LANES + lane(), GROUPS - 1u));
            if (Q == F32) {
                query[r * LATENT + i] = v;
            } else {
                query_half[r * LATENT + i] = floatBitsToUint(v.xz) >> 16 | (floatBitsToUint(v.yw) & 0xffff0000u);
            }
        }
        [[unroll]] for (uint i = 0; i < PE; ++i) {
            if (has_pe(i)) query_pe[r * PE + i] = LOAD(P, pe, row * ROPE + i * LANES + lane());
        }
    }
    [[unroll]] for (uint i = 0; i < MINE; ++i) {
        const uint row = first_row + value_of(i) / TILE;
        value_range[i] = row < p.rows ? token_range(row / HEADS) : uvec2(0);
        peak[i] = LOWEST;
        total[i] = 0;
    }
    for (uint i = 0; i < ROWS * LATENT; ++i) sums[i] = vec4(0);
}

// A row's maximum and sum over everything seen. Of a team, all lanes must call it.
vec2 finished(uint r) {
    if (LANES == 1u) return vec2(peak[r], total[r]);
    const uint base = team() * VALUES;
    barrier();
    [[unroll]] for (uint i = 0; i < MINE; ++i) {
        if (lane() < VALUES) {
            score[base + value_of(i)] = total[i];
            weight[base + value_of(i)] = peak[i];
        }
    }
    barrier();
    float sum = 0;
    [[unroll]] for (uint j = 0; j < TILE; ++j) sum += score[base + r * TILE + j];
    return vec2(weight[base + r * TILE], sum);
}

void store_group(uint r, uint i, uint g, uint row, float factor) {
    const vec4 v = sums[r * LATENT + i];
    if (SPLITS > 1u) {
        partial[split_row(row) * GROUPS + g] = v;
    } else {
        const vec4 y = range[r].x < range[r].y ? v * factor : vec4(0);
        STORE_GROUP(o, row, g, y);
    }
}

void finish(uint first_row) {
    [[unroll]] for (uint r = 0; r < ROWS; ++r) {
        const vec2 end = finished(r);
        const uint row = first_row + r;
        if (row >= p.rows || (SPLITS > 1u && range[r].x >= range[r].y)) continue;
        if (SPLITS > 1u && lane() == 0u) state[split_row(row)] = end;
        const float factor = 1.0 / end.y;
        if (LANES == 1u) {
            [[dont_unroll]] for (uint g = 0; g < GROUPS; ++g) store_group(r, g, g, row, factor);
            continue;
        }
        [[unroll]] for (uint i = 0; i < LATENT; ++i)
            if (has_group(i)) store_group(r, i, i * LANES + lane(), row, factor);
    }
}

void attend() {
    const uint block_row = group_index() * TEAMS * ROWS, first_row = block_row + team() * ROWS;
    if (block_row >= p.rows) return;
    const uvec2 tokens = uvec2(block_row, min(block_row + TEAMS * ROWS, p.rows) - 1u) / HEADS;
    uint last = 0;
    for (uint t = tokens.x; t <= tokens.y; ++t) last = max(last, token_range(t).y);
    uint at = next_tile(0, tokens);
    if (SPLITS > 1u && at == NONE) return;
    begin(first_row);
    if (LANES == 1u) {
        // No plain while: Mesa 26's llvmpipe runs a loop's body even where no invocation enters it, and then reads by a
        // descriptor that none has set. An if it skips.
        if (at != NONE) do {
            find_entries(at, last);
            scores(first_row);
            weigh_alone(at);
            add_latents(at);
            at = next_tile(at + TILE, tokens);
        } while (at != NONE);
    } else {
        while (at != NONE) {
            find_entries(at, last);
            scores(first_row);
            find_entries(weigh_together(at), last);
            add_latents(at);
            at = next_tile(at + TILE, tokens);
        }
    }
    finish(first_row);
}
#endif
