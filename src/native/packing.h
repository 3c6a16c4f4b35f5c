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

// columns [at, at + n) = rows of `source` (n, k) with row stride `stride`: a transposing copy.
template <class T>
void pack_rows_as_columns(const Packed<T>& w, long at, const T* source, long n, long k, long stride) {
    if (w.format) return w.format->pack_columns(w, at, source, n, k, stride);
    for (long j = 0; j < n; ++j) {
        const long column = at + j, first = column / block_width<T>() * block_width<T>(), width = width_of(w, first);
        T* to = packed_block(w, first) + (column - first);
        const T* from = source + j * stride;
        for (long i = 0; i < k; ++i) to[i * width] = from[i];
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
