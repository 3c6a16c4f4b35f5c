// Pointwise functions, each with its derivative written in its own value.
#pragma once

#include "simd.h"
#include "views.h"

namespace elman {
namespace ELMAN_ISA {

struct Tanh {
    template <class T>
    static ELMAN_INLINE Vec<T> value(Vec<T> a) {
        return tanh_of<T>(a);
    }
    template <class T>
    static ELMAN_INLINE Vec<T> slope(Vec<T> f) {
        return fma(-f, f, splat(T(1)));
    }
};
struct Sigmoid {
    template <class T>
    static ELMAN_INLINE Vec<T> value(Vec<T> a) {
        return sigmoid<T>(a);
    }
    template <class T>
    static ELMAN_INLINE Vec<T> slope(Vec<T> f) {
        return f * (T(1) - f);
    }
};
struct Relu {
    template <class T>
    static ELMAN_INLINE Vec<T> value(Vec<T> a) {
        return keep_nan<T>(a, max_of<T>(a, Vec<T>{}));
    }
    template <class T>
    static ELMAN_INLINE Vec<T> slope(Vec<T> f) {
        return f > T(0) ? splat(T(1)) : Vec<T>{};
    }
};
struct HardSigmoid {
    template <class T>
    static ELMAN_INLINE Vec<T> value(Vec<T> a) {
        const Vec<T> line = a / T(6) + T(0.5);
        const Vec<T> cut = a < T(3) ? line : splat(T(1));
        return keep_nan<T>(a, a > T(-3) ? cut : Vec<T>{});
    }
    template <class T>
    static ELMAN_INLINE Vec<T> slope(Vec<T> f) {
        const Vec<T> inside = f < T(1) ? splat(T(1) / T(6)) : Vec<T>{};
        return f > T(0) ? inside : Vec<T>{};
    }
};

// The function is known when the kernel runs, not when it is compiled.
struct Chosen {
    int activation;
    template <class T>
    ELMAN_INLINE Vec<T> value(Vec<T> a) const {
        switch (activation) {
            case kTanh:
                return Tanh::value<T>(a);
            case kSigmoid:
                return Sigmoid::value<T>(a);
            case kRelu:
                return Relu::value<T>(a);
            case kHardSigmoid:
                return HardSigmoid::value<T>(a);
            default:
                return a;
        }
    }
    template <class T>
    ELMAN_INLINE Vec<T> slope(Vec<T> f) const {
        switch (activation) {
            case kTanh:
                return Tanh::slope<T>(f);
            case kSigmoid:
                return Sigmoid::slope<T>(f);
            case kRelu:
                return Relu::slope<T>(f);
            case kHardSigmoid:
                return HardSigmoid::slope<T>(f);
            default:
                return splat(T(1));
        }
    }
};

}  // namespace ELMAN_ISA
}  // namespace elman
