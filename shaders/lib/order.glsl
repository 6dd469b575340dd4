// The order in which operators select: larger first, NaN last. By integers, since drivers may assume that there is no NaN
// and flush subnormals when they compare.
#ifndef VKS_ORDER
#define VKS_ORDER

// Larger for what comes first, 0 for NaN alone; the same for equal values, -0 and +0 among them.
uint rank_of(uint bits) {
    if ((bits & 0x7fffffffu) > 0x7f800000u) return 0u;
    if ((bits & 0x7fffffffu) == 0u) return 0x80000000u;
    return (bits & 0x80000000u) == 0u ? bits | 0x80000000u : ~bits;
}

// Does i, of rank a, come before j, of rank b? Of equals the lower index does.
bool comes_before(uint a, uint i, uint b, uint j) { return a > b || (a == b && i < j); }
#endif
