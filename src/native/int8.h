// Products with weights of eight bits. Their sums are whole numbers, hence exact: the bits of a result depend neither
// on the rows beside it nor on the instruction set.
//
// Each row of the weights (what makes one output) is whole numbers of at most 127 times a scale of its own, rounded
// once, when it is packed. The left operand is rounded as it comes, each row to whole numbers of at most 32767 times
// its scale: that costs 1.5e-5 of its largest number, a 256th of what the weights have lost.
#pragma once

#include "gemm.h"
#if defined(__SSE2__) && !defined(__AVX2__)
#    include <emmintrin.h>
#endif

namespace elman {
namespace ELMAN_ISA {

constexpr float kMostWeight = 127, kMostLeft = 32767;
// A stretch of k whose sum no 32 bits overflow: 512 * 127 * 32767 < 2^31. Of a block of weights that is 32 kB, as for
// floats. Beyond it, the left operand has a scale for each stretch, and their sums are added as floats.
constexpr long kWholeStretch = 512;
// Rows of the left operand rounded at once: 64 kB, enough rows for every weight that is read.
constexpr long kWholeRows = 64;
// Rows whose largest number is smaller are taken for zero: 1 / scale would overflow.
constexpr float kLeastLargest = 1e-30f;

// Column blocks as in Packed, each [k / 2][block width][2]: neighbours along k lie side by side, so that one instruction
// multiplies and adds both. An odd k is padded with zero.
template <class T>
struct PackedWhole {
    int8_t* data = nullptr;
    T* scales = nullptr;  // (columns)
    long k = 0;
    long columns = 0;  // padded
};

constexpr long pairs_of(long k) {
    return (k + 1) / 2;
}

template <class T>
ELMAN_INLINE int8_t* packed_block(const PackedWhole<T>& w, long column) {
    return w.data + column * 2 * pairs_of(w.k);
}

// The largest |x| of a row; NaN if there is one, as its bits are above those of all numbers.
ELMAN_INLINE float largest_magnitude(const float* x, long n) {
    constexpr long lanes = Lanes<float>::count;
    VecInt<float> top = {};
    for (long j = 0; j < n; j += lanes) {
        const VecInt<float> bits = (VecInt<float>)abs_of<float>(load_part(x + j, n - j < lanes ? n - j : lanes));
        top = bits > top ? bits : top;
    }
    int32_t most = 0;
    for (int i = 0; i < lanes; ++i) most = top[i] > most ? top[i] : most;
    float value;
    memcpy(&value, &most, sizeof value);
    return value;
}

// x to the nearest whole number, ties to even, in the low 16 bits; |x| < 2^22.
ELMAN_INLINE VecInt<float> whole_of(Vec<float> x) {
    return (VecInt<float>)(x + Exp<float>::shifter);
}

// The scale of a row of weights whose largest magnitude is `top`: top / 127 rounded up to 17 bits. So every weight is
// exact as a float, and rounding weights that are rounded changes nothing.
ELMAN_INLINE float weight_scale(float top) {
    if (top < kLeastLargest) return 0;
    const float scale = top / kMostWeight;
    uint32_t bits;
    memcpy(&bits, &scale, sizeof bits);
    bits = (bits + 0x7f) & ~0x7fu;
    float rounded;
    memcpy(&rounded, &bits, sizeof rounded);
    return rounded;
}

// columns [at, at + n) = rows of `source` (n, k) with row stride `stride`, rounded.
inline void pack_rows_as_columns(const PackedWhole<float>& w, long at, const float* source, long n, long k,
                                 long stride) {
    for (long j = 0; j < n; ++j) {
        const long column = at + j, first = column / block_width<float>() * block_width<float>();
        const long width = w.columns - first < block_width<float>() ? w.columns - first : block_width<float>();
        const float* from = source + j * stride;
        const float scale = w.scales[column] = weight_scale(largest_magnitude(from, k));
        int8_t* const to = packed_block(w, first) + 2 * (column - first);
        for (long i = 0; i < k; ++i) {
            const float whole = scale == 0 ? 0 : from[i] / scale + Exp<float>::shifter;
            int32_t bits;
            memcpy(&bits, &whole, sizeof bits);
            to[i / 2 * 2 * width + i % 2] = static_cast<int8_t>(bits);
        }
    }
}

// whole = x / scale to the nearest, padded to an even count; returns the scale.
ELMAN_INLINE float round_left(const float* x, long n, int16_t* whole) {
    constexpr long lanes = Lanes<float>::count;
    typedef int16_t Short __attribute__((vector_size(2 * lanes), may_alias, aligned(2)));
    const float top = largest_magnitude(x, n);
    const bool none = top < kLeastLargest;  // NaN is not
    const float up = none ? 0 : kMostLeft / top;
    long j = 0;
    for (; j + lanes <= n; j += lanes)
        *reinterpret_cast<Short*>(whole + j) = __builtin_convertvector(whole_of(load(x + j) * up), Short);
    if (j < n) {
        const Short rest = __builtin_convertvector(whole_of(load_part(x + j, n - j) * up), Short);
        memcpy(whole + j, &rest, sizeof(int16_t) * static_cast<size_t>(n - j));
        if (n % 2) whole[n] = 0;
    }
    return none ? 0 : top / kMostLeft;
}

typedef int16_t Shorts __attribute__((vector_size(kVectorBytes), may_alias));

ELMAN_INLINE Shorts widen(const int8_t* from) {
#if defined(__AVX512F__)
    return (Shorts)_mm512_cvtepi8_epi16(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(from)));
#elif defined(__AVX2__)
    return (Shorts)_mm256_cvtepi8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from)));
