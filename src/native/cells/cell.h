// What the equations of all cells are written with.
#pragma once

#include "../activations.h"

namespace elman {
namespace ELMAN_ISA {

// One block of the extra parameters.
template <class T>
ELMAN_INLINE const T* extra(const Constants<T>& k, int block) {
    return k.extras + block * k.width;
}

// Add to the gradient of an extra parameter.
template <class T>
ELMAN_INLINE void add(const Constants<T>& k, T* sums, int block, long j, Vec<T> part) {
    T* const to = sums + block * k.width + j;
    store(to, load(to) + part);
}

// f(function of the gates, function of what they let through): compiled once for the usual pair, once for all others.
template <class T, class F>
ELMAN_INLINE void with_activations(const Constants<T>& k, F f) {
    if (k.activation == kTanh && k.gate_activation == kSigmoid)
        f(Sigmoid(), Tanh());
    else
        f(Chosen{k.gate_activation}, Chosen{k.activation});
}

}  // namespace ELMAN_ISA
}  // namespace elman
