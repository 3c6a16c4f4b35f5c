// Cho et al. 2014: r, z = s(a_r), s(a_z)   h' = (1 - z) n + z h, with the reset gate
// after the product, as cuDNN has it: n = p(ax_n + r q), q = R_n h + b_hn,
// or before it, as the paper has it:  n = p(ax_n + R_n u), u = r h.
#pragma once

#include "norm.h"

namespace elman {
namespace ELMAN_ISA {

// Blocks of a tape row: n r z q, so that what the input reaches (n r z) and what the state reaches (r z q) are each one
// stretch of columns. Normalised: W x (r z n), R h (r z n), r z n, q.
template <class T, bool Norm>
struct GruAfterCell {
    static constexpr int input_order[3] = {2, 0, 1}, order[3] = {0, 1, 2};
    static constexpr int R = Norm ? 6 : 1, Z = Norm ? 7 : 2, N = Norm ? 8 : 0, Q = Norm ? 9 : 3;
    static constexpr int b_hn = 0, gain_x = 1, gain_h = 4, bias = 7;  // extras
    static constexpr CellLayout layout() {
        CellLayout at{};
        at.gates = at.state_gates = 3;
        at.input_gates = Norm ? order : input_order;
        at.recurrent_gates = order;
        at.tape_blocks = Norm ? 10 : 4;
        at.grad_blocks = Norm ? 6 : 4;
        at.state_at = at.d_state_at = Norm ? 3 : 1;
        at.second_gate = -1;
        at.extras = Norm ? 10 : 1;
        at.normalised = Norm;
        at.recurrent_bias = !Norm;
        at.needs_h_prev = at.carries_dh = true;
        return at;
    }

    template <class S, class P>
    static ELMAN_INLINE void forward(const Constants<T>& k, const StepRow<T>& row, S s, P p) {
        const long width = k.width;
        if (Norm) {
            row.stats[0] = normalise(k, row.tape, 3);
            row.stats[1] = normalise(k, row.tape + 3 * width, 3);
        }
        const auto scaled = [&](int block, int gain, long j, Vec<T> more) {
            return fma(load(row.tape + block * width + j), load(extra(k, gain) + j), more);
        };
        for (long j = 0; j < width; j += Lanes<T>::count) {
            Vec<T> a_r, a_z, ax_n, q;
            if (Norm) {
                a_r = scaled(0, gain_x, j, scaled(3, gain_h, j, load(extra(k, bias) + j)));
                a_z = scaled(1, gain_x + 1, j, scaled(4, gain_h + 1, j, load(extra(k, bias + 1) + j)));
                ax_n = scaled(2, gain_x + 2, j, load(extra(k, bias + 2) + j));
                q = scaled(5, gain_h + 2, j, load(extra(k, b_hn) + j));
                store(row.tape + Q * width + j, q);
            } else {
                a_r = load(row.tape + R * width + j);
                a_z = load(row.tape + Z * width + j);
                ax_n = load(row.tape + N * width + j);
                q = load(row.tape + Q * width + j);
            }
            const Vec<T> r = s.template value<T>(a_r);
            const Vec<T> z = s.template value<T>(a_z);
            const Vec<T> n = p.template value<T>(fma(r, q, ax_n));
            store(row.tape + N * width + j, n);
            store(row.tape + R * width + j, r);
            store(row.tape + Z * width + j, z);
            store(row.h + j, fma(z, load(row.h_prev + j) - n, n));
        }
    }

