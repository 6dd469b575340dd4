/* The vocabulary: each operator's name, parameters and argument list. C11 and C++20; includes only plugin.h.
 *
 * Notation: T tokens in the step (varies per launch), R rows selected from them, K chosen experts per token, E experts,
 * of which no layer has more than 1024.
 * "act" is f32, or bf16 under --math half. "w" is a matrix [N, K] row-major in f32, bf16, f16 or F8_E4M3; the argument
 * after it is its scale, f32 [ceil(N/128), ceil(K/128)], absent (dtype NONE) unless w is F8_E4M3. Accumulation is f32
 * always. "const" arguments are bound at prepare. An argument marked "?" may be absent.
 *
 * Under f32 arithmetic an implementation may promise bit-equal rows whatever T is: the CPU plugin does. */
#ifndef VKS_ABI_OPS_H
#define VKS_ABI_OPS_H

#include "plugin.h"

/* Every params struct is a plain POD of 4-byte fields: no padding, compared and printed as bytes. */

/* embed/1: y[t] = table[ids[t]]. Also selects rows of an activation (table not const).
 *   ids i32 [T], table act|bf16|f16|f32 [V,H] -> y act [T,H]. An id outside [0,V) gives a row of zeros. No params. */

/* rms_norm/1: y = x / sqrt(mean(x^2) + eps) * w.   x act [T,H], w f32|bf16|f16 [H] const -> y act [T,H] */
/* add_rms_norm/1: sum = x + delta, y = rms_norm(sum).  x f32 [T,H], delta act [T,H], w [H] const
 *   -> sum f32 [T,H], y act [T,H]. The residual stream stays f32 in every mode. */
typedef struct vks_norm_params { float eps; } vks_norm_params;

/* act_quant/1: per row and 128 channels (a ragged tail is a group of its own) s = max(amax, 1e-4)/448, q = e4m3(x/s);
 *   ue8m0 != 0: s rounded up to a power of two.   x act [T,K] -> q f8 [T,K], scale f32 [T, ceil(K/128)] */
typedef struct vks_act_quant_params { uint32_t ue8m0; } vks_act_quant_params;

/* fp8_gemm/1: y = x w^T with w F8_E4M3.   x act [T,K] or f8 [T,K], x_scale f32? [T,ceil(K/128)] (present when x is f8),
 *   w [N,K] const, w_scale const -> y act [T,N]. No params. */
/* gemm/1: y = x w^T with w f32, bf16 or f16.   x act [T,K], w [N,K] const -> y act [T,N]. No params. */

/* head_gemm/1: one small matrix per head, out of kv_b_proj (rows per head: nope, then v).
 *   mode ABSORB: x = q act [T, heads*(nope+rope)] (first nope of each head used), y act [T, heads*lora]:
 *                y[t,h,c] = sum_d x[t,h,d] w[h*(nope+v)+d, c]
 *   mode EXPAND: x act [T, heads*lora], y act [T, heads*v]:  y[t,h,i] = sum_c x[t,h,c] w[h*(nope+v)+nope+i, c]
 *   args: x, w [heads*(nope+v), lora] const, w_scale? const -> y.   DeepSeek-V2 report, section 2.1.2 (absorption) */
enum { VKS_HEAD_ABSORB = 0, VKS_HEAD_EXPAND = 1 };
typedef struct vks_head_gemm_params { uint32_t mode, heads, nope, rope, v, lora; } vks_head_gemm_params;

/* mla_rope_append/1: normalise the latent, rotate the rope parts (adjacent pairs), write the cache entry.
 *   q act [T, heads*(nope+rope)], kv act [T, lora+rope] (kv_a_proj_with_mqa's output), w [lora] const (kv_a_layernorm),
 *   table f32 [T, rope] (cos0, sin0, cos1, sin1, ... of the token's position), slot i32 [T] (cache row)
 *   -> cache act [C, lora+rope] (rows slot[t] written: latent, then k_pe interleaved), q_pe act [T, heads*rope] */
