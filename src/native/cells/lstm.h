// Hochreiter & Schmidhuber 1997 with the forget gate of Gers et al. 2000:
// i, f, o = σ(a_i), σ(a_f), σ(a_o)   g = tanh(a_g)   c' = f c + i g   h' = o tanh(c').
#pragma once

#include "../simd.h"

namespace elman {
namespace ELMAN_ISA {

// Blocks of a tape row: i f g o, before and after the pointwise functions.
template <class T>
struct LstmCell {
    static constexpr int gates = 4, blocks = 4, first_recurrent = 0;
    static constexpr bool has_cell_state = true, needs_h_prev = false, carries_dh = false;
#if ELMAN_MUTANT == 6
    static constexpr int input_gates[4] = {1, 0, 2, 3}, recurrent_gates[4] = {1, 0, 2, 3};
#else
    static constexpr int input_gates[4] = {0, 1, 2, 3}, recurrent_gates[4] = {0, 1, 2, 3};
#endif

    static ELMAN_INLINE void forward(T* tape, long width, long j, const T*, const T* c_prev, T* h, T* c) {
        const Vec<T> i = sigmoid<T>(load(tape + j));
        const Vec<T> f = sigmoid<T>(load(tape + width + j));
        const Vec<T> g = tanh_of<T>(load(tape + 2 * width + j));
        const Vec<T> o = sigmoid<T>(load(tape + 3 * width + j));
        const Vec<T> c_new = fma(f, load(c_prev + j), i * g);
        store(tape + j, i);
        store(tape + width + j, f);
        store(tape + 2 * width + j, g);
        store(tape + 3 * width + j, o);
        store(c + j, c_new);
        store(h + j, o * tanh_of<T>(c_new));
    }

    static ELMAN_INLINE void backward(const T* tape, T* da, long width, long j, const T*, const T* c, const T* c_prev,
                                      T* dh, T* dc) {
        const Vec<T> i = load(tape + j), f = load(tape + width + j), g = load(tape + 2 * width + j),
                     o = load(tape + 3 * width + j);
        const Vec<T> tanh_c = tanh_of<T>(load(c + j));
        const Vec<T> dh_j = load(dh + j);
        const Vec<T> dc_j = fma(dh_j * o, fma(-tanh_c, tanh_c, splat(T(1))), load(dc + j));
        store(da + j, dc_j * g * (i * (T(1) - i)));
        store(da + width + j, dc_j * load(c_prev + j) * (f * (T(1) - f)));
        store(da + 2 * width + j, dc_j * i * fma(-g, g, splat(T(1))));
        store(da + 3 * width + j, dh_j * tanh_c * (o * (T(1) - o)));
        store(dc + j, dc_j * f);
    }
};

}  // namespace ELMAN_ISA
}  // namespace elman
