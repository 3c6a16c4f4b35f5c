// The weights of a recurrent layer: packed for the passes, and their gradients from what the way back has left.
#pragma once

#include "recurrence_back.h"

namespace elman {
namespace ELMAN_ISA {

template <class T>
struct RecurrenceWeights {
    typedef RecurrenceViews<T> Views;
    typedef RecurrenceGradients<T> Gradients;
    static constexpr long lanes = Lanes<T>::count;

    // What the forward pass reads, or what the way back reads. Parts share out the units of every gate.
    static void pack(const Views& v, const WeightViews<T>& w, bool forward, long part, long parts) {
        const CellLayout& cell = v.cell->layout;
        const long hidden = v.hidden_size, width = round_up<T>(hidden), inputs = v.input_size, state = v.state_size;
        const long state_width = round_up<T>(state);
        const auto packed = [&v](T* data, long k, long columns) { return Packed<T>{data, k, columns, v.format}; };
        const auto as_columns = [=](const Packed<T>& to, long at, const T* from, long n, long k) {
            const Share own = share_of((n + lanes - 1) / lanes, part, parts);
            const long first = own.first * lanes, end = own.end * lanes < n ? own.end * lanes : n;
            if (first < end) pack_rows_as_columns(to, at + first, from + first * k, end - first, k, k);
        };
        const auto as_rows = [=](const Packed<T>& to, long at, const T* from, long k, long n) {
            // Rows of other formats share their cells, also those of two gates.
            const Share own = to.format ? Share{0, part == 0 ? k : 0} : share_of(k, part, parts);
            if (own.first < own.end) pack_rows(to, at + own.first, from + own.first * n, own.end - own.first, n, n);
        };
        const Packed<T> input = packed(v.packed.input, inputs, cell.gates * width);
        const Packed<T> input_back = packed(v.packed.input_back, cell.gates * hidden, round_up<T>(inputs));
        for (int b = 0; b < cell.gates; ++b) {
            const T* const from = w.weight_ih + cell.input_gates[b] * hidden * inputs;
            if (forward && input.data) as_columns(input, b * width, from, hidden, inputs);
            if (!forward && input_back.data) as_rows(input_back, b * hidden, from, hidden, inputs);
        }
        const Packed<T> recurrent = packed(v.packed.recurrent, state, cell.state_gates * width);
        const Packed<T> recurrent_back = packed(v.packed.recurrent_back, cell.state_gates * hidden, state_width);
        for (int b = 0; b < cell.state_gates; ++b) {
            const T* const from = w.weight_hh + cell.recurrent_gates[b] * hidden * state;
            if (forward)
                as_columns(recurrent, b * width, from, hidden, state);
            else
                as_rows(recurrent_back, b * hidden, from, hidden, state);
        }
        if (v.projected) {
            if (forward)
                as_columns(packed(v.packed.second, hidden, state_width), 0, w.weight_hr, state, hidden);
            else
                as_rows(packed(v.packed.second_back, state, width), 0, w.weight_hr, state, hidden);
        } else if (cell.second_gate >= 0) {
            const T* const from = w.weight_hh + cell.second_gate * hidden * hidden;
            if (forward)
                as_columns(packed(v.packed.second, hidden, width), 0, from, hidden, hidden);
            else
                as_rows(packed(v.packed.second_back, hidden, width), 0, from, hidden, hidden);
        }
        if (!forward || part > 0) return;
        for (int b = 0; b < cell.gates; ++b)
            copy_padded(v.packed.start + b * width, w.bias ? w.bias + cell.input_gates[b] * hidden : nullptr, hidden,
                        width);
        for (int b = 0; b < cell.extras; ++b) copy_padded(v.packed.extras + b * width, w.extras[b], hidden, width);
        for (long j = 0; j < width; ++j) v.packed.units[j] = j < hidden ? T(1) : T(0);
    }

