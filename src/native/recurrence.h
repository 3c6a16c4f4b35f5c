// A recurrent layer through time, forward and backward, for one part (thread) of a ragged batch.
//
// Parts own sequences, not steps: part p takes ranks p, p + parts, p + 2 parts ... and walks them through all time
// with no barrier. Its running sequences are a prefix of its own ranks, because ranks are sorted by length.
#pragma once

#include "outer.h"
#include "views.h"

namespace elman {
namespace ELMAN_ISA {

// Rows of input product made at once: enough to reuse the input weights, few enough to stay in the second cache.
constexpr long kChunkRows = 96;

ELMAN_INLINE long own_count(long ranks, long part, long parts) {
    return ranks > part ? (ranks - part + parts - 1) / parts : 0;
}

// Look at the interrupt flag after every 1024 rows of work or so; `waiting` counts them.
ELMAN_INLINE bool stop_now(const Interrupt& interrupt, long rows, long* waiting) {
    *waiting += rows;
    if (*waiting < 1024) return false;
    *waiting = 0;
    if (interrupt.ask && interrupt.ask()) __atomic_store_n(interrupt.stop, true, __ATOMIC_RELAXED);
    return __atomic_load_n(interrupt.stop, __ATOMIC_RELAXED);
}

template <class T>
ELMAN_INLINE T* carve(Scratch* scratch, long count) {
    T* p = reinterpret_cast<T*>(scratch->at);
    scratch->at += (count * static_cast<long>(sizeof(T)) + 63) / 64 * 64;
    return p;
}

template <class T>
ELMAN_INLINE void copy_padded(T* to, const T* from, long n, long padded) {
    if (from)
        memcpy(to, from, sizeof(T) * static_cast<size_t>(n));
    else
        memset(to, 0, sizeof(T) * static_cast<size_t>(n));
    memset(to + n, 0, sizeof(T) * static_cast<size_t>(padded - n));
}

template <class T>
ELMAN_INLINE const T* row_or_null(const T* array, long row, long width) {
    return array ? array + row * width : nullptr;
}

// Steps [t, end) whose rows for this part number at most kChunkRows (at least one step).
ELMAN_INLINE long chunk_end(const Batch& batch, long t, long part, long parts) {
    long rows = own_count(batch.active[t], part, parts), end = t + 1;
    while (end < batch.steps) {
        rows += own_count(batch.active[end], part, parts);
        if (rows > kChunkRows) break;
        ++end;
    }
    return end;
}

template <class T, class C>
struct Recurrence {
    typedef RecurrenceViews<T> Views;
    typedef RecurrenceGradients<T> Gradients;
    static constexpr long lanes = Lanes<T>::count;

    static void pack(const Views& v, const T* weight_ih, const T* weight_hh, const T* bias, const T* bias_hn) {
        const long hidden = v.hidden_size, width = round_up<T>(hidden), inputs = v.input_size;
        const Packed<T> input{v.packed.input, inputs, C::gates * width},
            recurrent{v.packed.recurrent, hidden, C::gates * width};
        const Packed<T> recurrent_back{v.packed.recurrent_back, C::gates * hidden, width};
        const Packed<T> input_back{v.packed.input_back, C::gates * hidden, round_up<T>(inputs)};
        for (int b = 0; b < C::gates; ++b) {
            const T* from_input = weight_ih + C::input_gates[b] * hidden * inputs;
            const T* from_recurrent = weight_hh + C::recurrent_gates[b] * hidden * hidden;
            if (input.data) pack_rows_as_columns(input, b * width, from_input, hidden, inputs, inputs);
            pack_rows_as_columns(recurrent, b * width, from_recurrent, hidden, hidden, hidden);
            pack_rows(recurrent_back, b * hidden, from_recurrent, hidden, hidden, hidden);
            if (input_back.data) pack_rows(input_back, b * hidden, from_input, hidden, inputs, inputs);
            memcpy(v.packed.bias + b * width, bias + C::input_gates[b] * hidden,
                   sizeof(T) * static_cast<size_t>(hidden));
        }
        if (bias_hn) memcpy(v.packed.bias_recurrent, bias_hn, sizeof(T) * static_cast<size_t>(hidden));
    }

    // Rows of the table for these ids: b + column `id` of W, which is what W x + b is for a one-hot x.
    static void fill_table(const Views& v, const T* weight_ih, T* table, const int64_t* ids, long count, long part,
                           long parts) {
        const long hidden = v.hidden_size, width = round_up<T>(hidden);
        const Share own = share_of(count, part, parts);
        for (long k = own.first; k < own.end; ++k) {
            T* const row = table + ids[k] * C::gates * width;
            for (int b = 0; b < C::gates; ++b) {
                const T* const from = weight_ih + C::input_gates[b] * hidden * v.input_size + ids[k];
                for (long j = 0; j < hidden; ++j)
                    row[b * width + j] = v.packed.bias[b * width + j] + from[j * v.input_size];
            }
        }
    }

