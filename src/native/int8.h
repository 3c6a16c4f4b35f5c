// Products with weights of eight bits. Their sums are whole numbers, hence exact: the bits of a result depend neither
// on the rows beside it nor on the instruction set.
//
// Each row of the weights (what makes one output) is whole numbers of at most 127 times a scale of its own. The left
// operand is rounded as it comes, each row to whole numbers of at most 32767 times its scale: that costs 1.5e-5 of its
// largest number, a 256th of what the weights have lost.
#pragma once

#include "gemm.h"
#if defined(__SSE2__) && !defined(__AVX2__)
#    include <emmintrin.h>
#endif

namespace elman {
namespace ELMAN_ISA {

typedef VecInt<float> Wholes;
typedef int16_t Shorts __attribute__((vector_size(kVectorBytes), may_alias));

// Neighbours along k are multiplied and added in pairs, by one instruction where there is one.
struct WholeProducts {
    typedef int32_t Number;
    typedef uint16_t Cell;      // two weights
    typedef uint32_t LeftCell;  // two numbers of 16 bits

    static ELMAN_INLINE Shorts weights(const uint16_t* pairs) {
#if defined(__AVX512F__)
        return (Shorts)_mm512_cvtepi8_epi16(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(pairs)));
#elif defined(__AVX2__)
        return (Shorts)_mm256_cvtepi8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(pairs)));
#else
        typedef int8_t Bytes __attribute__((vector_size(kVectorBytes / 2), may_alias, aligned(1)));
        return __builtin_convertvector(*reinterpret_cast<const Bytes*>(pairs), Shorts);
#endif
    }

    static ELMAN_INLINE Shorts left(uint32_t pair) { return (Shorts)(static_cast<int32_t>(pair) - Wholes{}); }

    static ELMAN_INLINE Wholes add(Shorts x, Shorts w, Wholes sum) {
#if defined(__AVX512VNNI__)
        return (Wholes)_mm512_dpwssd_epi32((__m512i)sum, (__m512i)x, (__m512i)w);
#elif defined(__AVX512F__)
        return sum + (Wholes)_mm512_madd_epi16((__m512i)x, (__m512i)w);
#elif defined(__AVX2__)
        return sum + (Wholes)_mm256_madd_epi16((__m256i)x, (__m256i)w);
#elif defined(__SSE2__)
        return sum + (Wholes)_mm_madd_epi16((__m128i)x, (__m128i)w);
#else
        return sum + (((Wholes)x << 16) >> 16) * (((Wholes)w << 16) >> 16) + ((Wholes)x >> 16) * ((Wholes)w >> 16);
#endif
    }
};

// A block begins with the scales of its columns (a head); then come [k / 2][block width] pairs.
struct Int8 {
    static constexpr long lanes = Lanes<float>::count;
    static constexpr float most_weight = 127, most_left = 32767;
    // Rows whose largest number is smaller are taken for zero: 1 / scale would overflow.
    static constexpr float least_largest = 1e-30f;
    // A stretch of k whose sums stay within 32 bits: 512 * 127 * 32767 < 2^31. Of a block of weights that is 32 kB, as
    // in gemm.h. Beyond it, the left operand has a scale for each stretch, and the stretches are added up in float.
    static constexpr long stretch = 512;
    // Rows of 16-bit numbers at once: as many as the room for left operands holds.
    static constexpr long rows_at_once = kLeftRows / 2;

    // The largest |x| of a row; NaN if there is one, as its bits are above those of all numbers.
    static ELMAN_INLINE float largest_magnitude(const float* x, long n) {
        Wholes top = {};
        for (long j = 0; j < n; j += lanes) {
            const Wholes bits = (Wholes)abs_of<float>(load_part(x + j, n - j < lanes ? n - j : lanes));
            top = bits > top ? bits : top;
        }
        int32_t most = 0;
        for (int i = 0; i < lanes; ++i) most = top[i] > most ? top[i] : most;
        float value;
        memcpy(&value, &most, sizeof value);
        return value;
    }

    // The scale of a row of weights whose largest magnitude is `top`: top / 127 rounded up to 17 bits. So every weight
    // is exact as a float, and rounding weights that are rounded changes nothing.
    static ELMAN_INLINE float weight_scale(float top) {
        if (top < least_largest) return 0;
        const float scale = top / most_weight;
        uint32_t bits;
        memcpy(&bits, &scale, sizeof bits);
        bits = (bits + 0x7f) & ~0x7fu;
        float rounded;
        memcpy(&rounded, &bits, sizeof rounded);
        return rounded;
    }