    // Rows of the table for these ids: start + column `id` of W, which is what W x + b is for a one-hot x.
    static void fill_table(const Views& v, const T* weight_ih, T* table, const int64_t* ids, long count, long part,
                           long parts) {
        const CellLayout& cell = v.cell->layout;
        const long hidden = v.hidden_size, width = round_up<T>(hidden);
        const Share own = share_of(count, part, parts);
        for (long k = own.first; k < own.end; ++k) {
            T* const row = table + ids[k] * cell.gates * width;
            for (int b = 0; b < cell.gates; ++b) {
                const T* const from = weight_ih + cell.input_gates[b] * hidden * v.input_size + ids[k];
                for (long j = 0; j < hidden; ++j)
                    row[b * width + j] = v.packed.start[b * width + j] + from[j * v.input_size];
            }
        }
    }

    static long scratch_bytes(const Views& v) {
        return outer_scratch<T>(v.ids ? 0 : v.input_size) + 2 * outer_scratch<T>(v.hidden_size) +
               outer_scratch<T>(lanes) +
               (v.grad_stride + round_up<T>(v.hidden_size) * 2) * static_cast<long>(sizeof(T)) +
               kRowBlock * round_up<T>(v.state_size) * static_cast<long>(sizeof(T)) + 1024;
    }

    // Which weights the gradients in one panel of da belong to.
    struct Panel {
        long unit, valid;  // first of its units, and how many
        long input_row;    // row of d_weight_ih, or -1
        long state_row;    // row of d_weight_hh that multiplies h, or -1
        long operand_row;  // row of what multiplies the operand, or -1
    };

    static Panel panel(const Views& v, long p) {
        const CellLayout& cell = v.cell->layout;
        const long per_block = round_up<T>(v.hidden_size) / lanes, block = p / per_block;
        Panel at{p % per_block * lanes, 0, -1, -1, -1};
        const bool projection = block == cell.grad_blocks;
        const long size = projection ? v.state_size : v.hidden_size, left = size - at.unit;
        at.valid = left < lanes ? left : lanes;
        if (projection) {
            at.operand_row = at.unit;
            return at;
        }
        if (block < cell.gates) at.input_row = cell.input_gates[block] * v.hidden_size + at.unit;
        const long from_state = block - cell.d_state_at;
        if (from_state >= 0 && from_state < cell.state_gates)
            at.state_row = cell.recurrent_gates[from_state] * v.hidden_size + at.unit;
        if (cell.second_gate >= 0 && block == cell.d_product_at)
            at.operand_row = cell.second_gate * v.hidden_size + at.unit;
        return at;
    }

    // What is summed for a panel: itself for the bias, and its products with x, h and the operand.
    enum Piece { kBias, kInput, kState, kOperand, kPieces };

    // A part's own pieces: those whose middle lies in its share of all the work, counted in columns. So the parts of a
    // layer with fewer panels than parts have work too: one takes W, another R.
    struct Work {
        const Views& v;
        const bool bias;
        const long part, parts, panels;
        long total = 0;
        bool mine[kPieces] = {};  // of any panel

        Work(const Views& views, const Gradients& g, long which, long count)
            : v(views), bias(g.d_bias), part(which), parts(count), panels(views.grad_stride / lanes) {
            long size[kPieces], before = 0;
            for (long p = 0; p < panels; ++p) {
                measure(panel(v, p), size);
                for (const long one : size) total += one;
            }
            for (long p = 0; p < panels; ++p) {
                bool own[kPieces];
                take(panel(v, p), &before, own);
                for (int i = 0; i < kPieces; ++i) mine[i] = mine[i] || own[i];
            }
        }

        void measure(const Panel& at, long* size) const {
            const bool used = at.valid > 0;  // the padding of a projection narrower than the block it lies in is not
            size[kBias] = used && at.input_row >= 0 && bias;
            size[kInput] = used && at.input_row >= 0 && v.x ? v.input_size : 0;
            size[kState] = used && at.state_row >= 0 ? v.state_size : 0;
            size[kOperand] = used && at.operand_row >= 0 ? v.hidden_size : 0;
        }

