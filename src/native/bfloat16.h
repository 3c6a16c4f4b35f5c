// Products of numbers rounded to bfloat16, summed in float: half the bytes of a float's, and twice the multiplications
// in an instruction where there is one for them. A cell holds two numbers that follow each other in k, the first in its
// low half.
//
// A sum takes the second product of a cell, then the first, each by an fma: what the instruction does. So with
// denormals flushed all instruction sets that have an fma give the same bits.
#pragma once

#include "outer.h"

namespace elman {
namespace ELMAN_ISA {

typedef VecInt<float> Pairs;
constexpr int kHighHalf = static_cast<int>(0xffff0000u);

// x rounded to the nearest bfloat16, ties to even, in the high half of each lane; the low half holds anything. A NaN
// stays one: its last bits might be all that says so.
ELMAN_INLINE Pairs rounded(Vec<float> x) {
    const Pairs bits = (Pairs)x;
    const Pairs nearest = bits + 0x7fff + ((bits >> 16) & 1);
    return x == x ? nearest : (bits | 0x400000);
}

ELMAN_INLINE uint32_t rounded(float x) {
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return (x == x ? bits + 0x7fff + ((bits >> 16) & 1) : bits | 0x400000) >> 16;
}

ELMAN_INLINE uint32_t pair_of(float first, float second) {
    return rounded(first) | rounded(second) << 16;
}

ELMAN_INLINE Pairs pairs_of(Vec<float> first, Vec<float> second) {
#if defined(__AVX512BF16__)
    const __m512i together = (__m512i)_mm512_cvtne2ps_pbh(second, first);
    const __m512i in_turn = _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8, 23, 7, 22, 6,
                                             21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
    return (Pairs)_mm512_permutexvar_epi16(in_turn, together);
#else
    return ((rounded(first) >> 16) & 0xffff) | (rounded(second) & kHighHalf);
#endif
}

ELMAN_INLINE void store_pairs(float* to, Pairs pairs) {
    memcpy(to, &pairs, sizeof pairs);
}

// lanes numbers beside each other, rounded; `to` has room for all of them.
ELMAN_INLINE void store_rounded(uint16_t* to, Vec<float> x) {
    typedef uint16_t Halves __attribute__((vector_size(kVectorBytes / 2), may_alias, aligned(2)));
#if defined(__AVX512BF16__)
    *reinterpret_cast<Halves*>(to) = (Halves)_mm512_cvtneps_pbh(x);
#else
    typedef uint32_t Words __attribute__((vector_size(kVectorBytes)));
    *reinterpret_cast<Halves*>(to) = __builtin_convertvector((Words)rounded(x) >> 16, Halves);
#endif
}

#if defined(__AVX512BF16__)
struct PairProducts {
    typedef float Number;
    typedef uint32_t Cell;
    typedef uint32_t LeftCell;
    static ELMAN_INLINE Pairs weights(const uint32_t* p) { return (Pairs)_mm512_loadu_si512(p); }
    static ELMAN_INLINE Pairs left(uint32_t x) { return (Pairs)_mm512_set1_epi32(static_cast<int>(x)); }
    static ELMAN_INLINE Vec<float> add(Pairs x, Pairs w, Vec<float> sum) {
        return _mm512_dpbf16_ps(sum, (__m512bh)x, (__m512bh)w);
    }
};
#else
struct PairProducts {
    typedef float Number;
    typedef uint32_t Cell;
    typedef uint32_t LeftCell;
    struct Wide {
        Vec<float> first, second;
    };
    static ELMAN_INLINE Wide widened(Pairs p) { return {(Vec<float>)(p << 16), (Vec<float>)(p & kHighHalf)}; }
    static ELMAN_INLINE Wide weights(const uint32_t* p) {
        Pairs pairs;
        memcpy(&pairs, p, sizeof pairs);
        return widened(pairs);
    }
    static ELMAN_INLINE Wide left(uint32_t x) { return widened(Pairs{} + static_cast<int>(x)); }
    static ELMAN_INLINE Vec<float> add(const Wide& x, const Wide& w, Vec<float> sum) {
        return fma(x.first, w.first, fma(x.second, w.second, sum));
    }
};
#endif

struct Bfloat16 {
    static constexpr long lanes = Lanes<float>::count;

    static uint32_t* block(const Packed<float>& w, long first) {
        return reinterpret_cast<uint32_t*>(packed_block(w, first));
    }

    static void pack_columns(const Packed<float>& w, long at, const float* source, long n, long k, long stride) {
        constexpr long rows = 256;  // as in packing.h
        for (long unit = 0; unit < n; unit += lanes)
            for (long top = 0; top < k; top += rows)
                for (long j = unit; j < n && j < unit + lanes; ++j) {
                    const long column = at + j, first = column / block_width<float>() * block_width<float>();
                    const long count = k - top < rows ? k - top : rows, width = width_of(w, first);
                    uint32_t* const to = block(w, first) + top / 2 * width + (column - first);
                    const float* const from = source + j * stride + top;
                    for (long i = 0; i + 1 < count; i += 2) to[i / 2 * width] = pair_of(from[i], from[i + 1]);
                    if (count % 2) to[count / 2 * width] = pair_of(from[count - 1], 0);
                }
    }

