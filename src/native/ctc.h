// Connectionist temporal classification (Graves et al. 2006): -log p(labels | logits) and its gradient.
//
// A path gives every step a label or the blank, and reads as the labels once repeats are merged and blanks dropped.
// With L labels it walks over L + 1 blanks and L labels in turn: blank 0, label 0, blank 1 ... label L - 1, blank L.
// Forward probabilities a (of all ways here) and backward ones b (of all ways on) live in two rows, blanks and labels:
//
//     a'blank[i] = (a blank[i] + a label[i - 1]) p(blank)
//     a'label[i] = (a label[i] + a blank[i] + skip[i] a label[i - 1]) p(label i)       skip: label i differs from i - 1
//
// They range far beyond double (500 unlikely labels have 1e-4000), and one scale for a whole row would lose the
// unlikely place that all paths must pass. So each is a pair, mantissa * 2^exponent: sums need no exp and no log, and
// keep all 53 bits however long the sequence, where a sum of logarithms near -1e4 keeps 40.
#pragma once

#include "linear.h"
#include "parts.h"
#include "simd.h"
#include "views.h"

namespace elman {
namespace ELMAN_ISA {

constexpr long kWide = Lanes<double>::count;
constexpr double kNever = -1e280;       // exponent of zero, whatever the mantissa; adding to it changes nothing
constexpr double kFaintest = -1023;     // the exponent whose bits are those of zero
constexpr double kUnlikeliest = -1e15;  // nats below the likeliest class, past which the exponent is no whole number
constexpr long kRescaleSteps = 64;  // a step multiplies a mantissa by 0.7 to 4.3: in 64 it stays within 1e-10 to 1e41

// kWide numbers mantissa * 2^exponent. Exponents are whole and kept as double, so that no sum of them overflows.
struct Wide {
    Vec<double> mantissa, exponent;
};

// A row of such numbers.
struct WideRow {
    double* mantissa;
    double* exponent;

    ELMAN_INLINE WideRow past(long n) const { return {mantissa + n, exponent + n}; }
    ELMAN_INLINE Wide at(long i) const { return {load(mantissa + i), load(exponent + i)}; }
    ELMAN_INLINE void put(long i, Wide w) const {
        store(mantissa + i, w.mantissa);
        store(exponent + i, w.exponent);
    }
    ELMAN_INLINE void set(long i, double new_mantissa, double new_exponent) const {
        mantissa[i] = new_mantissa;
        exponent[i] = new_exponent;
    }
};

ELMAN_INLINE WideRow carve_wide(Scratch* scratch, long count) {
    double* const mantissa = carve<double>(scratch, count);
    return {mantissa, carve<double>(scratch, count)};
}

// 2^n for whole n <= 1000; zero from kFaintest down.
ELMAN_INLINE Vec<double> two_to(Vec<double> n) {
    return power_of_two<double>(max_of<double>(n, splat(kFaintest)) + Exp<double>::shifter);
}

ELMAN_INLINE Wide sum_of(Wide a, Wide b) {
    const Vec<double> top = max_of<double>(a.exponent, b.exponent);
    return {fma(a.mantissa, two_to(a.exponent - top), b.mantissa * two_to(b.exponent - top)), top};
}

ELMAN_INLINE Wide product_of(Wide a, Wide b) {
    return {a.mantissa * b.mantissa, a.exponent + b.exponent};
}

// e^x for x <= 0, of any size; zero below kUnlikeliest, NaN stays.
ELMAN_INLINE Wide wide_exp(Vec<double> x) {
    const Vec<double> bounded = max_of<double>(x, splat(kUnlikeliest));
    Vec<double> shifted;
    const Vec<double> less_one = reduce_exp<double>(bounded, &shifted);
    const Vec<double> n = shifted - Exp<double>::shifter;
    return {keep_nan<double>(x, less_one + 1.0), x < kUnlikeliest ? splat(kNever) : n};
}

// Move the mantissas of n (whole vectors) back into [1, 2).
ELMAN_INLINE void rescale(WideRow row, long n) {
    typedef VecInt<double> I;
    constexpr int64_t below_one = (static_cast<int64_t>(1) << Exp<double>::mantissa) - 1;
    for (long i = 0; i < n; i += kWide) {
        const Wide w = row.at(i);
        const I bits = (I)w.mantissa;
        const I power = (bits >> Exp<double>::mantissa) - (Exp<double>::one >> Exp<double>::mantissa);
        row.put(i, {(Vec<double>)((bits & below_one) | Exp<double>::one),
                    w.exponent + __builtin_convertvector(power, Vec<double>)});
    }
}

template <class T>
struct Ctc {
    typedef CtcViews<T> Views;

