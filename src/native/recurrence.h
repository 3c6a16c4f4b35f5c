// A recurrent layer through time: what forward and backward have in common, and the forward pass.
//
// Parts own sequences, not steps: part p takes ranks p, p + parts, p + 2 parts ... and walks them through all time
// with no barrier. Its running sequences are a prefix of its own ranks, because ranks are sorted by length. Where all
// are equally long, it takes as many neighbours, whose rows share no lines of memory with another part's. Only where
// there are fewer sequences than threads does a crew walk the same sequences together (views.h, Crew).
#pragma once

#include "gemm.h"
#include "outer.h"
#include "parts.h"

namespace elman {
namespace ELMAN_ISA {

ELMAN_INLINE long own_count(long ranks, long part, long parts) {
    return ranks > part ? (ranks - part + parts - 1) / parts : 0;
}

// f(j, count) for every whole vector of n numbers and for what is left, where there is no room for padding.
template <class T, class F>
ELMAN_INLINE void each_vector(long n, F f) {
    constexpr long lanes = Lanes<T>::count;
    long j = 0;
    for (; j + lanes <= n; j += lanes) f(j, lanes);
    if (j < n) f(j, n - j);
}

// One crew's walk over its sequences: sizes, places in memory, products.
template <class T>
struct Walk {
    typedef RecurrenceViews<T> Views;

    const Views& v;
    const Crew& crew;
    const CellLayout& cell;
    const long hidden, width, state, state_width;
    const bool neighbours;
    const long first_rank, rank_step, own;
    const long operand_at, product_at;  // blocks of a tape row; of the projection too
    T* left = nullptr;                  // room for the left operand of a product in the weights' format

    Walk(const Views& views, const Crew& who)
        : v(views),
          crew(who),
          cell(v.cell->layout),
          hidden(v.hidden_size),
          width(round_up<T>(hidden)),
          state(v.state_size),
          state_width(round_up<T>(state)),
          neighbours(v.batch.steps > 0 && v.batch.active[v.batch.steps - 1] == v.batch.ranks),
          first_rank(neighbours ? share_of(v.batch.ranks, who.part, who.parts).first : who.part),
          rank_step(neighbours ? 1 : who.parts),
          own(neighbours ? share_of(v.batch.ranks, who.part, who.parts).end - first_rank
                         : own_count(v.batch.ranks, who.part, who.parts)),
          operand_at(v.projected ? cell.tape_blocks : cell.operand_at),
          product_at(v.projected ? cell.grad_blocks : cell.d_product_at) {}

    ELMAN_INLINE bool mine(long i) const { return !crew.barrier || i % crew.members == crew.member; }
    ELMAN_INLINE long rank(long i) const { return first_rank + i * rank_step; }
    ELMAN_INLINE long running(long t) const {
        return neighbours ? own : own_count(v.batch.active[t], crew.part, crew.parts);
    }
    ELMAN_INLINE long tape_row(long t, long i) const { return v.batch.first_row[t] + rank(i); }
    ELMAN_INLINE long value_row(long t, long i) const { return v.batch.first_step[rank(i)] + t; }
    ELMAN_INLINE long sequence(long i) const { return v.batch.sequence[rank(i)]; }
    ELMAN_INLINE T* stats(T* tape) const { return tape + v.stride - round_up<T>(kStats); }
    ELMAN_INLINE bool zoned_h() const { return v.zone_h || v.zone_h_mean != T(0); }
    ELMAN_INLINE bool zoned_c() const { return cell.has_cell_state && (v.zone_c || v.zone_c_mean != T(0)); }
    // How much of the old state stays.
    static ELMAN_INLINE Vec<T> zone(const T* zones, T mean, long at, long n) {
        return zones ? load_part(zones + at, n) : splat(mean);
    }

    // Room for the left operands of one member of a crew, whose longest is k.
    static long left_size(const Views& v, long k) { return v.format ? round_up<T>(kLeftRows * cells(v.format, k)) : 0; }
    T* carve_left(Scratch* scratch, long k) const {
        const long size = left_size(v, k);
        return size ? carve<T>(scratch, crew.members * size) + crew.member * size : nullptr;
    }

