// Hochreiter & Schmidhuber 1997 with the forget gate of Gers et al. 2000:
// i, f, o = s(a_i), s(a_f), s(a_o)   g = p(a_g)   c' = f c + i g   h' = o p(c').
// Peephole: a_i and a_f see c, a_o sees c' (Gers et al. 2002). Coupled: i = 1 - f (Greff et al. 2017).
// Norm: a = norm(W x) gain + norm(R h) gain + b, and norm(c') gain + bias in h' (Ba et al. 2016).
#pragma once

#include "norm.h"

namespace elman {
namespace ELMAN_ISA {

// Blocks of a tape row: the gates i f g o (coupled: f g o), before and after the pointwise functions. Normalised: W x,
// R h, the gates, c'.
template <class T, bool Peephole, bool Coupled, bool Norm>
struct LstmCell {
    static constexpr int gates = Coupled ? 3 : 4;
    static constexpr int I = 0, F = Coupled ? 0 : 1, G = F + 1, O = F + 2;
    static constexpr int gates_at = Norm ? 2 * gates : 0, c_at = 3 * gates;
#if ELMAN_MUTANT == 6
    static constexpr int order[4] = {1, 0, 2, 3};
#else
    static constexpr int order[4] = {0, 1, 2, 3};
#endif
    // extras: peepholes of the gates that see c, then of o; what the normalisation needs
    static constexpr int peep_o = gates - 2, gain_x = Peephole ? gates - 1 : 0, gain_h = gain_x + gates,
                         gain_c = gain_h + gates, bias_c = gain_c + 1, bias = bias_c + 1;
    static constexpr CellLayout layout() {
        CellLayout at{};
        at.gates = at.state_gates = gates;
        at.input_gates = at.recurrent_gates = order;
        at.tape_blocks = Norm ? 3 * gates + 1 : gates;
        at.grad_blocks = Norm ? 2 * gates : gates;
        at.state_at = at.d_state_at = Norm ? gates : 0;
        at.second_gate = -1;
        at.extras = Norm ? bias + gates : gain_x;
        at.normalised = Norm;
        at.has_cell_state = true;
        return at;
    }

    template <class S, class P>
    static ELMAN_INLINE void forward(const Constants<T>& k, const StepRow<T>& row, S s, P p) {
        const long width = k.width;
        T* const at = row.tape + gates_at * width;
        if (Norm) {
            row.stats[0] = normalise(k, row.tape, gates);
            row.stats[1] = normalise(k, row.tape + gates * width, gates);
        }
        for (long j = 0; j < width; j += Lanes<T>::count) {
            Vec<T> a[gates];
            ELMAN_UNROLL for (int b = 0; b < gates; ++b) {
                if (Norm) {
                    const T* const x = row.tape + b * width + j;
                    a[b] =
                        fma(load(x), load(extra(k, gain_x + b) + j),
                            fma(load(x + gates * width), load(extra(k, gain_h + b) + j), load(extra(k, bias + b) + j)));
                } else {
                    a[b] = load(at + b * width + j);
                }
            }
            const Vec<T> c_prev = load(row.c_prev + j);
            if (Peephole) {
                if (!Coupled) a[I] = fma(load(extra(k, 0) + j), c_prev, a[I]);
                a[F] = fma(load(extra(k, F) + j), c_prev, a[F]);
            }
            const Vec<T> f = s.template value<T>(a[F]);
            const Vec<T> i = Coupled ? T(1) - f : s.template value<T>(a[I]);
            const Vec<T> g = p.template value<T>(a[G]);
            const Vec<T> c = fma(f, c_prev, i * g);
            if (Peephole) a[O] = fma(load(extra(k, peep_o) + j), c, a[O]);
            const Vec<T> o = s.template value<T>(a[O]);
            if (!Coupled) store(at + I * width + j, i);
            store(at + F * width + j, f);
            store(at + G * width + j, g);
            store(at + O * width + j, o);
            store(row.c + j, c);
            if (Norm)
                store(row.tape + c_at * width + j, c * load(k.units + j));
            else
                store(row.h + j, o * p.template value<T>(c));
        }
        if (!Norm) return;
        T* const c_normal = row.tape + c_at * width;
        row.stats[2] = normalise(k, c_normal, 1);
        for (long j = 0; j < width; j += Lanes<T>::count) {
            const Vec<T> c = fma(load(c_normal + j), load(extra(k, gain_c) + j), load(extra(k, bias_c) + j));
            store(row.h + j, load(at + O * width + j) * p.template value<T>(c));
        }
    }

