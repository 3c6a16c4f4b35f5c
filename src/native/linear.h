// y = f(x W^T + b) and its gradient, rows shared out among parts.
#pragma once

#include "activations.h"
#include "outer.h"
#include "parts.h"

namespace elman {
namespace ELMAN_ISA {

template <class T>
ELMAN_INLINE T largest(const T* x, long n) {
    constexpr long lanes = Lanes<T>::count;
    T best = x[0];
    long j = 0;
    if (n >= lanes) {
        Vec<T> top = load(x);
        for (j = lanes; j + lanes <= n; j += lanes) top = max_of<T>(load(x + j), top);
        for (int i = 0; i < lanes; ++i) best = top[i] > best ? top[i] : best;
    }
    for (; j < n; ++j) best = x[j] > best ? x[j] : best;
    return best;
}

// y = e^(x - top); returns the sum of y, in one order whatever the row's neighbours are.
template <class T>
ELMAN_INLINE T exp_less(const T* x, T top, T* y, long n) {
    constexpr long lanes = Lanes<T>::count;
    Vec<T> sum = {};
    long j = 0;
    for (; j + lanes <= n; j += lanes) {
        const Vec<T> e = exp_of<T>(load(x + j) - top);
        store(y + j, e);
        sum += e;
    }
    T total = 0;
    for (int i = 0; i < lanes; ++i) total += sum[i];
    if (j < n) {
        const Vec<T> e = exp_of<T>(load_part(x + j, n - j) - top);
        store_part(y + j, e, n - j);
        for (long i = 0; i < n - j; ++i) total += e[i];
    }
    return total;
}

template <class T>
ELMAN_INLINE void activate_row(int activation, T* y, long n) {
    constexpr long lanes = Lanes<T>::count;
    if (activation == kIdentity) return;
    if (activation == kSoftmax) {
        const T total = exp_less(y, largest(y, n), y, n);
        for (long j = 0; j < n; ++j) y[j] /= total;
        return;
    }
    for (long j = 0; j < n; j += lanes) {
        const long m = n - j < lanes ? n - j : lanes;
        store_part(y + j, Chosen{activation}.value<T>(load_part(y + j, m)), m);
    }
}

// dz = dy through f, from f's own value.
template <class T>
ELMAN_INLINE void retreat_row(int activation, const T* dy, const T* y, T* dz, long n) {
    constexpr long lanes = Lanes<T>::count;
    if (activation == kSoftmax) {
        T inner = 0;
        for (long j = 0; j < n; ++j) inner += dy[j] * y[j];
        for (long j = 0; j < n; ++j) dz[j] = y[j] * (dy[j] - inner);
        return;
    }
    for (long j = 0; j < n; j += lanes) {
        const long m = n - j < lanes ? n - j : lanes;
        store_part(dz + j, load_part(dy + j, m) * Chosen{activation}.slope<T>(load_part(y + j, m)), m);
    }
}

template <class T>
struct Linear {
    typedef LinearViews<T> Views;

    static void pack(const Views& v, const T* weight, const T* bias, T* packed, T* packed_back, T* padded_bias) {
        const Packed<T> forward{packed, v.input_size, round_up<T>(v.output_size), v.format};
        const Packed<T> back{packed_back, v.output_size, round_up<T>(v.input_size), v.format};
        pack_rows_as_columns(forward, 0, weight, v.output_size, v.input_size, v.input_size);
        if (packed_back) pack_rows(back, 0, weight, v.output_size, v.input_size, v.input_size);
        memcpy(padded_bias, bias, sizeof(T) * static_cast<size_t>(v.output_size));
    }

    // Room for the left operands in the weights' format.
    static long left_size(const Views& v) {
        const long longest = v.input_size > v.output_size ? v.input_size : v.output_size;
        return v.format ? kLeftRows * cells(v.format, longest) : 0;
    }
    static long scratch_bytes(const Views& v) { return left_size(v) * static_cast<long>(sizeof(T)) + 64; }

    static void forward(const Views& v, long part, long parts, Scratch scratch) {
        const Packed<T> w{const_cast<T*>(v.packed), v.input_size, round_up<T>(v.output_size), v.format};
        T* const left = carve<T>(&scratch, left_size(v));
        const Share own = share_of(v.rows, part, parts);
        const T* x[kMaxRows];
        const T* bias[kMaxRows];
        T* y[kMaxRows];
        for (long first = own.first; first < own.end; first += kChunkRows) {
            const long n = own.end - first < kChunkRows ? own.end - first : kChunkRows;
            for (long i = 0; i < n; ++i) {
                x[i] = v.x + (first + i) * v.input_size;
                y[i] = v.y + (first + i) * v.output_size;
                bias[i] = v.bias;
            }
            product<T>(n, x, Segments{1, v.input_size, 0}, w, bias, y, {0, v.output_size}, left);
            for (long i = 0; i < n; ++i) activate_row(v.activation, y[i], v.output_size);
        }
    }

