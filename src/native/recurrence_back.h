// A recurrent layer back through time: from the gradients of y and of the last state to those of every product.
//
// One call goes back through one block of steps. Between two blocks recurrence_weights.h takes the gradients of the
// weights from the block's da, which so needs room for one block only and is read again while a cache still holds it.
#pragma once

#include "recurrence.h"

namespace elman {
namespace ELMAN_ISA {

// Sums of extra parameters' gradients are taken over so many steps before they join the total, so that rounding errors
// do not pile up over long sequences.
constexpr long kSumSteps = 128;

template <class T>
struct BackwardPass : Walk<T> {
    typedef Walk<T> Base;
    using Base::crew, Base::cell, Base::v, Base::hidden, Base::width, Base::state, Base::state_width, Base::own;

    const RecurrenceGradients<T>& g;
    T *stay_h, *stay_c, *through, *h_prev, *c_first;

    static long longest_left(const RecurrenceViews<T>& v) { return v.cell->layout.gates * v.hidden_size; }

    static long scratch_bytes(const RecurrenceViews<T>& v, long parts, long members) {
        const long own = own_count(v.batch.ranks, 0, parts), width = round_up<T>(v.hidden_size);
        const long lefts = members * Base::left_size(v, longest_left(v));
        return ((own * 2 + kMaxRows + 2 * kMostMembers) * width + lefts) * static_cast<long>(sizeof(T)) + 1024;
    }

    BackwardPass(const RecurrenceViews<T>& views, const RecurrenceGradients<T>& gradients, const Crew& who,
                 Scratch scratch)
        : Base(views, who), g(gradients) {
        stay_h = this->zoned_h() ? carve<T>(&scratch, own * state_width) : nullptr;
        stay_c = this->zoned_c() ? carve<T>(&scratch, own * width) : nullptr;
        through = carve<T>(&scratch, kMaxRows * width);
        h_prev = carve<T>(&scratch, kMostMembers * width) + crew.member * width;
        c_first = carve<T>(&scratch, kMostMembers * width) + crew.member * width;
        this->left = this->carve_left(&scratch, longest_left(v));
    }

    void run() {
        if (own == 0) return;
#if ELMAN_MUTANT == 11
        if (crew.member == 0) begin();
#else
        if (crew.member == 0 && g.block.end == v.batch.steps) begin();
#endif
        meet(crew);
        long waiting = 0;
        Dx dx(*this);
        for (long t = g.block.end - 1; t >= g.block.first; --t) {
            const long n = this->running(t);
            for (long done = 0; done < n; done += kMaxRows) {
                const long rows = n - done < kMaxRows ? n - done : kMaxRows;
                step(t, done, rows);
                if (g.dx && !crew.barrier)
                    for (long i = 0; i < rows; ++i) dx.add(t, done + i);
            }
            if (t % kSumSteps == 0) gather_sums(n);
            if (this->stop_after(n, &waiting)) return;
        }
        if (g.dx && crew.barrier)  // each member takes its share of the steps
            for (long t = g.block.first; t < g.block.end; ++t)
                for (long i = 0, n = this->running(t); i < n; ++i)
                    if ((t + i) % crew.members == crew.member) {
                        dx.add(t, i);
                        if (stop_now(v.interrupt, 1, &waiting)) return;  // nobody waits for anybody any more
                    }
        dx.flush();
        if (crew.member == 0 && g.block.first == 0) finish();
    }

    void begin() {
        for (long i = 0; i < own; ++i) {  // what the last state is given; each enters at its own last step
            const long s = this->sequence(i);
            copy_padded(dh_of(i), row_or_null(g.dh_last, s, state), state, state_width);
            if (cell.has_cell_state) copy_padded(dc_of(i), row_or_null(g.dc_last, s, hidden), hidden, width);
            if (cell.extras) memset(sums(i), 0, sizeof(T) * static_cast<size_t>(2 * cell.extras * width));
        }
    }

    void finish() {
        for (long i = 0; i < own; ++i) {
            const long s = this->sequence(i);
            if (g.dh0) memcpy(g.dh0 + s * state, dh_of(i), sizeof(T) * static_cast<size_t>(state));
            if (cell.has_cell_state && g.dc0)
                memcpy(g.dc0 + s * hidden, dc_of(i), sizeof(T) * static_cast<size_t>(hidden));
        }
    }