#else
    typedef int8_t Bytes __attribute__((vector_size(kVectorBytes / 2), may_alias, aligned(1)));
    return __builtin_convertvector(*reinterpret_cast<const Bytes*>(from), Shorts);
#endif
}

// a0 b0 + a1 b1 of every pair.
ELMAN_INLINE VecInt<float> pair_products(Shorts a, Shorts b) {
#if defined(__AVX512F__)
    return (VecInt<float>)_mm512_madd_epi16((__m512i)a, (__m512i)b);
#elif defined(__AVX2__)
    return (VecInt<float>)_mm256_madd_epi16((__m256i)a, (__m256i)b);
#elif defined(__SSE2__)
    return (VecInt<float>)_mm_madd_epi16((__m128i)a, (__m128i)b);
#else
    typedef VecInt<float> I;
    return (((I)a << 16) >> 16) * (((I)b << 16) >> 16) + ((I)a >> 16) * ((I)b >> 16);
#endif
}

// c[m][0 .. NV vectors) = init[m] + a[m] * b times both scales, for a stretch of k.
template <int MR, int NV>
void whole_tile(const int16_t* const* a, long pairs, const int8_t* b, const float* left, const float* scales,
                const float* const* init, float* const* c, long column, long last) {
    constexpr long lanes = Lanes<float>::count;
    VecInt<float> acc[MR][NV] = {};
    const int16_t* rows[MR];
    ELMAN_UNROLL for (int m = 0; m < MR; ++m) rows[m] = a[m];
    for (long p = 0; p < pairs; ++p) {
        Shorts w[NV];
        ELMAN_UNROLL for (int v = 0; v < NV; ++v) w[v] = widen(b + v * 2 * lanes);
        b += NV * 2 * lanes;
        ELMAN_UNROLL for (int m = 0; m < MR; ++m) {
            int32_t pair;
            memcpy(&pair, rows[m] + 2 * p, sizeof pair);
            const Shorts x = (Shorts)(pair - VecInt<float>{});
            ELMAN_UNROLL for (int v = 0; v < NV; ++v) acc[m][v] += pair_products(x, w[v]);
        }
    }
    ELMAN_UNROLL for (int m = 0; m < MR; ++m) {
        ELMAN_UNROLL for (int v = 0; v < NV; ++v) {
            const long n = v + 1 < NV ? lanes : last;
            const Vec<float> sum = __builtin_convertvector(acc[m][v], Vec<float>) * (load(scales + v * lanes) * left[m]);
            float* const to = c[m] + column + v * lanes;
            store_part(to, init ? load_part(init[m] + column + v * lanes, n) + sum : sum, n);
        }
    }
}