        // Which pieces of the next panel are the part's own; false if none is. `before`: the work of those before it.
        bool take(const Panel& at, long* before, bool* own) const {
            long size[kPieces];
            bool any = false;
            measure(at, size);
            for (int i = 0; i < kPieces; ++i) {
                const long middle = (2 * *before + size[i]) * parts;
                own[i] = size[i] && middle >= 2 * total * part && middle < 2 * total * (part + 1);
                *before += size[i];
                any = any || own[i];
            }
            return any;
        }
    };

    // Adds what one block of steps gives. Each piece is summed over all its rows by one part, in the tape's order.
    static void gradients(const Views& v, const Gradients& g, long part, long parts, Scratch scratch) {
        const Batch& batch = v.batch;
        const CellLayout& cell = v.cell->layout;
        const long hidden = v.hidden_size, width = round_up<T>(hidden), state = v.state_size;
        const long state_width = round_up<T>(state);
        const long operand_at = (v.projected ? cell.tape_blocks : cell.operand_at) * width;
        T* const d_second = v.projected ? g.d_weight_hr : g.d_weight_hh;
        const Work work(v, g, part, parts);
        const OuterRight<T> x{carve<T>(&scratch, v.ids ? 0 : kRowBlock * round_up<T>(v.input_size)), v.input_size};
        const OuterRight<T> h{carve<T>(&scratch, kRowBlock * state_width), state};
        const OuterRight<T> operand{carve<T>(&scratch, kRowBlock * width), hidden};
        T* const masked = v.h_mask ? carve<T>(&scratch, kRowBlock * state_width) : nullptr;
        T* const left = carve<T>(&scratch, kRowBlock * lanes);
        T* const zero = carve<T>(&scratch, width);
        const Outer<T> outer = outer_of(v.format);
        copy_padded<T>(zero, nullptr, hidden, width);
        const long begin = batch.first_row[g.block.first], rows = batch.first_row[g.block.end] - begin;
        long t = g.block.first, rank = 0, waiting = 0;
        for (long first = 0; first < rows; first += kRowBlock) {
            const long n = rows - first < kRowBlock ? rows - first : kRowBlock;
            const T* x_rows[kRowBlock];
            const T* h_rows[kRowBlock];
            const T* operand_rows[kRowBlock];
            const T* da_rows[kRowBlock];
            for (long k = 0; k < n; ++k) {
                const long value = batch.first_step[rank] + t, sequence = batch.sequence[rank];
                da_rows[k] = g.da + (first + k) * v.grad_stride;
                operand_rows[k] = v.gates + (begin + first + k) * v.stride + operand_at;
                x_rows[k] = v.x ? v.x + value * v.input_size : nullptr;
#if ELMAN_MUTANT == 3
                h_rows[k] = v.y + value * state;
#else
                h_rows[k] = t > 0 ? v.y + (value - 1) * state : row_or_null(v.h0, sequence, state);
#endif
                if (!h_rows[k]) h_rows[k] = zero;
                if (masked) {
                    T* const to = masked + k * state_width;
                    const T *const from = h_rows[k], *const factors = v.h_mask + sequence * state;
                    each_vector<T>(state, [=](long j, long m) {
                        store_part(to + j, load_part(from + j, m) * load_part(factors + j, m), m);
                    });
                    h_rows[k] = to;
                }
                if (++rank == batch.active[t]) {
                    rank = 0;
                    ++t;
                }
            }
            if (work.mine[kInput]) outer.pack_right(x, x_rows, n);
            if (work.mine[kState]) outer.pack_right(h, h_rows, n);
            if (work.mine[kOperand]) outer.pack_right(operand, operand_rows, n);
            if (stop_now(v.interrupt, n, &waiting)) return;
            long before = 0;
            for (long p = 0; p < work.panels; ++p) {
                const Panel at = panel(v, p);
                bool own[kPieces];
                if (!work.take(at, &before, own)) continue;
                outer.pack_left(left, da_rows, p * lanes, n, at.valid, own[kBias] ? g.d_bias + at.input_row : nullptr);
                if (own[kInput]) outer.add(left, at.valid, x, n, g.d_weight_ih + at.input_row * v.input_size);
                if (own[kState]) outer.add(left, at.valid, h, n, g.d_weight_hh + at.state_row * state);
                if (own[kOperand]) outer.add(left, at.valid, operand, n, d_second + at.operand_row * hidden);
            }
        }
        if (v.ids) one_hot(v, g, share_of(work.panels, part, parts), scratch);
        if (g.block.first == 0) extras(v, g, part, parts);
    }