    static void backward(const Views& v, long part, long parts, Scratch scratch) {
        const Packed<T> w{const_cast<T*>(v.packed_back), v.output_size, round_up<T>(v.input_size), v.format};
        T* const left = carve<T>(&scratch, left_size(v));
        const Share own = share_of(v.rows, part, parts);
        const T* dz[kMaxRows];
        T* dx[kMaxRows];
        for (long first = own.first; first < own.end; first += kChunkRows) {
            const long n = own.end - first < kChunkRows ? own.end - first : kChunkRows;
            for (long i = 0; i < n; ++i) {
                const long at = (first + i) * v.output_size;
                if (v.activation != kIdentity) retreat_row(v.activation, v.dy + at, v.y + at, v.dz + at, v.output_size);
                dz[i] = v.dz + at;
                if (v.dx) dx[i] = v.dx + (first + i) * v.input_size;
            }
            if (v.dx) product<T>(n, dz, Segments{1, v.output_size, 0}, w, nullptr, dx, {0, v.input_size}, left);
        }
    }

    static long weights_scratch(const Views& v) {
        return outer_scratch<T>(v.input_size) + outer_scratch<T>(Lanes<T>::count) + 256;
    }

    static void weights(const Views& v, long part, long parts, Scratch scratch) {
        constexpr long lanes = Lanes<T>::count;
        const Share own = share_of((v.output_size + lanes - 1) / lanes, part, parts);
        if (own.first == own.end) return;
        const OuterRight<T> x{carve<T>(&scratch, kRowBlock * round_up<T>(v.input_size)), v.input_size};
        T* const panel = carve<T>(&scratch, kRowBlock * lanes);
        const Outer<T> outer = outer_of(v.format);
        for (long first = 0; first < v.rows; first += kRowBlock) {
            const long n = v.rows - first < kRowBlock ? v.rows - first : kRowBlock;
            const T* x_rows[kRowBlock];
            const T* dz_rows[kRowBlock];
            for (long k = 0; k < n; ++k) {
                x_rows[k] = v.x + (first + k) * v.input_size;
                dz_rows[k] = v.dz + (first + k) * v.output_size;
            }
            outer.pack_right(x, x_rows, n);
            for (long p = own.first; p < own.end; ++p) {
                const long unit = p * lanes, valid = v.output_size - unit < lanes ? v.output_size - unit : lanes;
                outer.pack_left(panel, dz_rows, unit, n, valid, v.d_bias + unit);
                outer.add(panel, valid, x, n, v.d_weight + unit * v.input_size);
            }
        }
    }
};

// -log softmax(logits)[target] of each row, times its weight, and the gradient of scale * the sum of all rows.
template <class T>
void cross_entropy(const CrossEntropyViews<T>& v, long part, long parts) {
    const Share own = share_of(v.rows, part, parts);
    T buffer[Lanes<T>::count * 64];
    constexpr long room = Lanes<T>::count * 64;
    for (long i = own.first; i < own.end; ++i) {
        const T* row = v.logits + i * v.classes;
        const T top = largest(row, v.classes);
        const double weight = v.weights ? static_cast<double>(v.weights[i]) : 1.0;
        double total = 0;
        T* const d = v.d_logits ? v.d_logits + i * v.classes : nullptr;
        for (long j = 0; j < v.classes; j += room)
            total += static_cast<double>(
                exp_less(row + j, top, d ? d + j : buffer, v.classes - j < room ? v.classes - j : room));
        if (d) {
            const T factor = static_cast<T>(weight * v.scale / total);
            for (long j = 0; j < v.classes; ++j) d[j] *= factor;
            d[v.targets[i]] -= static_cast<T>(weight * v.scale);
        }
        v.losses[i] =
            weight * (__builtin_log(total) + static_cast<double>(top) - static_cast<double>(row[v.targets[i]]));
    }
}

template <class T>
void elementwise(int activation, const T* x, T* y, long n) {
    constexpr long lanes = Lanes<T>::count;
    for (long j = 0; j < n; j += lanes) {
        const long m = n - j < lanes ? n - j : lanes;
        const Vec<T> a = load_part(x + j, m);
        store_part(y + j, activation == kIdentity ? exp_of<T>(a) : Chosen{activation}.value<T>(a), m);
    }
}

}  // namespace ELMAN_ISA
}  // namespace elman