    // One sequence: what it is, and the memory to work in.
    struct Problem {
        const T* logits;       // (steps, classes)
        const int64_t* label;  // (labels)
        long steps, labels, classes, blank;
        long width;                  // of rows over places: labels + 1 in whole vectors
        WideRow class_row;           // e^(logit - largest) of one step, by class
        double* probability;         // the same as plain numbers, by class
        double* expected;            // by class: how often paths that read as the labels are here
        WideRow label_row;           // of one step, by place
        double* at_label;            // by place: what `expected` is summed from
        double* skip;                // by place: 0, or kNever where a label repeats the one before
        WideRow blanks, labels_row;  // a or b; a vector of kNever on either side
        double* tape;                // (steps, 4, width): a of every step

        ELMAN_INLINE WideRow tape_blanks(long t) const { return {tape + 4 * t * width, tape + (4 * t + 1) * width}; }
        ELMAN_INLINE WideRow tape_labels(long t) const {
            return {tape + (4 * t + 2) * width, tape + (4 * t + 3) * width};
        }
        // Places that a path can have reached by step t and still leave in time, in whole vectors. Others may hold old
        // numbers: where a is one, b is zero, and the other way round.
        ELMAN_INLINE long first_place(long t) const {
            const long first = labels - (steps - t);
            return first > 0 ? first / kWide * kWide : 0;
        }
        ELMAN_INLINE long end_place(long t) const { return round_up<double>((t < labels ? t : labels) + 1); }
    };

    static long scratch(const Views& v) {
        long places = 0, cells = 0;
        for (long b = 0; b < v.sequences; ++b) {
            const long width = round_up<double>(v.first_label[b + 1] - v.first_label[b] + 1);
            const long tape = (v.first_row[b + 1] - v.first_row[b]) * 4 * width;
            if (width > places) places = width;
            if (v.d_logits && tape > cells) cells = tape;
        }
        const long doubles = 4 * round_up<double>(v.classes) + 8 * (places + 2 * kWide) + cells;
        return doubles * static_cast<long>(sizeof(double)) + 16 * 64;  // carve rounds each array up to 64 bytes
    }

    // Parts take sequences in turn, from the one with the most work down.
    static void loss(const Views& v, long part, long parts, Scratch scratch) {
        long waiting = 0;
        for (long i = part; i < v.sequences; i += parts) {
            const long b = v.order[i];
            const double weight = v.weights ? v.weights[b] : 1.0;
            Problem problem = make_problem(v, b, scratch);
            T* const d_logits = v.d_logits ? v.d_logits + v.first_row[b] * v.classes : nullptr;
            if (weight == 0) {
                v.losses[b] = 0;
                if (d_logits) fill(d_logits, problem.steps * v.classes, T(0));
                continue;
            }
            PathSum sum;
            if (!forward(v, problem, &sum, &waiting)) return;
            const bool possible = sum.exponent > kNever / 2;
            v.losses[b] = possible ? sum.log_totals - __builtin_log(sum.mantissa) - sum.exponent * kLog2
                                   : sum.log_totals + __builtin_huge_val();
            if (!d_logits) continue;
            if (!possible)
                fill(d_logits, problem.steps * v.classes, static_cast<T>(__builtin_nan("")));
            else if (!backward(v, problem, sum, weight * v.scale, d_logits, &waiting))
                return;
        }
    }