    template <class S, class P>
    static ELMAN_INLINE void backward(const Constants<T>& k, const BackRow<T>& row, S s, P p) {
        const long width = k.width;
        const T* const at = row.tape + gates_at * width;
        const T* const c_normal = row.tape + c_at * width;
        T* const d_c = row.da + (2 * gates - 1) * width;  // normalised: free until d_ah is written
        if (Norm) {
            for (long j = 0; j < width; j += Lanes<T>::count) {
                const Vec<T> normal = load(c_normal + j);
                const Vec<T> phi =
                    p.template value<T>(fma(normal, load(extra(k, gain_c) + j), load(extra(k, bias_c) + j)));
                const Vec<T> d_phi = load(row.dh + j) * load(at + O * width + j) * p.template slope<T>(phi);
                add(k, row.sums, gain_c, j, d_phi * normal);
                add(k, row.sums, bias_c, j, d_phi);
                store(d_c + j, d_phi * load(extra(k, gain_c) + j));
                store(row.da + O * width + j, load(row.dh + j) * phi);
            }
            normalise_backward(k, d_c, c_normal, row.stats[2], 1);
        }
        for (long j = 0; j < width; j += Lanes<T>::count) {
            const Vec<T> f = load(at + F * width + j), g = load(at + G * width + j), o = load(at + O * width + j);
            const Vec<T> i = Coupled ? T(1) - f : load(at + I * width + j);
            const Vec<T> c_prev = load(row.c_prev + j);
            const Vec<T> c = fma(f, c_prev, i * g);  // with zoneout the state that was kept is another
            const Vec<T> dh = load(row.dh + j);
            Vec<T> d_o, dc;
            if (Norm) {
                d_o = load(row.da + O * width + j) * s.template slope<T>(o);
                dc = load(row.dc + j) + load(d_c + j);
            } else {
                const Vec<T> phi = p.template value<T>(c);
                d_o = dh * phi * s.template slope<T>(o);
                dc = fma(dh * o, p.template slope<T>(phi), load(row.dc + j));
            }
            if (Peephole) dc = fma(d_o, load(extra(k, peep_o) + j), dc);
            Vec<T> da[gates];
            if (Coupled) {
                da[F] = dc * (c_prev - g) * s.template slope<T>(f);
            } else {
                da[I] = dc * g * s.template slope<T>(i);
                da[F] = dc * c_prev * s.template slope<T>(f);
            }
            da[G] = dc * i * p.template slope<T>(g);
            da[O] = d_o;
            dc = dc * f;
            if (Peephole) {
                ELMAN_UNROLL for (int b = 0; b <= F; ++b) {
                    dc = fma(da[b], load(extra(k, b) + j), dc);
                    add(k, row.sums, b, j, da[b] * c_prev);
                }
                add(k, row.sums, peep_o, j, d_o * c);
            }
            store(row.dc + j, dc);
            ELMAN_UNROLL for (int b = 0; b < gates; ++b) {
                if (Norm) {
                    const long x = b * width + j, h = x + gates * width;
                    add(k, row.sums, gain_x + b, j, da[b] * load(row.tape + x));
                    add(k, row.sums, gain_h + b, j, da[b] * load(row.tape + h));
                    add(k, row.sums, bias + b, j, da[b]);
                    store(row.da + x, da[b] * load(extra(k, gain_x + b) + j));
                    store(row.da + h, da[b] * load(extra(k, gain_h + b) + j));
                } else {
                    store(row.da + b * width + j, da[b]);
                }
            }
        }
        if (Norm) {
            normalise_backward(k, row.da, row.tape, row.stats[0], gates);
            normalise_backward(k, row.da + gates * width, row.tape + gates * width, row.stats[1], gates);
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

template <class T>
using Lstm = LstmCell<T, false, false, false>;
template <class T>
using LstmPeephole = LstmCell<T, true, false, false>;
template <class T>
using LstmCoupled = LstmCell<T, false, true, false>;
template <class T>
using LstmPeepholeCoupled = LstmCell<T, true, true, false>;
template <class T>
using LstmNorm = LstmCell<T, false, false, true>;
template <class T>
using LstmPeepholeNorm = LstmCell<T, true, false, true>;
template <class T>
using LstmCoupledNorm = LstmCell<T, false, true, true>;
template <class T>
using LstmPeepholeCoupledNorm = LstmCell<T, true, true, true>;

}  // namespace ELMAN_ISA
}  // namespace elman
