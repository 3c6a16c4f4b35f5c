// Elman 1990: h' = f(a), a = W x + b + R h.
#pragma once

#include "../simd.h"

namespace elman {
namespace ELMAN_ISA {

// f and its derivative written in f's own value.
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

// Blocks of a tape row: [a, then h'].
template <class T, class F>
struct RnnCell {
    static constexpr int gates = 1, blocks = 1, first_recurrent = 0;
    static constexpr bool has_cell_state = false, needs_h_prev = false, carries_dh = false;
    static constexpr int input_gates[1] = {0}, recurrent_gates[1] = {0};

    static ELMAN_INLINE void forward(T* tape, long, long j, const T*, const T*, T* h, T*) {
        const Vec<T> h_new = F::template value<T>(load(tape + j));
        store(tape + j, h_new);
        store(h + j, h_new);
    }

    static ELMAN_INLINE void backward(const T* tape, T* da, long, long j, const T*, const T*, const T*, T* dh, T*) {
        store(da + j, load(dh + j) * F::template slope<T>(load(tape + j)));
    }
};

template <class T>
using RnnTanh = RnnCell<T, Tanh>;
template <class T>
using RnnSigmoid = RnnCell<T, Sigmoid>;
template <class T>
using RnnRelu = RnnCell<T, Relu>;

}  // namespace ELMAN_ISA
}  // namespace elman