  private:
    // The sum over all paths of the products of e^(logit - largest), and what makes it a probability.
    struct PathSum {
        double mantissa, exponent;
        double log_totals;  // log of the sum of e^(logit - largest) over the classes, added up over the steps
    };

    static constexpr double kLog2 = 0.69314718055994530942;

    static void fill(T* to, long n, T value) {
        for (long i = 0; i < n; ++i) to[i] = value;
    }

    static Problem make_problem(const Views& v, long b, Scratch scratch) {
        Problem p;
        p.logits = v.logits + v.first_row[b] * v.classes;
        p.label = v.labels + v.first_label[b];
        p.steps = v.first_row[b + 1] - v.first_row[b];
        p.labels = v.first_label[b + 1] - v.first_label[b];
        p.classes = v.classes;
        p.blank = v.blank;
        p.width = round_up<double>(p.labels + 1);
        const long padded = round_up<double>(v.classes), with_sides = p.width + 2 * kWide;
        p.class_row = carve_wide(&scratch, padded);
        p.probability = carve<double>(&scratch, padded);
        p.expected = carve<double>(&scratch, padded);
        p.label_row = carve_wide(&scratch, p.width);
        p.at_label = carve<double>(&scratch, p.width);
        p.skip = carve<double>(&scratch, with_sides);
        p.blanks = carve_wide(&scratch, with_sides).past(kWide);
        p.labels_row = carve_wide(&scratch, with_sides).past(kWide);
        p.tape = reinterpret_cast<double*>(scratch.at);
        for (long i = 0; i < p.width; ++i) p.label_row.set(i, 1, kNever);
        for (long i = 0; i < with_sides; ++i) p.skip[i] = kNever;
        for (long i = 1; i < p.labels; ++i)
            if (p.label[i] != p.label[i - 1]) p.skip[i] = 0;
        return p;
    }

    static void clear(const Problem& p) {
        for (long i = -kWide; i < p.width + kWide; ++i) {
            p.blanks.set(i, 1, kNever);
            p.labels_row.set(i, 1, kNever);
        }
    }

    // The first n numbers as double; the others read as `rest`.
    static ELMAN_INLINE Vec<double> load_wide(const T* x, long n, double rest) {
        typedef T Narrow __attribute__((vector_size(kWide * sizeof(T)), may_alias, aligned(alignof(T))));
        if (n == kWide) return __builtin_convertvector(*reinterpret_cast<const Narrow*>(x), Vec<double>);
        Vec<double> wide = splat(rest);
        for (long i = 0; i < n; ++i) wide[i] = static_cast<double>(x[i]);
        return wide;
    }

    // e^(logit - largest) of step t by class and by place; returns the sum over the classes.
    static ELMAN_INLINE double emit(const Problem& p, long t) {
        const T* const row = p.logits + t * p.classes;
        const double top = static_cast<double>(largest(row, p.classes));
        Vec<double> sums = {};
        double total = 0;
        for (long k = 0; k < p.classes; k += kWide) {
            const long n = p.classes - k < kWide ? p.classes - k : kWide;
            const Wide e = wide_exp(load_wide(row + k, n, top) - top);
            const Vec<double> plain = e.mantissa * two_to(e.exponent);
            p.class_row.put(k, e);
            store(p.probability + k, plain);
            if (n == kWide)
                sums += plain;
            else
                for (long i = 0; i < n; ++i) total += plain[i];
        }
        for (int i = 0; i < kWide; ++i) total += sums[i];
        for (long i = 0; i < p.labels; ++i) {
            p.label_row.mantissa[i] = p.class_row.mantissa[p.label[i]];
            p.label_row.exponent[i] = p.class_row.exponent[p.label[i]];
        }
        return total;
    }

    static ELMAN_INLINE Wide blank_of(const Problem& p) {
        return {splat(p.class_row.mantissa[p.blank]), splat(p.class_row.exponent[p.blank])};
    }

    static ELMAN_INLINE Wide skipping(Wide w, const double* skip) { return {w.mantissa, w.exponent + load(skip)}; }

    static ELMAN_INLINE void rescale_all(const Problem& p, long t) {
        if (t % kRescaleSteps != kRescaleSteps - 1) return;
        rescale(p.blanks, p.width);
        rescale(p.labels_row, p.width);
    }