typedef struct vks_mla_rope_append_params { uint32_t heads, nope, rope, lora; float eps; } vks_mla_rope_append_params;

/* mla_attention/1: softmax attention in the latent space; all heads share the cache entry.
 *   q_lat act [T, heads*lora], q_pe act [T, heads*rope], cache act [C, lora+rope], span i32 [T,2] (first row, row count)
 *   -> o act [T, heads*lora]:  p = softmax(scale * (q_lat.c + q_pe.k_pe)), o = sum p c */
typedef struct vks_mla_attention_params { uint32_t heads, lora, rope; float scale; } vks_mla_attention_params;

/* mla_expanded/1: the same with each head's keys and values, k = W_k c and v = W_v c, formed from the cache: fewer
 * operations where many tokens meet few rows. W_k, W_v: a head's rows of w, as head_gemm has them. A NaN in a row that one
 * of the tokens sees may reach the others.
 *   q act [T, heads*(nope+rope)], q_pe act [T, heads*rope], cache act [C, lora+rope], w [heads*(nope+v), lora] const,
 *   w_scale? const, span i32 [T,2]; q, q_pe and cache of one dtype
 *   -> o act [T, heads*v]:  p = softmax(scale * (q_nope.k + q_pe.k_pe)), o = sum p v */
typedef struct vks_mla_expanded_params { uint32_t heads, nope, rope, v, lora; float scale; } vks_mla_expanded_params;

/* swiglu_quant/1: h = silu(gate) * up, then act_quant when y is f8.
 *   gate act [T,I], up act [T,I] -> y act|f8 [T,I], scale f32? [T, ceil(I/128)] (present when y is f8). No params. */

/* moe_route/1: sigmoid scores, bias for selection only, group-limited top-k (V3 report, section 2.1.2).
 *   logits f32 [T,E], bias f32 [E] const -> idx i32 [T,K] ascending, weight f32 [T,K] (normalised if `normalize`,
 *   times `scaling`). Equal scores: lowest index first. */
typedef struct vks_moe_route_params { uint32_t groups, groups_kept, top_k, normalize; float scaling; } vks_moe_route_params;

/* moe_dispatch/1: token lists of the experts [first, first+count) of one shard, ascending expert, then ascending token.
 *   idx i32 [T,K] -> offset i32 [count+1], row i32 [T*K] (token of each listed pair; the first offset[count] are valid),
 *   pos i32 [T,K] (where the pair went in the list, -1 if its expert is in another shard) */
typedef struct vks_moe_dispatch_params { uint32_t first, count; } vks_moe_dispatch_params;

/* grouped_gemm/1: y[r] = x[row[r]] w_e^T for r in [offset[e], offset[e+1]); row absent: x[r].
 *   x act|f8 [T or T*K, Kd], x_scale f32?, offset i32 [E+1], row i32? [T*K], then per expert w [N,Kd] const,
 *   w_scale? const -> y act [T*K, N]. w absent: the expert is elsewhere, its rows of y are 0; not all may be. */
typedef struct vks_grouped_gemm_params { uint32_t experts; } vks_grouped_gemm_params;

/* moe_combine/1: out[t] = base[t] + sum_j weight[t,j] * y[pos[t,j]], j ascending, pos -1 left out.
 *   y act [T*K,H], pos i32 [T,K], weight f32 [T,K], base act? [T,H] -> out act [T,H]. No params. */

/* add/1: y = a + b.   a act [T,H], b act [T,H] -> y act|f32 [T,H]. No params. */

/* mtp_merge/1: y = [rms_norm(e)*we ; rms_norm(h)*wh] (V3 report, eq. 21: the argument of M_k).
 *   e act [T,H] (embedding of the next token), h act [T,H], we [H] const, wh [H] const -> y act [T,2H]; vks_norm_params */

/* topk/1: the k largest of each row, descending; equal values: lowest index first.
 *   x f32 [R,V] -> value f32 [R,k], index i32 [R,k] */
typedef struct vks_topk_params { uint32_t k; } vks_topk_params;

#endif /* VKS_ABI_OPS_H */
