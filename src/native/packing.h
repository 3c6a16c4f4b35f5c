// Weights in the order in which the products read them (views.h, Packed).
#pragma once

#include "simd.h"
#include "views.h"

namespace elman {
namespace ELMAN_ISA {

template <class T>
constexpr long block_width() {
    return kTileVectors * Lanes<T>::count;
}

// Columns of the block that begins at `first`.
template <class T>
ELMAN_INLINE long width_of(const Packed<T>& w, long first) {
    return w.columns - first < block_width<T>() ? w.columns - first : block_width<T>();
}

template <class T>
ELMAN_INLINE T* packed_block(const Packed<T>& w, long column) {
    return w.data + column * cells(w.format, w.k);  // every block before it holds all cells of k
}

// columns [at, at + n) = rows of `source` (n, k) with row stride `stride`: a transposing copy, in stretches of k whose
// rows in `w` stay in the first cache until all columns of a vector are written.
template <class T>
void pack_rows_as_columns(const Packed<T>& w, long at, const T* source, long n, long k, long stride) {
    if (w.format) return w.format->pack_columns(w, at, source, n, k, stride);
    constexpr long lanes = Lanes<T>::count, rows = 128;
    for (long unit = 0; unit < n; unit += lanes)
        for (long top = 0; top < k; top += rows)
            for (long j = unit; j < n && j < unit + lanes; ++j) {
                const long column = at + j, first = column / block_width<T>() * block_width<T>();
                const long count = k - top < rows ? k - top : rows, width = width_of(w, first);
                T* to = packed_block(w, first) + top * width + (column - first);
                const T* from = source + j * stride + top;
                for (long i = 0; i < count; ++i) to[i * width] = from[i];
            }
}

// rows [k_at, k_at + k) = rows of `source` (k, n).
template <class T>
void pack_rows(const Packed<T>& w, long k_at, const T* source, long k, long n, long stride) {
    if (w.format) return w.format->pack_rows(w, k_at, source, k, n, stride);
    for (long first = 0; first < n; first += block_width<T>()) {
        const long wide = n - first < block_width<T>() ? n - first : block_width<T>(), width = width_of(w, first);
        T* to = packed_block(w, first) + k_at * width;
        for (long i = 0; i < k; ++i)
            memcpy(to + i * width, source + i * stride + first, sizeof(T) * static_cast<size_t>(wide));
    }
}

}  // namespace ELMAN_ISA
}  // namespace elman