    // One-hot input: column `id` of d_weight_ih gains the sum of da over the rows that read this id.
    static void one_hot(const Views& v, const Gradients& g, Share own, Scratch scratch) {
        const CellLayout& cell = v.cell->layout;
        const long hidden = v.hidden_size, per_block = round_up<T>(hidden) / lanes;
        T* const sum = carve<T>(&scratch, v.grad_stride);
        const long end = own.end < cell.gates * per_block ? own.end : cell.gates * per_block;
        long waiting = 0;
        for (long k = 0; k < g.groups.count; ++k)
            // As for all weights, blocks of rows are summed from zero: a blank is a sixth of all characters of a text.
            for (long first = g.groups.first[k]; first < g.groups.first[k + 1]; first += kRowBlock) {
                const long left = g.groups.first[k + 1] - first, n = left < kRowBlock ? left : kRowBlock;
                for (long p = own.first; p < end; ++p) store(sum + p * lanes, Vec<T>{});
                for (long r = first; r < first + n; ++r) {
                    const T* da = g.da + g.groups.row[r] * v.grad_stride;
                    for (long p = own.first; p < end; ++p)
                        store(sum + p * lanes, load(sum + p * lanes) + load(da + p * lanes));
                }
                for (long p = own.first; p < end; ++p) {
                    const Panel at = panel(v, p);
                    T* const column = g.d_weight_ih + at.input_row * v.input_size + g.groups.id[k];
                    for (long j = 0; j < at.valid; ++j) column[j * v.input_size] += sum[p * lanes + j];
                }
                if (stop_now(v.interrupt, n, &waiting)) return;
            }
    }

    // The gradients of the extra parameters, summed over the sequences in rank order.
    static void extras(const Views& v, const Gradients& g, long part, long parts) {
        const long count = v.cell->layout.extras, hidden = v.hidden_size, width = round_up<T>(hidden);
        const Share own = share_of(count * (width / lanes), part, parts);
        for (long p = own.first; p < own.end; ++p) {
            const long block = p / (width / lanes), unit = p % (width / lanes) * lanes;
            const long valid = hidden - unit < lanes ? hidden - unit : lanes;
            Vec<T> sum = {};
            for (long r = 0; r < v.batch.active[0]; ++r) sum += load(g.sums + (2 * r + 1) * count * width + p * lanes);
            T* const to = g.d_extras[block] + unit;
            store_part(to, load_part(to, valid) + sum, valid);
        }
    }
};

template <class T>
constexpr RecurrenceKernels<T> recurrence_kernels() {
    typedef RecurrenceViews<T> Views;
    typedef RecurrenceGradients<T> Gradients;
    return {
        ForwardPass<T>::scratch_bytes,
        [](const Views& v, const Crew& crew, Scratch s) { ForwardPass<T>(v, crew, s).run(); },
        BackwardPass<T>::scratch_bytes,
        [](const Views& v, const Gradients& g, const Crew& crew, Scratch s) { BackwardPass<T>(v, g, crew, s).run(); },
        RecurrenceWeights<T>::scratch_bytes,
        RecurrenceWeights<T>::gradients,
        RecurrenceWeights<T>::pack,
        RecurrenceWeights<T>::fill_table};
}

}  // namespace ELMAN_ISA
}  // namespace elman
