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

// columns [at, at + n) = rows of `source` (n, k) with row stride `stride`: a transposing copy, square by square.
template <class T>
void pack_rows_as_columns(const Packed<T>& w, long at, const T* source, long n, long k, long stride) {
    if (w.format) return w.format->pack_columns(w, at, source, n, k, stride);
    constexpr long lanes = Lanes<T>::count;
    for (long unit = 0; unit < n; unit += lanes) {
        const long column = at + unit, first = column / block_width<T>() * block_width<T>(), width = width_of(w, first);
        const long wide = n - unit < lanes ? n - unit : lanes;
        T* const to = packed_block(w, first) + (column - first);
        const T* const from = source + unit * stride;
        long done = 0;
        if (wide == lanes && column % lanes == 0) {
            for (; done + lanes <= k; done += lanes) {
                Vec<T> square[lanes];
                for (long j = 0; j < lanes; ++j) square[j] = load(from + j * stride + done);
                transpose<T>(square);
                for (long i = 0; i < lanes; ++i) store(to + (done + i) * width, square[i]);
            }
        }
        for (; done < k; done += lanes)
            for (long j = 0; j < wide; ++j)
                for (long i = done; i < k && i < done + lanes; ++i) to[i * width + j] = from[j * stride + i];
    }
}

// rows [k_at, k_at + k) = rows of `source` (k, n), some rows at a time, so that both sides are gone through in order.
template <class T>
void pack_rows(const Packed<T>& w, long k_at, const T* source, long k, long n, long stride) {
    if (w.format) return w.format->pack_rows(w, k_at, source, k, n, stride);
    constexpr long lanes = Lanes<T>::count, rows = 16;
    for (long top = 0; top < k; top += rows) {
        const long end = top + rows < k ? top + rows : k;
        for (long first = 0; first < n; first += block_width<T>()) {
            const long wide = n - first < block_width<T>() ? n - first : block_width<T>(), width = width_of(w, first);
            for (long i = top; i < end; ++i) {
                T* const to = packed_block(w, first) + (k_at + i) * width;
                const T* const from = source + i * stride + first;
                long j = 0;
                for (; j + lanes <= wide; j += lanes) store(to + j, load(from + j));
                if (j < wide) memcpy(to + j, from + j, sizeof(T) * static_cast<size_t>(wide - j));
            }
        }
    }
}

}  // namespace ELMAN_ISA
}  // namespace elman
