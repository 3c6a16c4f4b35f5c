// The one matrix product: a register tile, the packed weights it reads, and the two loops around it.
#pragma once

#include "simd.h"

namespace elman {
namespace ELMAN_ISA {

// Weights for products row · weights: column blocks of kTileVectors vectors, each block [k][block width], one after
// the other; the last block is as narrow as the columns need. Columns are padded with zeros to whole vectors.
template <class T>
struct Packed {
    T* data = nullptr;
    long k = 0;
    long columns = 0;  // padded
};

template <class T>
constexpr long block_width() {
    return kTileVectors * Lanes<T>::count;
}

template <class T>
ELMAN_INLINE T* packed_block(const Packed<T>& w, long column) {
    return w.data + column * w.k;  // every block before it holds k rows
}

// Address of element (k, column).
template <class T>
ELMAN_INLINE T* packed_element(const Packed<T>& w, long k, long column) {
    const long first = column / block_width<T>() * block_width<T>();
    const long width = w.columns - first < block_width<T>() ? w.columns - first : block_width<T>();
    return packed_block(w, first) + k * width + (column - first);
}

// columns [at, at + n) = rows of `source` (n, k) with row stride `stride`: a transposing copy, in stretches of k whose
// rows in `w` stay in the first cache until all columns of a vector are written.
template <class T>
void pack_rows_as_columns(const Packed<T>& w, long at, const T* source, long n, long k, long stride) {
    constexpr long lanes = Lanes<T>::count, rows = 128;
    for (long unit = 0; unit < n; unit += lanes)
        for (long top = 0; top < k; top += rows)
            for (long j = unit; j < n && j < unit + lanes; ++j) {
                const long column = at + j, first = column / block_width<T>() * block_width<T>();
                const long width = w.columns - first < block_width<T>() ? w.columns - first : block_width<T>();
                const long count = k - top < rows ? k - top : rows;
                T* to = packed_element(w, top, column);
                const T* from = source + j * stride + top;
                for (long i = 0; i < count; ++i) to[i * width] = from[i];
            }
}

// rows [k_at, k_at + k) = rows of `source` (k, n).
template <class T>
void pack_rows(const Packed<T>& w, long k_at, const T* source, long k, long n, long stride) {
    for (long first = 0; first < n; first += block_width<T>()) {
        const long wide = n - first < block_width<T>() ? n - first : block_width<T>();
        const long width = w.columns - first < block_width<T>() ? w.columns - first : block_width<T>();
        T* to = packed_block(w, first) + k_at * width;
        for (long i = 0; i < k; ++i)
            memcpy(to + i * width, source + i * stride + first, sizeof(T) * static_cast<size_t>(wide));
    }
}

// How the left operand lies, and what becomes of the sum. kRows: row m is contiguous in k; the sum continues from init
// and is stored. kPanel: [k][lanes], a transposed operand read without transposing it; the sum starts at zero and is
// added onto c.
enum Left { kRows, kPanel };

// c[m][0 .. NV vectors) = init[m] + sum over k of a[m][k] * b[k][...], one fma chain per element in the order of k: the
// bits of a row do not depend on which rows share its tile.
template <class T, int MR, int NV, Left L>
void tile(const T* const* a, long k_len, const T* b, const T* const* init, T* const* c, long column, long last) {
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
    const T* rows[MR];
    ELMAN_UNROLL for (int m = 0; m < MR; ++m) rows[m] = a[L == kRows ? m : 0];  // a panel is one pointer
    const T* const panel = a[0];
    for (long k = 0; k < k_len; ++k) {
        Vec<T> w[NV];
        ELMAN_UNROLL for (int v = 0; v < NV; ++v) w[v] = load(b + v * lanes);
        b += NV * lanes;
        ELMAN_UNROLL for (int m = 0; m < MR; ++m) {
            const Vec<T> x = splat(L == kRows ? rows[m][k] : panel[k * lanes + m]);
            ELMAN_UNROLL for (int v = 0; v < NV; ++v) acc[m][v] = fma(x, w[v], acc[m][v]);
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

template <class T, Left L, int MR>
ELMAN_INLINE void run_tile(int nv, const T* const* a, long k_len, const T* b, const T* const* init, T* const* c,
                           long column, long last) {
    switch (nv) {
        case 1:
            return tile<T, MR, 1, L>(a, k_len, b, init, c, column, last);
        case 2:
            return tile<T, MR, 2, L>(a, k_len, b, init, c, column, last);
        case 3:
            return tile<T, MR, 3, L>(a, k_len, b, init, c, column, last);
        default:
            return tile<T, MR, 4, L>(a, k_len, b, init, c, column, last);
    }
}

template <class T, Left L>
ELMAN_INLINE void run_tile(int mr, int nv, const T* const* a, long k_len, const T* b, const T* const* init, T* const* c,
                           long column, long last) {
    switch (mr) {
        case 1:
            return run_tile<T, L, 1>(nv, a, k_len, b, init, c, column, last);
        case 2:
            return run_tile<T, L, 2>(nv, a, k_len, b, init, c, column, last);
#if defined(__AVX2__)
        case 3:
            return run_tile<T, L, 3>(nv, a, k_len, b, init, c, column, last);
#endif
#if defined(__AVX512F__)
        case 4:
            return run_tile<T, L, 4>(nv, a, k_len, b, init, c, column, last);
        case 5:
            return run_tile<T, L, 5>(nv, a, k_len, b, init, c, column, last);
        case 6:
            return run_tile<T, L, 6>(nv, a, k_len, b, init, c, column, last);
#endif
    }
}

// Tiles over n rows, as even as they come (16 rows: 6 + 5 + 5), for one column block and one stretch of k.
template <class T>
ELMAN_INLINE void tile_rows(long n, const T* const* a, long k_len, const T* b, const T* const* init, T* const* c,
                            long column, int nv, long last) {
    long left = n, tiles = (n + kTileRows - 1) / kTileRows;
    for (long m = 0; m < n; --tiles) {
        const long mr = (left + tiles - 1) / tiles;
        run_tile<T, kRows>(static_cast<int>(mr), nv, a + m, k_len, b, init ? init + m : nullptr, c + m, column, last);
        m += mr;
        left -= mr;
    }
}

// Where the left operand's rows have gaps (the padding between gate blocks), k runs over `segments` stretches.
struct Segments {
    long count, length, stride;
};

// A stretch of k that keeps a block of weights (k x 4 vectors: 32 kB) in the first cache while all rows pass it.
constexpr long kStretch = 128;
constexpr long kMaxRows = 256;
// Rows of a plain product made at once: enough to reuse the weights, few enough to stay in the second cache.
constexpr long kChunkRows = 96;

// Columns [first, end) of a product; first is a multiple of the block width.
struct Columns {
    long first, end;
};

// c[i] = init[i] + a[i] · w for n <= kMaxRows rows given by their addresses, in these columns: all of w.columns, or
// fewer where c has no room for the padding. init: a row to start from for each, or null for zero.
// The chain over k is the same for every n.
template <class T>
void rows_times(long n, const T* const* a, Segments k, const Packed<T>& w, const T* const* init, T* const* c,
                Columns range) {
    constexpr long lanes = Lanes<T>::count;
    const T* at[kMaxRows];
    const long columns = range.end;
    for (long column = range.first; column < columns; column += block_width<T>()) {
        const long wide = columns - column < block_width<T>() ? columns - column : block_width<T>();
        const int nv = static_cast<int>((wide + lanes - 1) / lanes);
        const long last = wide - (nv - 1) * lanes;
        const T* b = packed_block(w, column);
        const T* const* from = init;
        for (long s = 0; s < k.count; ++s) {
            for (long first = 0; first < k.length; first += kStretch) {
                const long k_len = k.length - first < kStretch ? k.length - first : kStretch;
                for (long i = 0; i < n; ++i) at[i] = a[i] + s * k.stride + first;
                tile_rows<T>(n, at, k_len, b, from, c, column, nv, last);
                b += k_len * nv * lanes;
                from = c;
            }
        }
    }
}

}  // namespace ELMAN_ISA
}  // namespace elman