    // ------------------------------------------------------------------------------------------------------ forward

    static long forward_scratch(const Views& v, long parts) {
        const long own = own_count(v.batch.ranks, 0, parts), width = round_up<T>(v.hidden_size);
        const long chunk = own > kChunkRows ? own : kChunkRows;
        const long rows = (v.gates ? 0 : chunk * C::blocks) + own * (C::has_cell_state ? 3 : 1);
        return rows * width * static_cast<long>(sizeof(T)) + 1024;
    }

    static void forward(const Views& v, long part, long parts, Scratch scratch) {
        const Batch& batch = v.batch;
        const long hidden = v.hidden_size, width = round_up<T>(hidden), stride = C::blocks * width;
        const long own = own_count(batch.ranks, part, parts);
        if (own == 0) return;
        T* const h = carve<T>(&scratch, own * width);
        T* const c_first = C::has_cell_state ? carve<T>(&scratch, own * width) : nullptr;
        T* const c_now = C::has_cell_state ? carve<T>(&scratch, own * width) : nullptr;
        const long chunk_rows = own > kChunkRows ? own : kChunkRows;
        T* const chunk = v.gates ? nullptr : carve<T>(&scratch, chunk_rows * stride);
        for (long i = 0; i < own; ++i) {
            const long sequence = batch.sequence[part + i * parts];
#if ELMAN_MUTANT == 5
            copy_padded(h + i * width, row_or_null(C::has_cell_state ? v.c0 : v.h0, sequence, hidden), hidden, width);
            if (C::has_cell_state) copy_padded(c_first + i * width, row_or_null(v.h0, sequence, hidden), hidden, width);
#else
            copy_padded(h + i * width, row_or_null(v.h0, sequence, hidden), hidden, width);
            if (C::has_cell_state) copy_padded(c_first + i * width, row_or_null(v.c0, sequence, hidden), hidden, width);
#endif
        }
        const Packed<T> recurrent{v.packed.recurrent, hidden, C::gates * width};

        long waiting = 0;
        for (long first = 0; first < batch.steps;) {
            const long end = chunk_end(batch, first, part, parts);
            if (own_count(batch.active[first], part, parts) == 0) break;
            input_product(v, part, parts, first, end, chunk);
            T* local = chunk;
            for (long t = first; t < end; ++t) {
                const long n = own_count(batch.active[t], part, parts);
                for (long done = 0; done < n; done += kMaxRows) {
                    const long rows = n - done < kMaxRows ? n - done : kMaxRows;
                    const T* state[kMaxRows];
                    T* gate[kMaxRows];
                    T* target[kMaxRows];
                    for (long i = 0; i < rows; ++i) {
                        gate[i] = v.gates ? v.gates + tape_row(batch, t, part, parts, done + i) * stride
                                          : local + (done + i) * stride;
                        target[i] = gate[i] + C::first_recurrent * width;
                        state[i] = h + (done + i) * width;
                    }
                    rows_times<T>(rows, state, Segments{1, hidden, 0}, recurrent, target, target, C::gates * width);
                    for (long i = 0; i < rows; ++i)
                        advance(v, part, parts, t, done + i, gate[i], h + (done + i) * width, c_first, c_now);
                }
                local += n * stride;
                if (stop_now(v.interrupt, n, &waiting)) return;
            }
            first = end;
        }
        for (long i = 0; i < own; ++i) {
            const long rank = part + i * parts, sequence = batch.sequence[rank];
            const size_t bytes = sizeof(T) * static_cast<size_t>(hidden);
            memcpy(v.h_last + sequence * hidden, h + i * width, bytes);
            if (C::has_cell_state) {
                const T* c = last_c(v, i, part, parts, c_first, c_now);
                memcpy(v.c_last + sequence * hidden, c, bytes);
            }
        }
    }

    static ELMAN_INLINE long tape_row(const Batch& batch, long t, long part, long parts, long i) {
        return batch.first_row[t] + part + i * parts;
    }