    static void pack_columns(const Packed<float>& w, long at, const float* source, long n, long k, long stride) {
        for (long j = 0; j < n; ++j) {
            const long column = at + j, first = column / block_width<float>() * block_width<float>();
            const long width = width_of(w, first);
            float* const block = packed_block(w, first) + (column - first);
            int8_t* const to = reinterpret_cast<int8_t*>(packed_block(w, first) + width) + 2 * (column - first);
            const float* const from = source + j * stride;
            const float scale = *block = weight_scale(largest_magnitude(from, k));
            for (long i = 0; i < k; ++i) {
                const float whole = scale == 0 ? 0 : from[i] / scale + Exp<float>::shifter;
                int32_t bits;
                memcpy(&bits, &whole, sizeof bits);
                to[i / 2 * 2 * width + i % 2] = static_cast<int8_t>(bits);
            }
        }
    }

    // whole = x / scale to the nearest, ties to even, padded to an even count; returns the scale.
    static ELMAN_INLINE float round_left(const float* x, long n, int16_t* whole) {
        typedef int16_t Short __attribute__((vector_size(2 * lanes), may_alias, aligned(2)));
        const float top = largest_magnitude(x, n);
        const bool none = top < least_largest;  // NaN is not
        const float up = none ? 0 : most_left / top;
        // Adding the shifter leaves the whole number in the low bits.
        for (long j = 0; j < n; j += lanes) {
            const long count = n - j < lanes ? n - j : lanes;
            const Short rounded =
                __builtin_convertvector((Wholes)(load_part(x + j, count) * up + Exp<float>::shifter), Short);
            if (count == lanes)
                *reinterpret_cast<Short*>(whole + j) = rounded;
            else
                memcpy(whole + j, &rounded, sizeof(int16_t) * static_cast<size_t>(count));
        }
        if (n % 2) whole[n] = 0;
        return none ? 0 : top / most_left;
    }

    static void times(long n, const float* const* a, Segments k, const Packed<float>& w, const float* const* init,
                      float* const* c, Columns range, float* left) {
        const long length = k.length < stretch ? k.length + k.length % 2 : stretch;
        int16_t* const whole = reinterpret_cast<int16_t*>(left);
        const uint32_t* at[rows_at_once];
        float scale[rows_at_once];
        alignas(64) int32_t room[rows_at_once * block_width<float>()];
        int32_t* sums[rows_at_once];
        for (long i = 0; i < rows_at_once; ++i) {
            at[i] = reinterpret_cast<const uint32_t*>(whole + i * length);
            sums[i] = room + i * block_width<float>();
        }
        for (long row = 0; row < n; row += rows_at_once) {
            const long rows = n - row < rows_at_once ? n - row : rows_at_once;
            const float* const* from = init ? init + row : nullptr;
            for (long first = 0; first < k.length; first += stretch) {
                const long k_len = k.length - first < stretch ? k.length - first : stretch;
                for (long i = 0; i < rows; ++i) scale[i] = round_left(a[row + i] + first, k_len, whole + i * length);
                for (long column = range.first; column < range.end; column += block_width<float>()) {
                    const long wide =
                        range.end - column < block_width<float>() ? range.end - column : block_width<float>();
                    const int nv = static_cast<int>((wide + lanes - 1) / lanes);
                    const float* const scales = packed_block(w, column);
                    const uint16_t* const b =
                        reinterpret_cast<const uint16_t*>(scales + nv * lanes) + first / 2 * nv * lanes;
                    tile_rows<WholeProducts>(rows, at, (k_len + 1) / 2, b, nullptr, sums, 0, nv, lanes);
                    for (long i = 0; i < rows; ++i)
                        add_scaled(sums[i], scales, scale[i], from ? from[i] + column : nullptr, c[row + i] + column,
                                   wide);
                }
                from = c + row;
            }
        }
    }

    // c = from + sums * scales * scale.
    static ELMAN_INLINE void add_scaled(const int32_t* sums, const float* scales, float scale, const float* from,
                                        float* c, long n) {
        for (long j = 0; j < n; j += lanes) {
            const long count = n - j < lanes ? n - j : lanes;
            const Vec<float> sum = __builtin_convertvector(load(sums + j), Vec<float>) * (load(scales + j) * scale);
            store_part(c + j, from ? load_part(from + j, count) + sum : sum, count);
        }
    }

    // Nothing is trained with such weights, so there is no way back.
    static constexpr Format<float> format() {
        return {"int8", 4, 1, pack_columns, nullptr, times, nullptr, nullptr, nullptr};
    }
};

}  // namespace ELMAN_ISA
}  // namespace elman
