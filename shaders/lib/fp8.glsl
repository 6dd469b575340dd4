// e4m3 to f32, four codes of a word at once. HALF: as f16 (exponent 8 too small) through unpackHalf2x16, which has to keep
// subnormals; the device is asked for all 256 codes before this is used (check/fp8_codes.comp). Else by integers, right
// everywhere: three times the instructions, but no shared table to fill and no barrier, which CPU devices pay for most.
#ifndef VKS_FP8
#define VKS_FP8
layout(constant_id = 10) const uint HALF = 0;
// What every decoded value has to be multiplied by; callers do it once per sum.
const float F8_UNIT = HALF != 0 ? 256.0 : 1.0;

// Two codes, each in the high byte of a half word.
vec2 f8_pair(uint codes) {
    const uint magnitude = (codes >> 1) & 0x3f803f80u;
    const uint nan = (magnitude + 0x00800080u) & 0x40004000u;  // 0x7f: the exponent becomes all ones
    return unpackHalf2x16((codes & 0x80008000u) | magnitude | nan);
}

float f8_exact(uint code) {
    const uint magnitude = code & 0x7fu, sign = (code & 0x80u) << 24;
    if (magnitude == 0x7fu) return uintBitsToFloat(sign | 0x7fc00000u);
    const float small = float(magnitude) * 0.001953125;  // 2^-9
    return uintBitsToFloat((magnitude < 8u ? floatBitsToUint(small) : (magnitude << 20) + 0x3c000000u) | sign);
}

vec4 f8_quad(uint word) {
    if (HALF != 0) {
        const vec2 even = f8_pair(word << 8), odd = f8_pair(word);
        return vec4(even.x, odd.x, even.y, odd.y);
    }
    return vec4(f8_exact(word), f8_exact(word >> 8), f8_exact(word >> 16), f8_exact(word >> 24));
}
#endif