    static const T* last_c(const Views& v, long i, long part, long parts, const T* c_first, const T* c_now) {
        const Batch& batch = v.batch;
        const long width = round_up<T>(v.hidden_size), rank = part + i * parts;
        if (batch.active[0] <= rank) return c_first + i * width;
        if (!v.cells) return c_now + i * width;
        long t = 0;  // the last step that this rank runs
        for (long low = 0, high = batch.steps; low < high;) {
            const long middle = (low + high) / 2;
            if (batch.active[middle] > rank) {
                t = middle;
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        return v.cells + tape_row(batch, t, part, parts, i) * width;
    }

    // a_x = W x + b for the rows of steps [first, end), into the tape or the chunk.
    static void input_product(const Views& v, long part, long parts, long first, long end, T* chunk) {
        const Batch& batch = v.batch;
        const long width = round_up<T>(v.hidden_size), stride = C::blocks * width;
        const Packed<T> input{v.packed.input, v.input_size, C::gates * width};
        const T* x[kMaxRows];
        const T* bias[kMaxRows];
        T* gate[kMaxRows];
        long waiting = 0;
        T* local = chunk;
        for (long t = first; t < end; ++t) {
            const long n = own_count(batch.active[t], part, parts);
            for (long i = 0; i < n; ++i) {
                T* const row = v.gates ? v.gates + tape_row(batch, t, part, parts, i) * stride : local + i * stride;
                const long value = batch.first_step[part + i * parts] + t;
                if (v.ids) {
                    memcpy(row, v.packed.table + v.ids[value] * C::gates * width,
                           sizeof(T) * static_cast<size_t>(C::gates * width));
                } else {
                    x[waiting] = v.x + value * v.input_size;
                    bias[waiting] = v.packed.bias;
                    gate[waiting] = row;
                    if (++waiting == kMaxRows) {
                        rows_times<T>(waiting, x, Segments{1, v.input_size, 0}, input, bias, gate, C::gates * width);
                        waiting = 0;
                    }
                }
                if (C::blocks > C::gates)
                    memcpy(row + C::gates * width, v.packed.bias_recurrent, sizeof(T) * static_cast<size_t>(width));
            }
            local += n * stride;
        }
        if (waiting) rows_times<T>(waiting, x, Segments{1, v.input_size, 0}, input, bias, gate, C::gates * width);
    }

    static ELMAN_INLINE void advance(const Views& v, long part, long parts, long t, long i, T* gate, T* h,
                                     const T* c_first, T* c_now) {
        const long hidden = v.hidden_size, width = round_up<T>(hidden);
        const T* c_prev = nullptr;
        T* c = nullptr;
        if (C::has_cell_state) {
            c = v.cells ? v.cells + tape_row(v.batch, t, part, parts, i) * width : c_now + i * width;
            if (t == 0)
                c_prev = c_first + i * width;
            else
                c_prev = v.cells ? v.cells + tape_row(v.batch, t - 1, part, parts, i) * width : c;
        }
        for (long j = 0; j < width; j += lanes) C::forward(gate, width, j, h, c_prev, h, c);
        memcpy(v.y + (v.batch.first_step[part + i * parts] + t) * hidden, h, sizeof(T) * static_cast<size_t>(hidden));
    }

    // ----------------------------------------------------------------------------------------------------- backward

    static long backward_scratch(const Views& v, long parts) {
        const long own = own_count(v.batch.ranks, 0, parts), width = round_up<T>(v.hidden_size);
        return (own * 2 + 2) * width * static_cast<long>(sizeof(T)) + 1024;
    }

    static void backward(const Views& v, const Gradients& g, long part, long parts, Scratch scratch) {
        const Batch& batch = v.batch;
        const long hidden = v.hidden_size, width = round_up<T>(hidden), stride = C::blocks * width;
        const long own = own_count(batch.ranks, part, parts);
        if (own == 0) return;
        T* const dh = carve<T>(&scratch, own * width);
        T* const dc = carve<T>(&scratch, own * width);
        T* const h_prev = carve<T>(&scratch, width);
        T* const c_first = carve<T>(&scratch, width);
        const Packed<T> back{v.packed.recurrent_back, C::gates * hidden, width};
        const Segments through_gates{C::gates, hidden, width};
        for (long i = 0; i < own;
             ++i) {  // what the last state of each sequence is given; each enters at its own last step
            const long sequence = batch.sequence[part + i * parts];
            copy_padded(dh + i * width, row_or_null(g.dh_last, sequence, hidden), hidden, width);
            if (C::has_cell_state) copy_padded(dc + i * width, row_or_null(g.dc_last, sequence, hidden), hidden, width);
        }
        long waiting = 0;
        long dx_rows = 0;
        const T* dx_from[kMaxRows];
        T* dx_to[kMaxRows];
        const Packed<T> input_back{v.packed.input_back, C::gates * hidden, round_up<T>(v.input_size)};

        for (long t = batch.steps - 1; t >= 0; --t) {
            const long n = own_count(batch.active[t], part, parts);
            for (long done = 0; done < n; done += kMaxRows) {
                const long rows = n - done < kMaxRows ? n - done : kMaxRows;
                const T* da[kMaxRows];
                T* carry[kMaxRows];
                for (long i = 0; i < rows; ++i) {
                    const long row = tape_row(batch, t, part, parts, done + i);
                    carry[i] = dh + (done + i) * width;
                    retreat(v, g, part, parts, t, done + i, carry[i], dc + (done + i) * width, h_prev, c_first);
                    da[i] = g.da + row * stride + C::first_recurrent * width;
                    if (g.dx) {
                        dx_from[dx_rows] = g.da + row * stride;
                        dx_to[dx_rows] = g.dx + (batch.first_step[part + (done + i) * parts] + t) * v.input_size;
                        if (++dx_rows == kMaxRows) {
                            rows_times<T>(dx_rows, dx_from, through_gates, input_back, nullptr, dx_to, v.input_size);
                            dx_rows = 0;
                        }
                    }
                }
#if ELMAN_MUTANT == 4
                for (long i = 0; i < rows; ++i) memset(carry[i], 0, sizeof(T) * static_cast<size_t>(width));
#else
                rows_times<T>(rows, da, through_gates, back, C::carries_dh ? carry : nullptr, carry, width);
#endif
            }
            if (stop_now(v.interrupt, n, &waiting)) return;
        }
        if (dx_rows) rows_times<T>(dx_rows, dx_from, through_gates, input_back, nullptr, dx_to, v.input_size);
        for (long i = 0; i < own; ++i) {
            const long sequence = batch.sequence[part + i * parts];
            const size_t bytes = sizeof(T) * static_cast<size_t>(hidden);
            if (g.dh0) memcpy(g.dh0 + sequence * hidden, dh + i * width, bytes);
            if (C::has_cell_state && g.dc0) memcpy(g.dc0 + sequence * hidden, dc + i * width, bytes);
        }
    }

    // One row of one step: dh (what the next step handed back) plus dy -> da, and what passes straight to h_prev.
    static ELMAN_INLINE void retreat(const Views& v, const Gradients& g, long part, long parts, long t, long i, T* dh,
                                     T* dc, T* h_prev, T* c_first) {
        const Batch& batch = v.batch;
        const long hidden = v.hidden_size, width = round_up<T>(hidden), stride = C::blocks * width;
        const long rank = part + i * parts, value = batch.first_step[rank] + t,
                   row = tape_row(batch, t, part, parts, i);
        const long whole = hidden / lanes * lanes;
        if (g.dy) {
            const T* dy = g.dy + value * hidden;
            for (long j = 0; j < whole; j += lanes) store(dh + j, load(dh + j) + load(dy + j));
            if (whole < hidden) store(dh + whole, load(dh + whole) + load_part(dy + whole, hidden - whole));
        }
        if (g.dh) memcpy(g.dh + value * hidden, dh, sizeof(T) * static_cast<size_t>(hidden));
        const T* c = nullptr;
        const T* c_prev = nullptr;
        if (C::has_cell_state) {
            c = v.cells + row * width;
            if (t == 0) copy_padded(c_first, row_or_null(v.c0, batch.sequence[rank], hidden), hidden, width);
            c_prev = t == 0 ? c_first : v.cells + tape_row(batch, t - 1, part, parts, i) * width;
        }
        if (C::needs_h_prev)
            copy_padded(h_prev, t > 0 ? v.y + (value - 1) * hidden : row_or_null(v.h0, batch.sequence[rank], hidden),
                        hidden, width);
        const T* tape = v.gates + row * stride;
        T* const da = g.da + row * stride;
        for (long j = 0; j < width; j += lanes) C::backward(tape, da, width, j, h_prev, c, c_prev, dh, dc);
#if ELMAN_MUTANT == 1
        if (t == 0) memset(da, 0, sizeof(T) * static_cast<size_t>(stride));
#endif
    }

    // ---------------------------------------------------------------------------------------------- weight gradients

    static long weights_scratch(const Views& v) {
        return outer_scratch<T>(v.ids ? 0 : v.input_size) + outer_scratch<T>(v.hidden_size) + outer_scratch<T>(lanes) +
               round_up<T>(v.hidden_size) * C::blocks * static_cast<long>(sizeof(T)) * 2 + 1024;
    }

    // Panels of `lanes` columns of da are shared out; each is summed over all rows by one part, in the tape's order.
    static void weights(const Views& v, const Gradients& g, long part, long parts, Scratch scratch) {
        const Batch& batch = v.batch;
        const long hidden = v.hidden_size, width = round_up<T>(hidden), stride = C::blocks * width;
        const long per_block = width / lanes;
        const Share own = share_of(C::blocks * per_block, part, parts);
        const OuterRight<T> x{carve<T>(&scratch, v.ids ? 0 : kRowBlock * round_up<T>(v.input_size)), v.input_size};
        const OuterRight<T> h{carve<T>(&scratch, kRowBlock * width), hidden};
        T* const panel = carve<T>(&scratch, kRowBlock * lanes);
        T* const zero = carve<T>(&scratch, width);
        copy_padded<T>(zero, nullptr, hidden, width);
        long t = 0, rank = 0, waiting = 0;
        for (long first = 0; first < batch.rows; first += kRowBlock) {
            const long n = batch.rows - first < kRowBlock ? batch.rows - first : kRowBlock;
            const T* x_rows[kRowBlock];
            const T* h_rows[kRowBlock];
            const T* da_rows[kRowBlock];
            for (long k = 0; k < n; ++k) {
                const long value = batch.first_step[rank] + t;
                da_rows[k] = g.da + (first + k) * stride;
                x_rows[k] = v.x ? v.x + value * v.input_size : nullptr;
#if ELMAN_MUTANT == 3
                h_rows[k] = v.y + value * hidden;
#else
                h_rows[k] = t > 0 ? v.y + (value - 1) * hidden : row_or_null(v.h0, batch.sequence[rank], hidden);
#endif
                if (!h_rows[k]) h_rows[k] = zero;
                if (++rank == batch.active[t]) {
                    rank = 0;
                    ++t;
                }
            }
            if (v.x) pack_right(x, x_rows, n);
            pack_right(h, h_rows, n);
            if (stop_now(v.interrupt, n, &waiting)) return;
            for (long p = own.first; p < own.end; ++p) {
                const long block = p / per_block, unit = p % per_block * lanes;
                const long valid = hidden - unit < lanes ? hidden - unit : lanes;
                const bool from_input = block < C::gates;
                const bool from_state = block >= C::first_recurrent && block - C::first_recurrent < C::gates;
                const long input_row = from_input ? C::input_gates[block] * hidden + unit : 0;
                const long state_row = from_state ? C::recurrent_gates[block - C::first_recurrent] * hidden + unit : 0;
                T* const bias = from_input ? g.d_bias + input_row : g.d_bias_hn + unit;
                pack_left(panel, da_rows, p * lanes, n, valid, bias);
                if (from_input && v.x) add_outer(panel, valid, x, n, g.d_weight_ih + input_row * v.input_size);
                if (from_state) add_outer(panel, valid, h, n, g.d_weight_hh + state_row * hidden);
            }
        }
        if (v.ids) one_hot_weights(v, g, own, scratch);
    }

    // One-hot input: column `id` of d_weight_ih gains the sum of da over the rows that read this id.
    static void one_hot_weights(const Views& v, const Gradients& g, Share own, Scratch scratch) {
        const long hidden = v.hidden_size, width = round_up<T>(hidden), stride = C::blocks * width,
                   per_block = width / lanes;
        T* const sum = carve<T>(&scratch, stride);
        const long end = own.end < C::gates * per_block ? own.end : C::gates * per_block;
        for (long k = 0; k < g.groups.count; ++k) {
            for (long p = own.first; p < end; ++p) store(sum + p * lanes, Vec<T>{});
            for (long r = g.groups.first[k]; r < g.groups.first[k + 1]; ++r) {
                const T* da = g.da + g.groups.row[r] * stride;
                for (long p = own.first; p < end; ++p)
                    store(sum + p * lanes, load(sum + p * lanes) + load(da + p * lanes));
            }
            for (long p = own.first; p < end; ++p) {
                const long unit = p % per_block * lanes, valid = hidden - unit < lanes ? hidden - unit : lanes;
                T* const column =
                    g.d_weight_ih + (C::input_gates[p / per_block] * hidden + unit) * v.input_size + g.groups.id[k];
                for (long j = 0; j < valid; ++j) column[j * v.input_size] += sum[p * lanes + j];
            }
        }
    }

    static constexpr CellKernels<T> kernels() {
        return {{C::gates, C::blocks, C::first_recurrent, C::has_cell_state, C::input_gates, C::recurrent_gates, lanes},
                forward_scratch,
                forward,
                backward_scratch,
                backward,
                weights_scratch,
                weights,
                pack,
                fill_table};
    }
};

}  // namespace ELMAN_ISA
}  // namespace elman
