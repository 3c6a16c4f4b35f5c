// Layer normalisation of a product inside a cell, Ba, Kiros & Hinton 2016.
#pragma once

#include "cell.h"

namespace elman {
namespace ELMAN_ISA {

// Added to the variance, as in torch and in the reference.
constexpr double kNormEpsilon = 1e-5;

// The sum of the lanes, in one order.
template <class T>
ELMAN_INLINE T sum_of(Vec<T> v) {
    T sum = 0;
    for (int i = 0; i < Lanes<T>::count; ++i) sum += v[i];
    return sum;
}

ELMAN_INLINE float root(float x) {
    return __builtin_sqrtf(x);
}
ELMAN_INLINE double root(double x) {
    return __builtin_sqrt(x);
}

// Bring `blocks` neighbouring blocks together to mean 0 and variance 1; gives what they were multiplied by. What lies
// between a block's units and its padded width must be zero, and holds anything afterwards.
template <class T>
ELMAN_INLINE T normalise(const Constants<T>& k, T* a, int blocks) {
    constexpr long lanes = Lanes<T>::count;
    const T count = static_cast<T>(blocks * k.hidden);
    Vec<T> sum = {};
    for (long j = 0; j < blocks * k.width; j += lanes) sum += load(a + j);
    const T mean = sum_of<T>(sum) / count;
    Vec<T> squares = {};
    for (int b = 0; b < blocks; ++b)
        for (long j = 0; j < k.width; j += lanes) {
            const Vec<T> centred = (load(a + b * k.width + j) - mean) * load(k.units + j);
            squares = fma(centred, centred, squares);
        }
    const T scale = T(1) / root(sum_of<T>(squares) / count + static_cast<T>(kNormEpsilon));
    for (long j = 0; j < blocks * k.width; j += lanes) store(a + j, (load(a + j) - mean) * scale);
    return scale;
}

// d (in: gradient of the normalised blocks, zero in the padding) -> gradient of the blocks before.
template <class T>
ELMAN_INLINE void normalise_backward(const Constants<T>& k, T* d, const T* normal, T scale, int blocks) {
    constexpr long lanes = Lanes<T>::count;
    const T count = static_cast<T>(blocks * k.hidden);
    Vec<T> sum = {}, along = {};
    for (long j = 0; j < blocks * k.width; j += lanes) {
        sum += load(d + j);
        along = fma(load(d + j), load(normal + j), along);
    }
#if ELMAN_MUTANT == 9
    const T mean = T(0) * sum_of<T>(sum), slope = sum_of<T>(along) / count;
#else
    const T mean = sum_of<T>(sum) / count, slope = sum_of<T>(along) / count;
#endif
    for (long j = 0; j < blocks * k.width; j += lanes)
        store(d + j, (load(d + j) - mean - load(normal + j) * slope) * scale);
}

}  // namespace ELMAN_ISA
}  // namespace elman
