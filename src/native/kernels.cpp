// All kernels for one instruction set: compiled once for each, with ELMAN_ISA naming the namespace.
#ifndef ELMAN_MUTANT
#    define ELMAN_MUTANT 0
#endif
#include "cells/gru.h"
#include "cells/lstm.h"
#include "cells/rnn.h"
#include "ctc.h"
#include "embedding.h"
#include "linear.h"
#include "optimizer.h"
#include "recurrence_weights.h"

namespace elman {
namespace ELMAN_ISA {

template <class T>
struct CellTable {
    static constexpr CellKernel<T> cells[] = {
#define ELMAN_CELL(name, Cell) Cell<T>::kernel(),
#include "cells.def"
#undef ELMAN_CELL
    };
};

template <class T>
constexpr Kernels<T> make_kernels() {
    return {Lanes<T>::count,
            CellTable<T>::cells,
            recurrence_kernels<T>(),
            Linear<T>::pack,
            Linear<T>::scratch_bytes,
            Linear<T>::forward,
            Linear<T>::backward,
            Linear<T>::weights_scratch,
            Linear<T>::weights,
            cross_entropy<T>,
            Ctc<T>::scratch,
            Ctc<T>::loss,
            add_rows<T>,
            adam<T>,
            squares<T>,
            elementwise<T>};
}

extern const Kernels<float> kernels_float;
extern const Kernels<double> kernels_double;
constexpr Kernels<float> kernels_float = make_kernels<float>();
constexpr Kernels<double> kernels_double = make_kernels<double>();

}  // namespace ELMAN_ISA
}  // namespace elman
