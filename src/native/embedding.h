// The gradient of a lookup: each row of dy is added to the row that its id chose.
#pragma once

#include "simd.h"
#include "views.h"

namespace elman {
namespace ELMAN_ISA {

// Parts own columns, so that rows of one id are always summed in the same order.
template <class T>
void add_rows(const RowsViews<T>& v, long part, long parts) {
    constexpr long lanes = Lanes<T>::count;
    const long vectors = (v.columns + lanes - 1) / lanes;
    const long first = vectors * part / parts * lanes, end = vectors * (part + 1) / parts * lanes;
    for (long n = 0; n < v.rows; ++n) {
        const T* from = v.dy + n * v.columns;
        T* to = v.d_weight + v.ids[n] * v.columns;
        for (long j = first; j < end; j += lanes) {
            const long m = v.columns - j < lanes ? v.columns - j : lanes;
            store_part(to + j, load_part(to + j, m) + load_part(from + j, m), m);
        }
    }
}

}  // namespace ELMAN_ISA
}  // namespace elman
