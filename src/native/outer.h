// Weight gradients: d_weight[g][i] += sum over rows of da[row][g] * x[row][i].
#pragma once

#include "gemm.h"

namespace elman {
namespace ELMAN_ISA {

// Rows are summed in blocks of this many, each block from zero, so that rounding errors do not pile up over long
// batches and so that a block of x (128 x 4 vectors) stays in the first cache.
constexpr long kRowBlock = 128;

template <class T>
constexpr long outer_scratch(long columns) {
    return kRowBlock * round_up<T>(columns) * static_cast<long>(sizeof(T));
}

// The three parts of an outer product; those of a format, where the weights have one, stand in their place.
template <class T>
struct Outer {
    void (*pack_right)(const OuterRight<T>& right, const T* const* rows, long n);
    void (*pack_left)(T* panel, const T* const* rows, long column, long n, long valid, T* bias);
    void (*add)(const T* panel, long valid, const OuterRight<T>& right, long n, T* d);
};

constexpr long kAhead = 8;  // rows that are asked for before they are packed

template <class T>
void pack_right(const OuterRight<T>& right, const T* const* rows, long n) {
    constexpr long lanes = Lanes<T>::count;
    T* to = right.packed;
    for (long first = 0; first < right.columns; first += block_width<T>()) {
        const long wide = right.columns - first < block_width<T>() ? right.columns - first : block_width<T>();
        const long vectors = (wide + lanes - 1) / lanes, last = wide - (vectors - 1) * lanes;
        for (long k = 0; k < n; ++k) {
            const T* from = rows[k] + first;
            fetch_ahead(rows[k + kAhead < n ? k + kAhead : k] + first, wide);
            for (long v = 0; v + 1 < vectors; ++v) store(to + v * lanes, load(from + v * lanes));
            store(to + (vectors - 1) * lanes, load_part(from + (vectors - 1) * lanes, last));
            to += vectors * lanes;
        }
    }
}

// Columns [0, valid) of da as a panel [k][lanes], and their sum onto bias (if any), row by row.
template <class T>
void pack_left(T* panel, const T* const* rows, long column, long n, long valid, T* bias) {
    constexpr long lanes = Lanes<T>::count;
    Vec<T> sum = {};
    for (long k = 0; k < n; ++k) {
        const Vec<T> v = load_part(rows[k] + column, valid);
        __builtin_prefetch(rows[k] + column + lanes);  // the next panel's, from the third cache
        store(panel + k * lanes, v);
        sum += v;
    }
    if (bias) store_part(bias, load_part(bias, valid) + sum, valid);
}

// d[m] += panel column m times right, for m < valid; d's rows are right.columns long. n counts cells.
template <class M>
void add_outer(const typename M::Number* panel, long valid, const OuterRight<typename M::Number>& right, long n,
               typename M::Number* d) {
    typedef typename M::Number T;
    typedef typename M::Cell Cell;
    constexpr long lanes = Lanes<T>::count;
    long left = valid, tiles = (valid + kTileRows - 1) / kTileRows;
    for (long m = 0; m < valid; --tiles) {
        const long mr = (left + tiles - 1) / tiles;
        const Cell* const column = reinterpret_cast<const Cell*>(panel) + m;
        T* c[kTileRows];
        for (long i = 0; i < mr; ++i) c[i] = d + (m + i) * right.columns;
        const Cell* b = reinterpret_cast<const Cell*>(right.packed);
        for (long first = 0; first < right.columns; first += block_width<T>()) {
            const long wide = right.columns - first < block_width<T>() ? right.columns - first : block_width<T>();
            const int nv = static_cast<int>((wide + lanes - 1) / lanes);
            run_tile<M, kPanel>(static_cast<int>(mr), nv, &column, n, b, nullptr, c, first, wide - (nv - 1) * lanes);
            b += n * nv * lanes;
        }
        m += mr;
        left -= mr;
    }
}

template <class T>
ELMAN_INLINE Outer<T> outer_of(const Format<T>* format) {
    if (format) return {format->pack_right, format->pack_left, format->add_outer};
    return {pack_right<T>, pack_left<T>, add_outer<Plain<T>>};
}

// The share of `count` things that falls to a part: contiguous and as even as it can be.
struct Share {
    long first, end;
};
ELMAN_INLINE Share share_of(long count, long part, long parts) {
    return {count * part / parts, count * (part + 1) / parts};
}

}  // namespace ELMAN_ISA
}  // namespace elman