    // False when interrupted.
    static bool forward(const Views& v, const Problem& p, PathSum* sum, long* waiting) {
        double log_totals = 0;
        clear(p);
        p.blanks.set(0, 1, 0);  // before the first step, every path stands at blank 0
        for (long t = 0; t < p.steps; ++t) {
            if (stop_now(v.interrupt, 1, waiting)) return false;
            log_totals += __builtin_log(emit(p, t));
            const Wide p_blank = blank_of(p);
            // Downwards, because place i reads i - 1 of the step before.
            for (long i = p.end_place(t) - kWide; i >= p.first_place(t); i -= kWide) {
                const Wide blank = p.blanks.at(i), label = p.labels_row.at(i), before = p.labels_row.at(i - 1);
                const Wide new_label =
                    product_of(sum_of(sum_of(label, blank), skipping(before, p.skip + i)), p.label_row.at(i));
                const Wide new_blank = product_of(sum_of(blank, before), p_blank);
                p.labels_row.put(i, new_label);
                p.blanks.put(i, new_blank);
                if (v.d_logits) {
                    p.tape_labels(t).put(i, new_label);
                    p.tape_blanks(t).put(i, new_blank);
                }
            }
            rescale_all(p, t);
        }
        const long last = p.labels - 1;  // at -1 stands zero
        const Wide paths = sum_of({splat(p.labels_row.mantissa[last]), splat(p.labels_row.exponent[last])},
                                  {splat(p.blanks.mantissa[p.labels]), splat(p.blanks.exponent[p.labels])});
        *sum = {paths.mantissa[0], paths.exponent[0], log_totals};
        return true;
    }

    // d_logits = factor (p - expected). False when interrupted.
    static bool backward(const Views& v, const Problem& p, PathSum sum, double factor, T* d_logits, long* waiting) {
        const Wide inverse = {splat(1 / sum.mantissa), splat(-sum.exponent)};
        clear(p);
        p.blanks.set(p.labels, 1, 0);  // after the last step, every path stands at blank L
        for (long t = p.steps - 1; t >= 0; --t) {
            if (stop_now(v.interrupt, 1, waiting)) return false;
            const double one_by_total = 1 / emit(p, t);
            const Wide p_blank = blank_of(p);
            Vec<double> at_blank = {};
            const long first = p.first_place(t), end = p.end_place(t);
            // Upwards, because place i reads i + 1 of the step after.
            for (long i = first; i < end; i += kWide) {
                const Wide blank = p.blanks.at(i), label = p.labels_row.at(i);
                const Wide b_blank = sum_of(blank, label);
                const Wide b_label =
                    sum_of(sum_of(label, p.blanks.at(i + 1)), skipping(p.labels_row.at(i + 1), p.skip + i + 1));
                at_blank += share(p.tape_blanks(t).at(i), b_blank, inverse);
                store(p.at_label + i, share(p.tape_labels(t).at(i), b_label, inverse));
                p.blanks.put(i, product_of(b_blank, p_blank));
                p.labels_row.put(i, product_of(b_label, p.label_row.at(i)));
            }
            rescale_all(p, t);
            for (long k = 0; k < p.classes; ++k) p.expected[k] = 0;
            for (long i = first; i < end && i < p.labels; ++i) p.expected[p.label[i]] += p.at_label[i];
            for (int i = 0; i < kWide; ++i) p.expected[p.blank] += at_blank[i];
            T* const d = d_logits + t * p.classes;
            for (long k = 0; k < p.classes; ++k)
                d[k] = static_cast<T>(factor * (p.probability[k] * one_by_total - p.expected[k]));
        }
        return true;
    }

    // The share of the paths that pass here.
    static ELMAN_INLINE Vec<double> share(Wide a, Wide b, Wide inverse) {
        return a.mantissa * b.mantissa * inverse.mantissa * two_to(a.exponent + b.exponent + inverse.exponent);
    }
};

}  // namespace ELMAN_ISA
}  // namespace elman