    Packed<T> packed(T* data, long k, long columns) const { return {data, k, columns, v.format}; }

    // A product of at most kMaxRows rows; a crew shares its columns out.
    void multiply(long n, const T* const* a, Segments k, const Packed<T>& w, const T* const* init, T* const* c,
                  long columns) const {
        if (crew.members == 1) return product<T>(n, a, k, w, init, c, {0, columns}, left);
        const Share blocks = share_of((columns + block_width<T>() - 1) / block_width<T>(), crew.member, crew.members);
        const long end = blocks.end * block_width<T>();
        product<T>(n, a, k, w, init, c, {blocks.first * block_width<T>(), end < columns ? end : columns}, left);
        meet(crew);
    }

    // After every step: whether the user wants to stop. All members of a crew give the same answer.
    bool stop_after(long rows, long* waiting) const {
        if (!crew.barrier) return stop_now(v.interrupt, rows, waiting);
        if (crew.member == 0 && stop_now(v.interrupt, rows, waiting)) crew.barrier->stop = true;
        meet(crew);
        return crew.barrier->stop;
    }
};

template <class T>
struct ForwardPass : Walk<T> {
    typedef Walk<T> Base;
    using Base::crew, Base::cell, Base::v, Base::hidden, Base::width, Base::state, Base::state_width, Base::own;

    T *h, *fed, *fresh_h, *c_first, *c_now, *fresh_c, *chunk;

    static long longest_left(const RecurrenceViews<T>& v) {
        const long inputs = v.ids ? 0 : v.input_size;
        return inputs > v.hidden_size ? inputs : v.hidden_size;
    }

    static long scratch_bytes(const RecurrenceViews<T>& v, long parts, long members) {
        const long own = own_count(v.batch.ranks, 0, parts), width = round_up<T>(v.hidden_size);
        const long chunk = own > kChunkRows ? own : kChunkRows;
        const long lefts = members * Base::left_size(v, longest_left(v));
        return ((v.gates ? 0 : chunk * v.stride) + own * width * 6 + lefts) * static_cast<long>(sizeof(T)) + 1024;
    }

    ForwardPass(const RecurrenceViews<T>& views, const Crew& who, Scratch scratch) : Base(views, who) {
        h = carve<T>(&scratch, own * state_width);
        fed = v.h_mask ? carve<T>(&scratch, own * state_width) : h;
        fresh_h = this->zoned_h() ? carve<T>(&scratch, own * state_width) : h;
        c_first = cell.has_cell_state ? carve<T>(&scratch, own * width) : nullptr;
        c_now = cell.has_cell_state ? carve<T>(&scratch, own * width) : nullptr;
        fresh_c = this->zoned_c() ? carve<T>(&scratch, own * width) : nullptr;
        chunk = v.gates ? nullptr : carve<T>(&scratch, (own > kChunkRows ? own : kChunkRows) * v.stride);
        this->left = this->carve_left(&scratch, longest_left(v));
    }

    void run() {
        if (own == 0) return;
        if (crew.member == 0) begin();  // the others meet it after the input product
        long waiting = 0;
        for (long first = 0; first < v.batch.steps && this->running(first) > 0;) {
            const long end = chunk_end(first);
            input_product(first, end);
            T* local = chunk;
            for (long t = first; t < end; ++t) {
                const long n = this->running(t);
                for (long done = 0; done < n; done += kMaxRows)
                    step(t, done, n - done < kMaxRows ? n - done : kMaxRows, local);
                local += n * v.stride;
                if (this->stop_after(n, &waiting)) return;
            }
            first = end;
        }
        if (crew.member == 0) finish();
    }