    ELMAN_INLINE T* dh_of(long i) const { return g.dh_carried + this->rank(i) * state_width; }
    ELMAN_INLINE T* dc_of(long i) const { return g.dc_carried + this->rank(i) * width; }
    ELMAN_INLINE T* sums(long i) const { return g.sums + this->rank(i) * 2 * cell.extras * width; }

    void gather_sums(long n) const {
        const long count = cell.extras * width;
        for (long i = 0; i < n; ++i) {
            if (!this->mine(i)) continue;
            T *const recent = sums(i), *const total = recent + count;
            for (long j = 0; j < count; j += Lanes<T>::count) {
                store(total + j, load(total + j) + load(recent + j));
                store(recent + j, Vec<T>{});
            }
        }
    }

    ELMAN_INLINE T* da_of(long t, long i) const {
        return g.da + (this->tape_row(t, i) - v.batch.first_row[g.block.first]) * v.grad_stride;
    }

    ELMAN_INLINE BackRow<T> row_of(long t, long i) const {
        BackRow<T> row{};
        const long at = this->tape_row(t, i), s = this->sequence(i);
        row.tape = v.gates + at * v.stride;
        row.stats = this->stats(v.gates + at * v.stride);
        row.da = da_of(t, i);
        row.dh = dh_of(i);
        row.dc = dc_of(i);
        if (cell.extras) row.sums = sums(i);
        if (cell.has_cell_state) {
            if (t == 0) copy_padded(c_first, row_or_null(v.c0, s, hidden), hidden, width);
            row.c_prev = t == 0 ? c_first : v.cells + this->tape_row(t - 1, i) * width;
        }
        if (cell.needs_h_prev) {
            const T* const from = t > 0 ? v.y + (this->value_row(t, i) - 1) * state : row_or_null(v.h0, s, state);
            const bool whole = from && state == width;  // no padding is missing
            if (!whole) copy_padded(h_prev, from, state, width);
            row.h_prev = whole ? from : h_prev;
        }
        return row;
    }

    // One step of `rows` sequences from `done` on.
    void step(long t, long done, long rows) const {
        for (long i = 0; i < rows; ++i) {
            if (!this->mine(i)) continue;
            arrive(t, done + i);
            if (cell.second_gate >= 0) v.cell->second_back(v.constants, row_of(t, done + i));
        }
        const bool two_products = v.projected || cell.second_gate >= 0;
        if (two_products) {
            meet(crew);
            operand_gradient(t, done, rows);
        }
        const T* d_product[kMaxRows];
        T* carry[kMaxRows];
        T* target[kMaxRows];
        for (long i = 0; i < rows; ++i) {
            carry[i] = dh_of(done + i);
            target[i] = v.h_mask ? through + i * width : carry[i];
            d_product[i] = da_of(t, done + i) + cell.d_state_at * width;
            if (!this->mine(i)) continue;
            BackRow<T> row = row_of(t, done + i);
            if (v.projected) row.dh = through + i * width;
            row.d_operand = through + i * width;
            v.cell->first_back(v.constants, row);
            stay(done + i);
#if ELMAN_MUTANT == 1
            if (t == 0) memset(row.da, 0, sizeof(T) * static_cast<size_t>(v.grad_stride));
#endif
        }
        meet(crew);
        const bool carries = cell.carries_dh || stay_h;  // something comes to the old h beside the product
#if ELMAN_MUTANT == 4
        for (long i = 0; i < rows; ++i) memset(carry[i], 0, sizeof(T) * static_cast<size_t>(state_width));
        return (void)(carries || target[0] || d_product[0]);
#endif
        const Packed<T> back = this->packed(v.packed.recurrent_back, cell.state_gates * hidden, state_width);
        this->multiply(rows, d_product, Segments{cell.state_gates, hidden, width}, back,
                       carries && !v.h_mask ? carry : nullptr, target, state_width);
        if (v.h_mask)
            for (long i = 0; i < rows; ++i)
                if (this->mine(i)) unmask(done + i, target[i], carries ? carry[i] : nullptr, carry[i]);
    }