    template <class S, class P>
    static ELMAN_INLINE void backward(const Constants<T>& k, const BackRow<T>& row, S s, P p) {
        const long width = k.width;
        for (long j = 0; j < width; j += Lanes<T>::count) {
            const Vec<T> n = load(row.tape + N * width + j), r = load(row.tape + R * width + j),
                         z = load(row.tape + Z * width + j), q = load(row.tape + Q * width + j);
            const Vec<T> dh = load(row.dh + j);
            const Vec<T> d_n = dh * (T(1) - z) * p.template slope<T>(n);
            const Vec<T> d_r = d_n * q * s.template slope<T>(r);
            const Vec<T> d_z = dh * (load(row.h_prev + j) - n) * s.template slope<T>(z);
            const Vec<T> d_q = d_n * r;
            store(row.dh + j, dh * z);
            add(k, row.sums, b_hn, j, d_q);
            if (Norm) {
                const Vec<T> d_x[3] = {d_r, d_z, d_n}, d_h[3] = {d_r, d_z, d_q};
                ELMAN_UNROLL for (int b = 0; b < 3; ++b) {
                    const long x = b * width + j, h = x + 3 * width;
                    add(k, row.sums, gain_x + b, j, d_x[b] * load(row.tape + x));
                    add(k, row.sums, gain_h + b, j, d_h[b] * load(row.tape + h));
                    add(k, row.sums, bias + b, j, d_x[b]);
                    store(row.da + x, d_x[b] * load(extra(k, gain_x + b) + j));
                    store(row.da + h, d_h[b] * load(extra(k, gain_h + b) + j));
                }
            } else {
                store(row.da + j, d_n);
                store(row.da + width + j, d_r);
                store(row.da + 2 * width + j, d_z);
                store(row.da + 3 * width + j, d_q);
            }
        }
        if (Norm) {
            normalise_backward(k, row.da, row.tape, row.stats[0], 3);
            normalise_backward(k, row.da + 3 * width, row.tape + 3 * width, row.stats[1], 3);
        }
    }

    static void first(const Constants<T>& k, const StepRow<T>& row) {
        with_activations(k, [&](auto s, auto p) { forward(k, row, s, p); });
    }
    static void first_back(const Constants<T>& k, const BackRow<T>& row) {
        with_activations(k, [&](auto s, auto p) { backward(k, row, s, p); });
    }
    static constexpr CellKernel<T> kernel() { return {layout(), first, nullptr, nullptr, first_back}; }
};

// Blocks of a tape row: n r z u; the product R_n u is added to n. Normalised: W x (r z n), R h (r z), R_n u, r z n, u.
template <class T, bool Norm>
struct GruBeforeCell {
    static constexpr int input_order[3] = {2, 0, 1}, order[3] = {0, 1, 2};
    static constexpr int R = Norm ? 6 : 1, Z = Norm ? 7 : 2, N = Norm ? 8 : 0, U = Norm ? 9 : 3;
    static constexpr int gain_x = 0, gain_h = 3, bias = 6;  // extras
    static constexpr int product = Norm ? 5 : 0;
    // d_ax in a row of da: n r z, or r z n. Normalised: then d_ah (r z) and the gradient of the product.
    static constexpr int dR = Norm ? 0 : 1, dZ = Norm ? 1 : 2, dN = Norm ? 2 : 0;
    static constexpr CellLayout layout() {
        CellLayout at{};
        at.gates = 3;
        at.input_gates = Norm ? order : input_order;
        at.state_gates = 2;
        at.recurrent_gates = order;
        at.tape_blocks = Norm ? 10 : 4;
        at.grad_blocks = Norm ? 6 : 3;
        at.state_at = at.d_state_at = Norm ? 3 : 1;
        at.second_gate = 2;
        at.product_at = product;
        at.operand_at = U;
        at.d_product_at = product;
        at.extras = Norm ? 9 : 0;
        at.normalised = Norm;
        at.needs_h_prev = at.carries_dh = true;
        return at;
    }

    template <class S>
    static ELMAN_INLINE void before(const Constants<T>& k, const StepRow<T>& row, S s) {
        const long width = k.width;
        if (Norm) {
            row.stats[0] = normalise(k, row.tape, 3);
            row.stats[1] = normalise(k, row.tape + 3 * width, 2);
        }
        const auto scaled = [&](int block, int gain, long j, Vec<T> more) {
            return fma(load(row.tape + block * width + j), load(extra(k, gain) + j), more);
        };
        for (long j = 0; j < width; j += Lanes<T>::count) {
            Vec<T> a_r, a_z;
            if (Norm) {
                a_r = scaled(0, gain_x, j, scaled(3, gain_h, j, load(extra(k, bias) + j)));
                a_z = scaled(1, gain_x + 1, j, scaled(4, gain_h + 1, j, load(extra(k, bias + 1) + j)));
            } else {
                a_r = load(row.tape + R * width + j);
                a_z = load(row.tape + Z * width + j);
            }
            const Vec<T> r = s.template value<T>(a_r);
            store(row.tape + R * width + j, r);
            store(row.tape + Z * width + j, s.template value<T>(a_z));
            store(row.tape + U * width + j, r * load(row.h_prev + j));
        }
    }