    void begin() {
        for (long i = 0; i < own; ++i) {
            const long s = this->sequence(i);
            const T* first_h = row_or_null(v.h0, s, state);
            const T* first_c = row_or_null(v.c0, s, hidden);
#if ELMAN_MUTANT == 5
            if (cell.has_cell_state && state == hidden) {
                const T* const swapped = first_h;
                first_h = first_c;
                first_c = swapped;
            }
#endif
            copy_padded(h + i * state_width, first_h, state, state_width);
            if (cell.has_cell_state) copy_padded(c_first + i * width, first_c, hidden, width);
            if (v.h_mask) mask(i, h + i * state_width, fed + i * state_width);
        }
    }

    void finish() {
        for (long i = 0; i < own; ++i) {
            const long s = this->sequence(i);
            memcpy(v.h_last + s * state, h + i * state_width, sizeof(T) * static_cast<size_t>(state));
            if (cell.has_cell_state) memcpy(v.c_last + s * hidden, last_c(i), sizeof(T) * static_cast<size_t>(hidden));
        }
    }

    // Steps [t, end) whose rows number at most kChunkRows (at least one step).
    long chunk_end(long t) const {
        long rows = this->running(t), end = t + 1;
        while (end < v.batch.steps) {
            rows += this->running(end);
            if (rows > kChunkRows) break;
            ++end;
        }
        return end;
    }

    void mask(long i, const T* from, T* to) const {
        const T* const factors = v.h_mask + this->sequence(i) * state;
        each_vector<T>(
            state, [=](long j, long n) { store_part(to + j, load_part(from + j, n) * load_part(factors + j, n), n); });
    }

    ELMAN_INLINE T* tape_of(long t, long i, T* local) const {
        return v.gates ? v.gates + this->tape_row(t, i) * v.stride : local + i * v.stride;
    }

    // a_x = W x + b for the rows of steps [first, end), into the tape or the chunk.
    void input_product(long first, long end) const {
        const long columns = cell.gates * width;
        const Packed<T> input = this->packed(v.packed.input, v.input_size, columns);
        const Segments k{1, v.input_size, 0};
        const T* x[kMaxRows];
        const T* start[kMaxRows];
        T* gate[kMaxRows];
        long waiting = 0;
        T* local = chunk;
        for (long t = first; t < end; ++t) {
            const long n = this->running(t);
            for (long i = 0; i < n; ++i) {
                T* const row = tape_of(t, i, local);
                const long value = this->value_row(t, i);
                if (cell.recurrent_bias && this->mine(i))
                    memcpy(row + columns, v.packed.extras, sizeof(T) * static_cast<size_t>(width));
                if (v.ids) {
                    if (this->mine(i))
                        memcpy(row, v.packed.table + v.ids[value] * columns, sizeof(T) * static_cast<size_t>(columns));
                    continue;
                }
                x[waiting] = v.x + value * v.input_size;
                fetch_ahead(x[waiting], v.input_size);
                start[waiting] = v.packed.start;
                gate[waiting] = row;
                if (++waiting == kMaxRows) {
                    this->multiply(waiting, x, k, input, start, gate, columns);
                    waiting = 0;
                }
            }
            local += n * v.stride;
        }
        if (waiting) this->multiply(waiting, x, k, input, start, gate, columns);
        if (v.ids) meet(crew);  // a product ends so by itself
    }

    // One step of `rows` sequences from `done` on.
    void step(long t, long done, long rows, T* local) const {
        const Packed<T> recurrent = this->packed(v.packed.recurrent, state, cell.state_gates * width);
        const T* operand[kMaxRows];
        T* tape[kMaxRows];
        T* target[kMaxRows];
        for (long i = 0; i < rows; ++i) {
            tape[i] = tape_of(t, done + i, local);
            target[i] = tape[i] + cell.state_at * width;
            operand[i] = fed + (done + i) * state_width;
        }
        this->multiply(rows, operand, Segments{1, state, 0}, recurrent, cell.normalised ? nullptr : target, target,
                       recurrent.columns);
        const bool two_products = v.projected || cell.second_gate >= 0;
        for (long i = 0; i < rows; ++i) {
            if (!this->mine(i)) continue;
            v.cell->first(v.constants, row_of(t, done + i, tape[i]));
            if (!two_products) end_of_step(t, done + i);
        }
        if (two_products) {
            meet(crew);
            second_product(t, done, rows, tape);
        }
    }