    // The room for w is zero at first: a row without a second one leaves that half of its cells alone.
    static void pack_rows(const Packed<float>& w, long k_at, const float* source, long k, long n, long stride) {
        for (long first = 0; first < n; first += block_width<float>()) {
            const long wide = n - first < block_width<float>() ? n - first : block_width<float>();
            const long width = width_of(w, first);
            for (long i = 0; i < k;) {
                const long at = k_at + i;
                uint32_t* const to = block(w, first) + at / 2 * width;
                const float* const from = source + i * stride + first;
                if (at % 2 == 0 && i + 1 < k) {
                    for (long j = 0; j < wide; ++j) to[j] = pair_of(from[j], from[j + stride]);
                    i += 2;
                    continue;
                }
                for (long j = 0; j < wide; ++j)
                    to[j] = at % 2 ? (to[j] & 0xffff) | rounded(from[j]) << 16
                                   : (to[j] & static_cast<uint32_t>(kHighHalf)) | rounded(from[j]);
                ++i;
            }
        }
    }

    // A row of the left operand beside each other, without its gaps; what is left of the last cell is zero.
    static void round_left(const float* from, Segments k, uint16_t* to) {
        for (long s = 0; s < k.count; ++s, to += k.length) {
            const float* const row = from + s * k.stride;
            long j = 0;
            for (; j + lanes <= k.length; j += lanes) store_rounded(to + j, load(row + j));
            for (; j < k.length; ++j) to[j] = static_cast<uint16_t>(rounded(row[j]));
        }
        if (k.count * k.length % 2) *to = 0;
    }

    static void times(long n, const float* const* a, Segments k, const Packed<float>& w, const float* const* init,
                      float* const* c, Columns range, float* left) {
        const long row = cells(w.format, k.count * k.length);
        const uint32_t* rows[kLeftRows];
        for (long first = 0; first < n; first += kLeftRows) {
            const long m = n - first < kLeftRows ? n - first : kLeftRows;
            for (long i = 0; i < m; ++i) {
                round_left(a[first + i], k, reinterpret_cast<uint16_t*>(left + i * row));
                rows[i] = reinterpret_cast<const uint32_t*>(left + i * row);
            }
            rows_times<PairProducts>(m, rows, Segments{1, row, 0}, w, init ? init + first : nullptr, c + first, range);
        }
    }

    // A second row for the last of an odd number of them: none.
    static ELMAN_INLINE Vec<float> part_or_zero(const float* const* rows, long k, long n, long column, long count) {
#if ELMAN_MUTANT == 10
        return k < n ? 0.0f * load_part(rows[k] + column, count) : Vec<float>{};
#else
        return k < n ? load_part(rows[k] + column, count) : Vec<float>{};
#endif
    }

    static void pack_right(const OuterRight<float>& right, const float* const* rows, long n) {
        float* to = right.packed;
        for (long first = 0; first < right.columns; first += block_width<float>()) {
            const long left = right.columns - first, wide = left < block_width<float>() ? left : block_width<float>();
            const long vectors = (wide + lanes - 1) / lanes, last = wide - (vectors - 1) * lanes;
            for (long k = 0; k < n; k += 2)
                for (long v = 0; v < vectors; ++v, to += lanes) {
                    const long column = first + v * lanes, count = v + 1 < vectors ? lanes : last;
                    store_pairs(
                        to, pairs_of(load_part(rows[k] + column, count), part_or_zero(rows, k + 1, n, column, count)));
                }
        }
    }

    static void pack_left(float* panel, const float* const* rows, long column, long n, long valid, float* bias) {
        Vec<float> sum = {};
        for (long k = 0; k < n; k += 2) {
            const Vec<float> one = load_part(rows[k] + column, valid);
            const Vec<float> two = part_or_zero(rows, k + 1, n, column, valid);
            __builtin_prefetch(rows[k] + column + lanes);  // as in outer.h
            __builtin_prefetch(rows[k + 1 < n ? k + 1 : k] + column + lanes);
            store_pairs(panel + k / 2 * lanes, pairs_of(one, two));
            sum += one;
            sum += two;
        }
        if (bias) store_part(bias, load_part(bias, valid) + sum, valid);
    }

    static void add(const float* panel, long valid, const OuterRight<float>& right, long n, float* d) {
        add_outer<PairProducts>(panel, valid, right, (n + 1) / 2, d);
    }

    static constexpr Format<float> format() {
        return {"bfloat16", 2, 0, pack_columns, pack_rows, times, pack_right, pack_left, add};
    }
};

}  // namespace ELMAN_ISA
}  // namespace elman