    template <class P>
    static ELMAN_INLINE void after(const Constants<T>& k, const StepRow<T>& row, P p) {
        const long width = k.width;
        T* const made = row.tape + product * width;
        if (Norm) row.stats[2] = normalise(k, made, 1);
        for (long j = 0; j < width; j += Lanes<T>::count) {
            const Vec<T> a = Norm ? fma(load(made + j), load(extra(k, gain_h + 2) + j),
                                        fma(load(row.tape + 2 * width + j), load(extra(k, gain_x + 2) + j),
                                            load(extra(k, bias + 2) + j)))
                                  : load(made + j);
            const Vec<T> n = p.template value<T>(a);
            store(row.tape + N * width + j, n);
            store(row.h + j, fma(load(row.tape + Z * width + j), load(row.h_prev + j) - n, n));
        }
    }

    template <class S, class P>
    static ELMAN_INLINE void after_back(const Constants<T>& k, const BackRow<T>& row, S s, P p) {
        const long width = k.width;
        for (long j = 0; j < width; j += Lanes<T>::count) {
            const Vec<T> n = load(row.tape + N * width + j), z = load(row.tape + Z * width + j);
            const Vec<T> dh = load(row.dh + j);
            const Vec<T> d_n = dh * (T(1) - z) * p.template slope<T>(n);
            store(row.da + dN * width + j, d_n);
            store(row.da + dZ * width + j, dh * (load(row.h_prev + j) - n) * s.template slope<T>(z));
            store(row.dh + j, dh * z);
            if (Norm) {
                add(k, row.sums, gain_h + 2, j, d_n * load(row.tape + product * width + j));
                store(row.da + product * width + j, d_n * load(extra(k, gain_h + 2) + j));
            }
        }
        if (Norm) normalise_backward(k, row.da + product * width, row.tape + product * width, row.stats[2], 1);
    }

    template <class S>
    static ELMAN_INLINE void before_back(const Constants<T>& k, const BackRow<T>& row, S s) {
        const long width = k.width;
        for (long j = 0; j < width; j += Lanes<T>::count) {
            const Vec<T> r = load(row.tape + R * width + j), d_u = load(row.d_operand + j);
            const Vec<T> d_r = d_u * load(row.h_prev + j) * s.template slope<T>(r);
            store(row.dh + j, fma(d_u, r, load(row.dh + j)));
            if (!Norm) {
                store(row.da + dR * width + j, d_r);
                continue;
            }
            const Vec<T> d[3] = {d_r, load(row.da + dZ * width + j), load(row.da + dN * width + j)};
            ELMAN_UNROLL for (int b = 0; b < 3; ++b) {
                const long x = b * width + j, h = x + 3 * width;
                add(k, row.sums, gain_x + b, j, d[b] * load(row.tape + x));
                add(k, row.sums, bias + b, j, d[b]);
                store(row.da + x, d[b] * load(extra(k, gain_x + b) + j));
                if (b == 2) continue;
                add(k, row.sums, gain_h + b, j, d[b] * load(row.tape + h));
                store(row.da + h, d[b] * load(extra(k, gain_h + b) + j));
            }
        }
        if (Norm) {
            normalise_backward(k, row.da, row.tape, row.stats[0], 3);
            normalise_backward(k, row.da + 3 * width, row.tape + 3 * width, row.stats[1], 2);
        }
    }

    static void first(const Constants<T>& k, const StepRow<T>& row) {
        with_activations(k, [&](auto s, auto) { before(k, row, s); });
    }
    static void second(const Constants<T>& k, const StepRow<T>& row) {
        with_activations(k, [&](auto, auto p) { after(k, row, p); });
    }
    static void second_back(const Constants<T>& k, const BackRow<T>& row) {
        with_activations(k, [&](auto s, auto p) { after_back(k, row, s, p); });
    }
    static void first_back(const Constants<T>& k, const BackRow<T>& row) {
        with_activations(k, [&](auto s, auto) { before_back(k, row, s); });
    }
    static constexpr CellKernel<T> kernel() { return {layout(), first, second, second_back, first_back}; }
};

template <class T>
using Gru = GruAfterCell<T, false>;
template <class T>
using GruNorm = GruAfterCell<T, true>;
template <class T>
using GruBefore = GruBeforeCell<T, false>;
template <class T>
using GruBeforeNorm = GruBeforeCell<T, true>;

}  // namespace ELMAN_ISA
}  // namespace elman