    void second_product(long t, long done, long rows, T* const* tape) const {
        const T* operand[kMaxRows];
        T* target[kMaxRows];
        for (long i = 0; i < rows; ++i) {
            T* const made = tape[i] + this->operand_at * width;
            operand[i] = made;
            target[i] = v.projected ? fresh_h + (done + i) * state_width : tape[i] + cell.product_at * width;
            if (v.h_mask && !v.projected && this->mine(i)) mask(done + i, made, made);
        }
        if (v.h_mask) meet(crew);
        const Packed<T> w = this->packed(v.packed.second, hidden, v.projected ? state_width : width);
        const bool from_zero = v.projected || cell.normalised;
        this->multiply(rows, operand, Segments{1, hidden, 0}, w, from_zero ? nullptr : target, target, w.columns);
        for (long i = 0; i < rows; ++i) {
            if (!this->mine(i)) continue;
            if (!v.projected) v.cell->second(v.constants, row_of(t, done + i, tape[i]));
            end_of_step(t, done + i);
        }
    }

    ELMAN_INLINE T* c_of(long t, long i) const {
        return v.cells ? v.cells + this->tape_row(t, i) * width : c_now + i * width;
    }
    ELMAN_INLINE const T* c_before(long t, long i) const { return t == 0 ? c_first + i * width : c_of(t - 1, i); }

    const T* last_c(long i) const {
        if (v.batch.active[0] <= this->rank(i)) return c_first + i * width;
        long t = 0;  // the last step that this rank runs
        for (long low = 0, high = v.batch.steps; low < high;) {
            const long middle = (low + high) / 2;
            if (v.batch.active[middle] > this->rank(i)) {
                t = middle;
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        return c_of(t, i);
    }

    ELMAN_INLINE StepRow<T> row_of(long t, long i, T* tape) const {
        StepRow<T> row{};
        row.tape = tape;
        row.stats = this->stats(tape);
        row.h_prev = h + i * state_width;
        row.h = v.projected ? tape + this->operand_at * width : fresh_h + i * state_width;
        if (cell.has_cell_state) {
            row.c_prev = c_before(t, i);
            row.c = fresh_c ? fresh_c + i * width : c_of(t, i);
        }
        return row;
    }

    // The new state is there: zoneout, the output, what the next product is fed with.
    ELMAN_INLINE void end_of_step(long t, long i) const {
        T* const h_i = h + i * state_width;
        const long value = this->value_row(t, i);
        if (fresh_h != h) {
            const T* const fresh = fresh_h + i * state_width;
            each_vector<T>(state, [&](long j, long n) {
                const Vec<T> made = load_part(fresh + j, n);
                const Vec<T> stays = Base::zone(v.zone_h, v.zone_h_mean, value * state + j, n);
                store_part(h_i + j, fma(stays, load_part(h_i + j, n) - made, made), n);
            });
        }
        if (fresh_c) {
            const T *const fresh = fresh_c + i * width, *const before = c_before(t, i);
            T* const c = c_of(t, i);
            each_vector<T>(hidden, [&](long j, long n) {
                const Vec<T> made = load_part(fresh + j, n);
                const Vec<T> stays = Base::zone(v.zone_c, v.zone_c_mean, value * hidden + j, n);
                store_part(c + j, fma(stays, load_part(before + j, n) - made, made), n);
            });
            memset(c + hidden, 0, sizeof(T) * static_cast<size_t>(width - hidden));  // the next step reads it
        }
        memcpy(v.y + value * state, h_i, sizeof(T) * static_cast<size_t>(state));
        __builtin_prefetch(v.y + (value + 1) * state, 1);
        if (v.h_mask) mask(i, h_i, fed + i * state_width);
    }
};

}  // namespace ELMAN_ISA
}  // namespace elman
