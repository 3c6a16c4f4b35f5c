// The one matrix product: a register tile and the two loops around it.
#pragma once

#include "packing.h"

namespace elman {
namespace ELMAN_ISA {

// How the left operand lies, and what becomes of the sum. kRows: row m is contiguous in k; the sum continues from init
// and is stored. kPanel: [k][lanes], a transposed operand read without transposing it; the sum starts at zero and is
// added onto c.
enum Left { kRows, kPanel };

// What a tile multiplies: cells of the left operand with vectors of cells of the weights. This one takes numbers as
// they are; formats bring their own (bfloat16.h).
template <class T>
struct Plain {
    typedef T Number;    // of the sums
    typedef T Cell;      // of the weights
    typedef T LeftCell;  // of the left operand
    static ELMAN_INLINE Vec<T> weights(const T* p) { return load(p); }
    static ELMAN_INLINE Vec<T> left(T x) { return splat(x); }
    static ELMAN_INLINE Vec<T> add(Vec<T> x, Vec<T> w, Vec<T> sum) { return fma(x, w, sum); }
};

// c[m][0 .. NV vectors) = init[m] + sum over k of a[m][k] * b[k][...], one fma chain per element in the order of k: the
// bits of a row do not depend on which rows share its tile. k counts cells.
template <class M, int MR, int NV, Left L>
void tile(const typename M::LeftCell* const* a, long k_len, const typename M::Cell* b,
          const typename M::Number* const* init, typename M::Number* const* c, long column, long last) {
    typedef typename M::Number T;
    typedef typename M::LeftCell Cell;
    constexpr long lanes = Lanes<T>::count;
    Vec<T> acc[MR][NV];
    ELMAN_UNROLL for (int m = 0; m < MR; ++m) {
        if (init) {
            const T* from = init[m] + column;
            ELMAN_UNROLL for (int v = 0; v + 1 < NV; ++v) acc[m][v] = load(from + v * lanes);
            acc[m][NV - 1] = load_part(from + (NV - 1) * lanes, last);
        } else {
            ELMAN_UNROLL for (int v = 0; v < NV; ++v) acc[m][v] = Vec<T>{};
        }
    }
    const Cell* rows[MR];
    ELMAN_UNROLL for (int m = 0; m < MR; ++m) rows[m] = a[L == kRows ? m : 0];  // a panel is one pointer
    const Cell* const panel = a[0];
    for (long k = 0; k < k_len; ++k) {
        decltype(M::weights(b)) w[NV];
        ELMAN_UNROLL for (int v = 0; v < NV; ++v) w[v] = M::weights(b + v * lanes);
        b += NV * lanes;
        ELMAN_UNROLL for (int m = 0; m < MR; ++m) {
            const auto x = M::left(L == kRows ? rows[m][k] : panel[k * lanes + m]);
            ELMAN_UNROLL for (int v = 0; v < NV; ++v) acc[m][v] = M::add(x, w[v], acc[m][v]);
        }
    }
    ELMAN_UNROLL for (int m = 0; m < MR; ++m) {
        T* to = c[m] + column;
        if (L == kPanel) {
            ELMAN_UNROLL for (int v = 0; v + 1 < NV; ++v) acc[m][v] += load(to + v * lanes);
            acc[m][NV - 1] += load_part(to + (NV - 1) * lanes, last);
        }
        ELMAN_UNROLL for (int v = 0; v + 1 < NV; ++v) store(to + v * lanes, acc[m][v]);
        store_part(to + (NV - 1) * lanes, acc[m][NV - 1], last);
    }
}

template <class M, Left L, int MR>
ELMAN_INLINE void run_tile(int nv, const typename M::LeftCell* const* a, long k_len, const typename M::Cell* b,
                           const typename M::Number* const* init, typename M::Number* const* c, long column,
                           long last) {
    switch (nv) {
        case 1:
            return tile<M, MR, 1, L>(a, k_len, b, init, c, column, last);
        case 2:
            return tile<M, MR, 2, L>(a, k_len, b, init, c, column, last);
        case 3:
            return tile<M, MR, 3, L>(a, k_len, b, init, c, column, last);
        default:
            return tile<M, MR, 4, L>(a, k_len, b, init, c, column, last);
    }
}

template <class M, Left L>
ELMAN_INLINE void run_tile(int mr, int nv, const typename M::LeftCell* const* a, long k_len, const typename M::Cell* b,
                           const typename M::Number* const* init, typename M::Number* const* c, long column,
                           long last) {
    switch (mr) {
        case 1:
            return run_tile<M, L, 1>(nv, a, k_len, b, init, c, column, last);
        case 2:
            return run_tile<M, L, 2>(nv, a, k_len, b, init, c, column, last);
#if defined(__AVX2__)
        case 3:
            return run_tile<M, L, 3>(nv, a, k_len, b, init, c, column, last);
#endif
#if defined(__AVX512F__)
        case 4:
            return run_tile<M, L, 4>(nv, a, k_len, b, init, c, column, last);
        case 5:
            return run_tile<M, L, 5>(nv, a, k_len, b, init, c, column, last);
        case 6:
            return run_tile<M, L, 6>(nv, a, k_len, b, init, c, column, last);
#endif
    }
}

// Tiles over n rows, as even as they come (16 rows: 6 + 5 + 5), for one column block and one stretch of k.
template <class M>
ELMAN_INLINE void tile_rows(long n, const typename M::LeftCell* const* a, long k_len, const typename M::Cell* b,
                            const typename M::Number* const* init, typename M::Number* const* c, long column, int nv,
                            long last) {
    long left = n, tiles = (n + kTileRows - 1) / kTileRows;
    for (long m = 0; m < n; --tiles) {
        const long mr = (left + tiles - 1) / tiles;
        run_tile<M, kRows>(static_cast<int>(mr), nv, a + m, k_len, b, init ? init + m : nullptr, c + m, column, last);
        m += mr;
        left -= mr;
    }
}

// A stretch of k that keeps a block of weights (k x 4 vectors: 32 kB) in the first cache while all rows pass it.
constexpr long kStretch = 128;
constexpr long kMaxRows = 256;
// Rows of a plain product made at once: enough to reuse the weights, few enough to stay in the second cache.
constexpr long kChunkRows = 96;

// c[i] = init[i] + a[i] · w for n <= kMaxRows rows given by their addresses, in these columns: all of w.columns, or
// fewer where c has no room for the padding. init: a row to start from for each, or null for zero.
// The chain over k, counted in cells, is the same for every n.
template <class M>
void rows_times(long n, const typename M::LeftCell* const* a, Segments k, const Packed<typename M::Number>& w,
                const typename M::Number* const* init, typename M::Number* const* c, Columns range) {
    typedef typename M::Number T;
    constexpr long lanes = Lanes<T>::count;
    const typename M::LeftCell* at[kMaxRows];
    const long columns = range.end;
    for (long column = range.first; column < columns; column += block_width<T>()) {
        const long wide = columns - column < block_width<T>() ? columns - column : block_width<T>();
        const int nv = static_cast<int>((wide + lanes - 1) / lanes);
        const long last = wide - (nv - 1) * lanes;
        const typename M::Cell* b = reinterpret_cast<const typename M::Cell*>(packed_block(w, column));
        const T* const* from = init;
        for (long s = 0; s < k.count; ++s) {
            for (long first = 0; first < k.length; first += kStretch) {
                const long k_len = k.length - first < kStretch ? k.length - first : kStretch;
                for (long i = 0; i < n; ++i) at[i] = a[i] + s * k.stride + first;
                tile_rows<M>(n, at, k_len, b, from, c, column, nv, last);
                b += k_len * nv * lanes;
                from = c;
            }
        }
    }
}

// The same with weights of any format; `left` is room for the left operand where they have one (views.h, Format).
template <class T>
ELMAN_INLINE void product(long n, const T* const* a, Segments k, const Packed<T>& w, const T* const* init, T* const* c,
                          Columns range, T* left) {
    if (w.format)
        w.format->rows_times(n, a, k, w, init, c, range, left);
    else
        rows_times<Plain<T>>(n, a, k, w, init, c, range);
}

}  // namespace ELMAN_ISA
}  // namespace elman
