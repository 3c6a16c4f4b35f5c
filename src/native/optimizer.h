// One pass over all parameters, where NumPy needs thirteen.
#pragma once

#include "outer.h"
#include "views.h"

namespace elman {
namespace ELMAN_ISA {

// Kingma & Ba 2015 with torch's order of operations, each rounded on its own: the bits are those of the NumPy version.
template <class T>
void adam(const AdamViews<T>& v, long part, long parts) {
    const Share own = share_of(v.count, part, parts);
    const T keep_1 = v.one_less_beta_1, keep_2 = v.one_less_beta_2, beta_2 = v.beta_2;
    for (long i = own.first; i < own.end; ++i) {
        const T g = v.grads[i];
        const T m = v.m[i] + (g - v.m[i]) * keep_1;
        const T s = v.v[i] * beta_2 + g * g * keep_2;
        v.m[i] = m;
        v.v[i] = s;
        v.flat[i] -=
            m /
            (static_cast<T>(sizeof(T) == sizeof(float) ? __builtin_sqrtf(s) : __builtin_sqrt(s)) / v.root_correction +
             v.epsilon) *
            v.step_size;
    }
}

// Sums of squares of blocks of kSquareBlock numbers, in float64; their sum does not depend on the number of parts.
template <class T>
void squares(const SquaresViews<T>& v, long part, long parts) {
    constexpr long lanes = 8;
    const long blocks = (v.count + kSquareBlock - 1) / kSquareBlock;
    const Share own = share_of(blocks, part, parts);
    for (long b = own.first; b < own.end; ++b) {
        const long first = b * kSquareBlock, end = first + kSquareBlock < v.count ? first + kSquareBlock : v.count;
        double sums[lanes] = {};
        long i = first;
        for (; i + lanes <= end; i += lanes)
            for (long j = 0; j < lanes; ++j)
                sums[j] += static_cast<double>(v.x[i + j]) * static_cast<double>(v.x[i + j]);
        for (; i < end; ++i) sums[i % lanes] += static_cast<double>(v.x[i]) * static_cast<double>(v.x[i]);
        double total = 0;
        for (long j = 0; j < lanes; ++j) total += sums[j];
        v.sums[b] = total;
    }
}

}  // namespace ELMAN_ISA
}  // namespace elman
