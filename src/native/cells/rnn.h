// Elman 1990: h' = f(a), a = W x + b + R h.
#pragma once

#include "norm.h"

namespace elman {
namespace ELMAN_ISA {

// Blocks of a tape row: h', first a. Normalised: W x, R h, h'.
template <class T, bool Norm>
struct RnnCell {
    static constexpr int gates = 1, value_at = Norm ? 2 : 0;
    static constexpr int input_gates[1] = {0};
    static constexpr int gain_x = 0, gain_h = 1, bias = 2;  // extras
    static constexpr CellLayout layout() {
        CellLayout at{};
        at.gates = at.state_gates = 1;
        at.input_gates = at.recurrent_gates = input_gates;
        at.tape_blocks = Norm ? 3 : 1;
        at.grad_blocks = Norm ? 2 : 1;
        at.state_at = at.d_state_at = Norm ? 1 : 0;
        at.second_gate = -1;
        at.extras = Norm ? 3 : 0;
        at.normalised = Norm;
        return at;
    }

    template <class F>
    static ELMAN_INLINE void forward(const Constants<T>& k, const StepRow<T>& row, F f) {
        T* const value = row.tape + value_at * k.width;
        if (Norm) {
            row.stats[0] = normalise(k, row.tape, 1);
            row.stats[1] = normalise(k, row.tape + k.width, 1);
        }
        for (long j = 0; j < k.width; j += Lanes<T>::count) {
            const Vec<T> a =
                Norm ? fma(load(row.tape + j), load(extra(k, gain_x) + j),
                           fma(load(row.tape + k.width + j), load(extra(k, gain_h) + j), load(extra(k, bias) + j)))
                     : load(value + j);
            const Vec<T> h_new = f.template value<T>(a);
            store(value + j, h_new);
            store(row.h + j, h_new);
        }
    }

    template <class F>
    static ELMAN_INLINE void backward(const Constants<T>& k, const BackRow<T>& row, F f) {
        for (long j = 0; j < k.width; j += Lanes<T>::count) {
            const Vec<T> da = load(row.dh + j) * f.template slope<T>(load(row.tape + value_at * k.width + j));
            if (Norm) {
                add(k, row.sums, gain_x, j, da * load(row.tape + j));
                add(k, row.sums, gain_h, j, da * load(row.tape + k.width + j));
                add(k, row.sums, bias, j, da);
                store(row.da + j, da * load(extra(k, gain_x) + j));
                store(row.da + k.width + j, da * load(extra(k, gain_h) + j));
            } else {
                store(row.da + j, da);
            }
        }
        if (Norm) {
            normalise_backward(k, row.da, row.tape, row.stats[0], 1);
            normalise_backward(k, row.da + k.width, row.tape + k.width, row.stats[1], 1);
        }
    }

    static void first(const Constants<T>& k, const StepRow<T>& row) {
        if (k.activation == kTanh)
            forward(k, row, Tanh());
        else
            forward(k, row, Chosen{k.activation});
    }
    static void first_back(const Constants<T>& k, const BackRow<T>& row) {
        if (k.activation == kTanh)
            backward(k, row, Tanh());
        else
            backward(k, row, Chosen{k.activation});
    }
    static constexpr CellKernel<T> kernel() { return {layout(), first, nullptr, nullptr, first_back}; }
};

template <class T>
using Rnn = RnnCell<T, false>;
template <class T>
using RnnNorm = RnnCell<T, true>;

}  // namespace ELMAN_ISA
}  // namespace elman
