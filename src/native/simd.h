// Vectors of float or double for one instruction set, and the functions built on them.
//
// Each kernel object is compiled once per instruction set with ELMAN_ISA naming its namespace, so nothing here may
// be shared between objects: no standard-library header is included by kernel files (their inline functions
// would be merged by the linker, and a machine without AVX-512 could be handed the AVX-512 copy).
#pragma once

#include <stdint.h>
#include <string.h>
#if defined(__AVX2__)
#    include <immintrin.h>
#endif

#define ELMAN_UNROLL _Pragma("GCC unroll 16")
#define ELMAN_INLINE inline __attribute__((always_inline))

namespace elman {
namespace ELMAN_ISA {

#if defined(__AVX512F__)
constexpr int kVectorBytes = 64;
constexpr int kTileRows = 6;  // 6 x 4 accumulators, 4 columns of weights and 1 broadcast fill 29 of 32 registers
#elif defined(__AVX2__)
constexpr int kVectorBytes = 32;
constexpr int kTileRows = 3;  // 3 x 4 accumulators, 3 broadcasts and 1 column of weights fill 16 of 16 registers
#else
constexpr int kVectorBytes = 16;
constexpr int kTileRows = 2;  // without fma a product needs a register of its own
#endif
constexpr int kTileVectors = 4;

template <class T>
struct Bits;
template <>
struct Bits<float> {
    typedef int32_t Int;
};
template <>
struct Bits<int32_t> {
    typedef int32_t Int;
};
template <>
struct Bits<double> {
    typedef int64_t Int;
};

template <class T>
struct Lanes {
    static constexpr int count = kVectorBytes / static_cast<int>(sizeof(T));
    typedef T V __attribute__((vector_size(kVectorBytes), may_alias));
    typedef T VUnaligned __attribute__((vector_size(kVectorBytes), may_alias, aligned(alignof(T))));
    typedef typename Bits<T>::Int VInt __attribute__((vector_size(kVectorBytes), may_alias));
};
template <class T>
using Vec = typename Lanes<T>::V;
template <class T>
using VecInt = typename Lanes<T>::VInt;

template <class T>
constexpr long round_up(long n) {
    return (n + Lanes<T>::count - 1) / Lanes<T>::count * Lanes<T>::count;
}

template <class T>
ELMAN_INLINE Vec<T> load(const T* p) {
    return *reinterpret_cast<const typename Lanes<T>::VUnaligned*>(p);
}

template <class T>
ELMAN_INLINE void store(T* p, Vec<T> v) {
    *reinterpret_cast<typename Lanes<T>::VUnaligned*>(p) = v;
}

// The first n (1 to lanes) elements; the rest read as zero.
template <class T>
ELMAN_INLINE Vec<T> load_part(const T* p, long n) {
    if (n == Lanes<T>::count) return load(p);
    Vec<T> v = {};
    memcpy(&v, p, static_cast<size_t>(n) * sizeof(T));
    return v;
}

template <class T>
ELMAN_INLINE void store_part(T* p, Vec<T> v, long n) {
    if (n == Lanes<T>::count)
        store(p, v);
    else
        memcpy(p, &v, static_cast<size_t>(n) * sizeof(T));
}

// Ask for a row of n numbers, or its first four lines; further ones the machine fetches ahead by itself. Rows that lie
// a sequence apart are in another page each, where it does not.
template <class T>
ELMAN_INLINE void fetch_ahead(const T* row, long n) {
    constexpr long line = 64 / static_cast<long>(sizeof(T));
    for (long j = 0; j < n && j < 4 * line; j += line) __builtin_prefetch(row + j);
}

// rows[j][i] and rows[i][j] change places.
template <class T>
ELMAN_INLINE void transpose(Vec<T>* rows) {
    constexpr int lanes = Lanes<T>::count;
    for (int i = 0; i < lanes; ++i)
        for (int j = 0; j < i; ++j) {
            const T kept = rows[i][j];
            rows[i][j] = rows[j][i];
            rows[j][i] = kept;
        }
}
#if defined(__AVX512F__)
// Four times over, vectors i and i + 8 become a pair whose numbers take turns: 64 instructions for 256 numbers.
template <>
ELMAN_INLINE void transpose<float>(Vec<float>* rows) {
    const __m512i low = _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
    const __m512i high = _mm512_setr_epi32(8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
    Vec<float> mixed[16];
    ELMAN_UNROLL for (int round = 0; round < 2; ++round) {
        ELMAN_UNROLL for (int i = 0; i < 8; ++i) {
            mixed[2 * i] = _mm512_permutex2var_ps(rows[i], low, rows[i + 8]);
            mixed[2 * i + 1] = _mm512_permutex2var_ps(rows[i], high, rows[i + 8]);
        }
        ELMAN_UNROLL for (int i = 0; i < 8; ++i) {
            rows[2 * i] = _mm512_permutex2var_ps(mixed[i], low, mixed[i + 8]);
            rows[2 * i + 1] = _mm512_permutex2var_ps(mixed[i], high, mixed[i + 8]);
        }
    }
}
#endif

template <class T>
ELMAN_INLINE Vec<T> splat(T x) {
    return x - Vec<T>{};
}

// a * b + c, rounded once in AVX-512 and AVX2, twice in the baseline. Written out because contraction is off: the
// compiler must not fuse a product here and not there, or a row would get other bits in another tile.
ELMAN_INLINE Vec<float> fma(Vec<float> a, Vec<float> b, Vec<float> c) {
#if defined(__AVX512F__)
    return _mm512_fmadd_ps(a, b, c);
#elif defined(__FMA__)
    return _mm256_fmadd_ps(a, b, c);
#else
    return a * b + c;
#endif
}

ELMAN_INLINE Vec<double> fma(Vec<double> a, Vec<double> b, Vec<double> c) {
#if defined(__AVX512F__)
    return _mm512_fmadd_pd(a, b, c);
#elif defined(__FMA__)
    return _mm256_fmadd_pd(a, b, c);
#else
    return a * b + c;
#endif
}

// NaN in either gives b.
template <class T>
ELMAN_INLINE Vec<T> max_of(Vec<T> a, Vec<T> b) {
    return a > b ? a : b;
}

template <class T>
ELMAN_INLINE Vec<T> abs_of(Vec<T> x) {
    typedef VecInt<T> I;
    constexpr typename Bits<T>::Int mask = ~(static_cast<typename Bits<T>::Int>(1) << (8 * sizeof(T) - 1));
    return (Vec<T>)((I)x & (I{} + mask));
}

template <class T>
ELMAN_INLINE Vec<T> with_sign_of(Vec<T> magnitude, Vec<T> x) {
    typedef VecInt<T> I;
    constexpr typename Bits<T>::Int sign = static_cast<typename Bits<T>::Int>(1) << (8 * sizeof(T) - 1);
    return (Vec<T>)((I)magnitude | ((I)x & (I{} + sign)));
}

template <class T>
struct Exp;
// e^r = 1 + r + r^2 q(r) for |r| <= ln 2 / 2; q fitted to the least largest relative error of e^r - 1
// (1.5e-8 in float, 3e-19 in double, found with 60-digit arithmetic).
template <>
struct Exp<float> {
    static constexpr float shifter = 12582912.0f;  // 1.5 * 2^23: adding it rounds to an integer, kept in the low bits
    static constexpr float log2e = 1.44269504088896341f, ln2_high = 0.693359375f, ln2_low = -2.12194440e-4f;
    static constexpr float lowest = -87.33654f;  // e^lowest is the last normal number
    static constexpr int mantissa = 23;
    static constexpr int32_t one = 0x3f800000;
    static ELMAN_INLINE Vec<float> q(Vec<float> r) {
        Vec<float> s = splat(0.0013946048262718973986f);
        s = fma(s, r, splat(0.0083663741116089129312f));
        s = fma(s, r, splat(0.041666289790126214879f));
        s = fma(s, r, splat(0.16666545251961229695f));
        return fma(s, r, splat(0.50000000584809857629f));
    }
};
template <>
struct Exp<double> {
    static constexpr double shifter = 6755399441055744.0;  // 1.5 * 2^52
    static constexpr double log2e = 1.4426950408889634074, ln2_high = 6.93147180369123816490e-01,
                            ln2_low = 1.90821492927058770002e-10;
    static constexpr double lowest = -708.396;
    static constexpr int mantissa = 52;
    static constexpr int64_t one = 0x3ff0000000000000;
    static ELMAN_INLINE Vec<double> q(Vec<double> r) {
        Vec<double> s = splat(2.092416293082498512e-9);
        s = fma(s, r, splat(2.5108693710337421242e-8));
        s = fma(s, r, splat(2.7557243823537179061e-7));
        s = fma(s, r, splat(2.7557245279859227831e-6));
        s = fma(s, r, splat(0.00002480158735905546808));
        s = fma(s, r, splat(0.00019841269884956143127));
        s = fma(s, r, splat(0.001388888888886779362));
        s = fma(s, r, splat(0.0083333333333221489033));
        s = fma(s, r, splat(0.041666666666666698755));
        s = fma(s, r, splat(0.16666666666666675826));
        return fma(s, r, splat(0.49999999999999999988));
    }
};

// x = n ln 2 + r: returns e^r - 1, and n + shifter. x must be <= 0.
template <class T>
ELMAN_INLINE Vec<T> reduce_exp(Vec<T> x, Vec<T>* shifted) {
    *shifted = fma(x, splat(Exp<T>::log2e), splat(Exp<T>::shifter));
    const Vec<T> n = *shifted - Exp<T>::shifter;
    const Vec<T> r = fma(n, splat(-Exp<T>::ln2_low), fma(n, splat(-Exp<T>::ln2_high), x));
    return fma(r * r, Exp<T>::q(r), r);
}

// 2^n from n + shifter, for n that the exponent of T can hold.
template <class T>
ELMAN_INLINE Vec<T> power_of_two(Vec<T> shifted) {
    return (Vec<T>)(((VecInt<T>)shifted << Exp<T>::mantissa) + Exp<T>::one);
}

// x = n ln 2 + r: returns 2^n and e^r - 1. x must lie in [lowest, 0].
template <class T>
ELMAN_INLINE void split_exp(Vec<T> x, Vec<T>* power, Vec<T>* less_one) {
    Vec<T> shifted;
    *less_one = reduce_exp<T>(x, &shifted);
    *power = power_of_two<T>(shifted);
}

template <class T>
ELMAN_INLINE Vec<T> keep_nan(Vec<T> x, Vec<T> result) {
    return x == x ? result : x;
}

// top / d for d from 1 to 2^126, within an ULP of the division. In AVX-512 its reciprocal to 14 bits and one Newton
// step cost a third of what a division does.
template <class T>
ELMAN_INLINE Vec<T> divide(Vec<T> top, Vec<T> d) {
    return top / d;
}
#if defined(__AVX512F__)
template <>
ELMAN_INLINE Vec<float> divide<float>(Vec<float> top, Vec<float> d) {
    const Vec<float> y = _mm512_maskz_rcp14_ps(0xffff, d);
    return top * fma(fma(-d, y, splat(1.0f)), y, y);
}
#endif

// e^x for x <= 0, at most 2 ULP; zero below `lowest`. The power multiplies last and exactly: an fma with it would pass
// through a flushed denormal where the instruction set has none. NaN stays NaN here and below: max_of hands on its
// second operand then, and all that follows does likewise.
template <class T>
ELMAN_INLINE Vec<T> exp_of(Vec<T> x) {
    Vec<T> power, less_one;
    split_exp<T>(max_of<T>(splat(Exp<T>::lowest), x), &power, &less_one);
    const Vec<T> e = (less_one + T(1)) * power;
    return x < Exp<T>::lowest ? Vec<T>{} : e;
}

// 1 / (1 + e^-x), at most 4 ULP wherever the result is a normal number. Taken from e^-|x| on both sides: from tanh
// it would lose every digit below x = -15.
template <class T>
ELMAN_INLINE Vec<T> sigmoid(Vec<T> x) {
    const Vec<T> e = exp_of<T>(-abs_of<T>(x));
    return divide<T>(x < T(0) ? e : splat(T(1)), e + T(1));
}

// tanh x = (1 - e^-2|x|) / (1 + e^-2|x|) with e^-2|x| - 1 kept exact near zero; at most 4 ULP, odd, tanh 0 = 0.
template <class T>
ELMAN_INLINE Vec<T> tanh_of(Vec<T> x) {
    const Vec<T> minus = abs_of<T>(x) * T(-2);
    Vec<T> power, less_one;
    split_exp<T>(max_of<T>(splat(Exp<T>::lowest), minus), &power, &less_one);
    const Vec<T> expm1 = fma(power, less_one, power - T(1));
    return with_sign_of<T>(divide<T>(T(0) - expm1, expm1 + T(2)), x);
}

#if defined(__AVX512F__)
// The same with fewer instructions: 17 for 24 and 21 for 25, which is a fifth to a quarter less time. AVX-512 rounds to
// an integer in one, and multiplies by 2^n without a look at what n the exponent can hold.

// x - n ln 2, for n near x / ln 2.
ELMAN_INLINE Vec<float> less_ln2(Vec<float> x, Vec<float> n) {
    return fma(n, splat(-Exp<float>::ln2_low), fma(n, splat(-Exp<float>::ln2_high), x));
}

// e^-x overflows below x = -88 only, so both signs take one way; beyond, 1 / (1 + e^88) is a denormal, flushed to zero.
template <>
ELMAN_INLINE Vec<float> sigmoid<float>(Vec<float> x) {
    const Vec<float> minus = -max_of<float>(splat(-88.0f), _mm512_maskz_min_ps(0xffff, splat(88.0f), x));
    const Vec<float> n = _mm512_maskz_roundscale_ps(0xffff, minus * Exp<float>::log2e, 8), r = less_ln2(minus, n);
    const Vec<float> e = fma(fma(Exp<float>::q(r), r, splat(1.0f)), r, splat(1.0f));
    return divide<float>(splat(1.0f), _mm512_maskz_scalef_ps(0xffff, e, n) + 1.0f);
}

// 1 - tanh 10 is 0.03 ULP.
template <>
ELMAN_INLINE Vec<float> tanh_of<float>(Vec<float> x) {
    const Vec<float> minus = max_of<float>(splat(-20.0f), abs_of<float>(x) * -2.0f);
    const Vec<float> n = _mm512_maskz_roundscale_ps(0xffff, minus * Exp<float>::log2e, 8), r = less_ln2(minus, n);
    const Vec<float> power = _mm512_maskz_scalef_ps(0xffff, splat(1.0f), n);
    const Vec<float> less = fma(-power, fma(r * r, Exp<float>::q(r), r), 1.0f - power);
    return with_sign_of<float>(divide<float>(less, 2.0f - less), x);
}
#endif

}  // namespace ELMAN_ISA
}  // namespace elman