    // dh so far is what the next step handed back: add dy, and set aside what zoneout hands straight to the old state.
    ELMAN_INLINE void arrive(long t, long i) const {
        const long value = this->value_row(t, i);
        T *const d = dh_of(i), *const d_c = dc_of(i);
        if (g.dy) {  // d has room for the padding, dy has not
            const T* const dy = g.dy + value * state;
            // The next step's: waiting for it took a tenth of the time at 16 units.
            fetch_ahead(dy - (t > 0 ? state : 0), state);
            each_vector<T>(state, [=](long j, long n) { store(d + j, load(d + j) + load_part(dy + j, n)); });
        }
        if (g.dh) memcpy(g.dh + value * state, d, sizeof(T) * static_cast<size_t>(state));
        if (stay_h) set_aside(state, v.zone_h, v.zone_h_mean, value, d, stay_h + i * state_width);
        if (stay_c) set_aside(hidden, v.zone_c, v.zone_c_mean, value, d_c, stay_c + i * width);
        if (v.projected) copy_padded(da_of(t, i) + this->product_at * width, d, state, width);
    }

    static void set_aside(long size, const T* zones, T mean, long value, T* d, T* stays) {
        each_vector<T>(size, [=](long j, long n) {
            const Vec<T> all = load_part(d + j, n), part = Base::zone(zones, mean, value * size + j, n) * all;
            store_part(stays + j, part, n);
            store_part(d + j, all - part, n);
        });
    }

    // What was set aside joins what the cell hands to the old state.
    ELMAN_INLINE void stay(long i) const {
        T *const d = dh_of(i), *const d_c = dc_of(i);
        const T *const h_stays = stay_h + i * state_width, *const c_stays = stay_c + i * width;
        const bool carries = cell.carries_dh;
        if (stay_h)
            each_vector<T>(state, [=](long j, long n) {
                store_part(d + j, carries ? load_part(d + j, n) + load_part(h_stays + j, n) : load_part(h_stays + j, n),
                           n);
            });
        if (stay_c)
            each_vector<T>(hidden, [=](long j, long n) {
#if ELMAN_MUTANT == 8
                store_part(d_c + j, load_part(d_c + j, n) + T(0) * load_part(c_stays + j, n), n);
#else
                store_part(d_c + j, load_part(d_c + j, n) + load_part(c_stays + j, n), n);
#endif
            });
    }

    // to = base (if any) + mask · from.
    void unmask(long i, const T* from, const T* base, T* to) const {
        const T* const factors = v.h_mask + this->sequence(i) * state;
        each_vector<T>(state, [=](long j, long n) {
#if ELMAN_MUTANT == 7
            const Vec<T> part = load_part(from + j, n) + T(0) * load_part(factors + j, n);
#else
            const Vec<T> part = load_part(from + j, n) * load_part(factors + j, n);
#endif
            store_part(to + j, base ? load_part(base + j, n) + part : part, n);
        });
    }

    // `through` = gradient of the operand, from that of the second product.
    void operand_gradient(long t, long done, long rows) const {
        const T* d_product[kMaxRows];
        T* target[kMaxRows];
        for (long i = 0; i < rows; ++i) {
            d_product[i] = da_of(t, done + i) + this->product_at * width;
            target[i] = through + i * width;
        }
        const long k = v.projected ? state : hidden;
        this->multiply(rows, d_product, Segments{1, k, 0}, this->packed(v.packed.second_back, k, width), nullptr,
                       target, width);
        if (!v.h_mask || v.projected) return;
        for (long i = 0; i < rows; ++i)
            if (this->mine(i)) unmask(done + i, target[i], nullptr, target[i]);
    }

    // dx = d_ax · W, as soon as there are rows enough for a good product.
    struct Dx {
        const BackwardPass& pass;
        const Packed<T> input_back;
        long waiting = 0;
        const T* from[kMaxRows];
        T* to[kMaxRows];

        explicit Dx(const BackwardPass& whole)
            : pass(whole),
              input_back(whole.packed(whole.v.packed.input_back, whole.cell.gates * whole.hidden,
                                      round_up<T>(whole.v.input_size))) {}

        void add(long t, long i) {
            from[waiting] = pass.da_of(t, i);
            to[waiting] = pass.g.dx + pass.value_row(t, i) * pass.v.input_size;
            if (++waiting == kMaxRows) flush();
        }

        void flush() {
            if (waiting)
                product<T>(waiting, from, Segments{pass.cell.gates, pass.hidden, pass.width}, input_back, nullptr, to,
                           {0, pass.v.input_size}, pass.left);
            waiting = 0;
        }
    };
};

}  // namespace ELMAN_ISA
}  // namespace elman
