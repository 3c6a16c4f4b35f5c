// Cho et al. 2014 with the reset gate after the product, as cuDNN has it:
// r, z = σ(a_r), σ(a_z)   n = tanh(ax_n + r (R_n h + b_hn))   h' = (1 - z) n + z h.
#pragma once

#include "../simd.h"

namespace elman {
namespace ELMAN_ISA {

// Blocks of a tape row: n r z q with q = R_n h + b_hn, so that what the input reaches (n r z) and what the state
// reaches (r z q) are each one stretch of columns.
template <class T>
struct GruCell {
    static constexpr int gates = 3, blocks = 4, first_recurrent = 1;
    static constexpr bool has_cell_state = false, needs_h_prev = true, carries_dh = true;
    static constexpr int input_gates[3] = {2, 0, 1}, recurrent_gates[3] = {0, 1, 2};

    static ELMAN_INLINE void forward(T* tape, long width, long j, const T* h_prev, const T*, T* h, T*) {
        const Vec<T> r = sigmoid<T>(load(tape + width + j));
        const Vec<T> z = sigmoid<T>(load(tape + 2 * width + j));
        const Vec<T> n = tanh_of<T>(fma(r, load(tape + 3 * width + j), load(tape + j)));
        store(tape + j, n);
        store(tape + width + j, r);
        store(tape + 2 * width + j, z);
        store(h + j, fma(z, load(h_prev + j) - n, n));
    }

    static ELMAN_INLINE void backward(const T* tape, T* da, long width, long j, const T* h_prev, const T*, const T*,
                                      T* dh, T*) {
        const Vec<T> n = load(tape + j), r = load(tape + width + j), z = load(tape + 2 * width + j),
                     q = load(tape + 3 * width + j);
        const Vec<T> dh_j = load(dh + j);
        const Vec<T> da_n = dh_j * (T(1) - z) * fma(-n, n, splat(T(1)));
        store(da + j, da_n);
        store(da + width + j, da_n * q * (r * (T(1) - r)));
        store(da + 2 * width + j, dh_j * (load(h_prev + j) - n) * (z * (T(1) - z)));
        store(da + 3 * width + j, da_n * r);
        store(dh + j, dh_j * z);
    }
};

}  // namespace ELMAN_ISA
}  // namespace elman
