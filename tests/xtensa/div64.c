// The parts of GCC's runtime that are C in libgcc.

#include <stddef.h>
#include <stdint.h>

uint64_t __udivmoddi4(uint64_t dividend, uint64_t divisor, uint64_t *remainder) {
    uint64_t quotient = 0, rest = 0;
    for (int bit = 63; bit >= 0; bit--) {
        rest = rest << 1 | (dividend >> bit & 1);
        if (rest >= divisor) {
            rest -= divisor;
            quotient |= (uint64_t)1 << bit;
        }
    }
    if (remainder != NULL) {
        *remainder = rest;
    }
    return quotient;
}

static uint64_t magnitude(int64_t value) {
    return value < 0 ? -(uint64_t)value : (uint64_t)value;
}

uint64_t __udivdi3(uint64_t a, uint64_t b) {
    return __udivmoddi4(a, b, NULL);
}

uint64_t __umoddi3(uint64_t a, uint64_t b) {
    uint64_t remainder;
    __udivmoddi4(a, b, &remainder);
    return remainder;
}

int64_t __divdi3(int64_t a, int64_t b) {
    uint64_t quotient = __udivmoddi4(magnitude(a), magnitude(b), NULL);
    return (a < 0) != (b < 0) ? -(int64_t)quotient : (int64_t)quotient;
}

int64_t __moddi3(int64_t a, int64_t b) {
    uint64_t remainder;
    __udivmoddi4(magnitude(a), magnitude(b), &remainder);
    return a < 0 ? -(int64_t)remainder : (int64_t)remainder;
}

int64_t __muldi3(int64_t a, int64_t b) {
    uint32_t a_low = a, b_low = b, a_high = (uint64_t)a >> 32, b_high = (uint64_t)b >> 32;
    uint32_t cross = a_low * b_high + a_high * b_low;
    return ((uint64_t)cross << 32) + (uint64_t)a_low * b_low;
}

int __popcountsi2(uint32_t value) {
    int count = 0;
    for (; value != 0; value &= value - 1) {
        count++;
    }
    return count;
}