template <int MR>
ELMAN_INLINE void run_whole_tile(int nv, const int16_t* const* a, long pairs, const int8_t* b, const float* left,
                                 const float* scales, const float* const* init, float* const* c, long column,
                                 long last) {
    switch (nv) {
        case 1:
            return whole_tile<MR, 1>(a, pairs, b, left, scales, init, c, column, last);
        case 2:
            return whole_tile<MR, 2>(a, pairs, b, left, scales, init, c, column, last);
        case 3:
            return whole_tile<MR, 3>(a, pairs, b, left, scales, init, c, column, last);
        default:
            return whole_tile<MR, 4>(a, pairs, b, left, scales, init, c, column, last);
    }
}

template <int MR>
struct TileRows {
    static constexpr int count = MR;
};

// f(how many rows a tile has), as a constant.
template <class F>
ELMAN_INLINE void with_tile_rows(long rows, F f) {
    switch (rows) {
        case 1:
            return f(TileRows<1>());
        case 2:
            return f(TileRows<2>());
#if defined(__AVX2__)
        case 3:
            return f(TileRows<3>());
#endif
#if defined(__AVX512F__)
        case 4:
            return f(TileRows<4>());
        case 5:
            return f(TileRows<5>());
        case 6:
            return f(TileRows<6>());
#endif
    }
}

// c[i] = init[i] + a[i] · w as rows_times has it for floats, for any n and one stretch of memory per row.
inline void rows_times(long n, const float* const* a, long k, const PackedWhole<float>& w, const float* const* init,
                       float* const* c, Columns range) {
    constexpr long lanes = Lanes<float>::count;
    alignas(64) int16_t whole[kWholeRows * kWholeStretch];
    float left[kWholeRows];
    const int16_t* at[kWholeRows];
    for (long row = 0; row < n; row += kWholeRows) {
        const long rows = n - row < kWholeRows ? n - row : kWholeRows;
        const float* const* from = init ? init + row : nullptr;
        for (long first = 0; first < k; first += kWholeStretch) {
            const long k_len = k - first < kWholeStretch ? k - first : kWholeStretch;
            for (long i = 0; i < rows; ++i) {
                at[i] = whole + i * kWholeStretch;
                left[i] = round_left(a[row + i] + first, k_len, whole + i * kWholeStretch);
            }
            for (long column = range.first; column < range.end; column += block_width<float>()) {
                const long wide = range.end - column < block_width<float>() ? range.end - column : block_width<float>();
                const int nv = static_cast<int>((wide + lanes - 1) / lanes);
                const long last = wide - (nv - 1) * lanes;
                const int8_t* const b = packed_block(w, column) + first * nv * lanes;
                long tiles = (rows + kTileRows - 1) / kTileRows;
                for (long m = 0; m < rows; --tiles) {
                    const long mr = (rows - m + tiles - 1) / tiles;
                    const auto run = [&](auto tile_rows) {
                        run_whole_tile<decltype(tile_rows)::count>(nv, at + m, pairs_of(k_len), b, left + m, w.scales + column,
                                                        from ? from + m : nullptr, c + row + m, column, last);
                    };
                    with_tile_rows(mr, run);
                    m += mr;
                }
            }
            from = c + row;
        }
    }
}

}  // namespace ELMAN_ISA
}  // namespace elman
