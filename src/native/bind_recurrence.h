// The Python class of a recurrent layer's kernel: checks, memory, packed weights. No maths.
#pragma once

#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>

#include <string>
#include <vector>

#include "batch.h"
#include "buffers.h"
#include "dispatch.h"
#include "running.h"

#ifndef ELMAN_MUTANT
#    define ELMAN_MUTANT 0
#endif

namespace elman {

// One recurrent layer's kernel, bound to its weights. Packs them again when `tick` says that they changed.
template <class T>
class Recurrence {
  public:
    Recurrence(const std::string& cell, In<T> weight_ih, In<T> weight_hh, In<T> bias, Maybe<In<T>> bias_hn)
        : weight_ih_(weight_ih), weight_hh_(weight_hh), bias_(bias), bias_hn_(bias_hn) {
        const int index = cell_index(cell.c_str());
        if (index < 0) throw nb::value_error(("native core: no kernel for cell '" + cell + "'").c_str());
        kernel_ = &kernels<T>().cells[index];
        const CellLayout& layout = kernel_->layout;
        require(weight_hh.ndim() == 2 && weight_ih.ndim() == 2, "weights must be matrices");
        hidden_ = static_cast<long>(weight_hh.shape(1));
        inputs_ = static_cast<long>(weight_ih.shape(1));
        require(hidden_ > 0 && inputs_ > 0, "sizes must be positive");
        const int64_t rows = checked_product({layout.gates, hidden_});
        address(weight_ih, "weight_ih", {rows, inputs_});
        address(weight_hh, "weight_hh", {rows, hidden_});
        address(bias, "bias", {rows});
        require(bias_hn.has_value() == (layout.blocks > layout.gates), "bias_hn belongs to GRU alone");
        address(bias_hn, "bias_hn", {hidden_});
        width_ = (hidden_ + layout.lanes - 1) / layout.lanes * layout.lanes;
    }

    long tape_width() const { return kernel_->layout.blocks * width_; }
    long cell_width() const { return width_; }

    void forward(uint64_t tick, Maybe<In<T>> x, Maybe<Ids> ids, In<int64_t> lengths, Maybe<In<T>> h0, Maybe<In<T>> c0,
                 Out<T> y, Out<T> h_last, Maybe<Out<T>> c_last, Maybe<Out<T>> gates, Maybe<Out<T>> cells) {
        const Turn turn(busy_);
        RecurrenceViews<T> v = views(x, ids, lengths, h0, c0);
        const int64_t sequences = v.batch.ranks, rows = v.batch.rows;
        const bool cell_state = kernel_->layout.has_cell_state;
        v.y = address(y, "y", {rows, hidden_});
        v.h_last = address(h_last, "h_last", {sequences, hidden_});
        v.c_last = address(c_last, "c_last", {sequences, hidden_});
        v.gates = address(gates, "gates", {rows, tape_width()});
        v.cells = address(cells, "cells", {rows, cell_width()});
        require(c_last.has_value() == cell_state, "c_last belongs to cells with a cell state");
        require(!cell_state || gates.has_value() == cells.has_value(), "gates and cells are kept together");
        const double operations = this->operations(v);
        const long parts = parts_for(operations, v.batch.ranks);
        {
            const Unlocked unlocked(operations);
            pack(tick, v, ids.has_value(), false);
            scratch_.prepare(parts, kernel_->forward_scratch(v, parts));
            run(parts, [&](long part, long count) { kernel_->forward(v, part, count, scratch_.at(part)); });
        }
        if (stop_) throw nb::python_error();
    }

    void backward(uint64_t tick, Maybe<In<T>> dy, Maybe<In<T>> x, Maybe<Ids> ids, In<int64_t> lengths, Maybe<In<T>> h0,
                  Maybe<In<T>> c0, In<T> y, In<T> gates, Maybe<In<T>> cells, Maybe<In<T>> dh_last, Maybe<In<T>> dc_last,
                  Out<T> da, Maybe<Out<T>> dx, Maybe<Out<T>> dh0, Maybe<Out<T>> dc0, Maybe<Out<T>> dh,
                  Out<T> d_weight_ih, Out<T> d_weight_hh, Out<T> d_bias, Maybe<Out<T>> d_bias_hn) {
        const Turn turn(busy_);
        RecurrenceViews<T> v = views(x, ids, lengths, h0, c0);
        const CellLayout& layout = kernel_->layout;
        const int64_t sequences = v.batch.ranks, rows = v.batch.rows;
        v.y = const_cast<T*>(address(y, "y", {rows, hidden_}));
        v.gates = const_cast<T*>(address(gates, "gates", {rows, tape_width()}));
        v.cells = const_cast<T*>(address(cells, "cells", {rows, cell_width()}));
        require(cells.has_value() == layout.has_cell_state, "cells belongs to cells with a cell state");
        require(d_bias_hn.has_value() == bias_hn_.has_value(), "d_bias_hn belongs to GRU alone");
        require(!ids || !dx, "token ids have no gradient");
        RecurrenceGradients<T> g{};
        g.dy = address(dy, "dy", {rows, hidden_});
        g.dh_last = address(dh_last, "dh_last", {sequences, hidden_});
        g.dc_last = address(dc_last, "dc_last", {sequences, hidden_});
        g.da = address(da, "da", {rows, tape_width()});
        g.dx = address(dx, "dx", {rows, inputs_});
        g.dh0 = address(dh0, "dh0", {sequences, hidden_});
        g.dc0 = address(dc0, "dc0", {sequences, hidden_});
        g.dh = address(dh, "dh", {rows, hidden_});
        const int64_t gate_rows = layout.gates * hidden_;
        g.d_weight_ih = address(d_weight_ih, "d_weight_ih", {gate_rows, inputs_});
        g.d_weight_hh = address(d_weight_hh, "d_weight_hh", {gate_rows, hidden_});
        g.d_bias = address(d_bias, "d_bias", {gate_rows});
        g.d_bias_hn = address(d_bias_hn, "d_bias_hn", {hidden_});
        const double operations = 2 * this->operations(v);
        const long parts = parts_for(operations, v.batch.ranks);
        const long panel_parts = parts_for(operations, tape_width() / layout.lanes);
        {
            const Unlocked unlocked(operations);
            pack(tick, v, ids.has_value(), dx.has_value());
            if (ids) g.groups = groups_.of(v.batch, v.ids, inputs_);
#if ELMAN_MUTANT == 2
            std::copy_n(weight_hh_.data(), gate_rows * hidden_, g.d_weight_hh);
#endif
            scratch_.prepare(parts, kernel_->backward_scratch(v, parts));
            run(parts, [&](long part, long count) { kernel_->backward(v, g, part, count, scratch_.at(part)); });
            if (!stop_) {
                scratch_.prepare(panel_parts, kernel_->weights_scratch(v));
                run(panel_parts,
                    [&](long part, long count) { kernel_->weights(v, g, part, count, scratch_.at(part)); });
            }
        }
        if (stop_) throw nb::python_error();
    }

  private:
    RecurrenceViews<T> views(const Maybe<In<T>>& x, const Maybe<Ids>& ids, const In<int64_t>& lengths,
                             const Maybe<In<T>>& h0, const Maybe<In<T>>& c0) {
        RecurrenceViews<T> v{};
        v.input_size = inputs_;
        v.hidden_size = hidden_;
        require(lengths.ndim() == 1, "lengths must be a vector");
        const long sequences = static_cast<long>(lengths.shape(0));
        address(lengths, "lengths", {sequences});
        int64_t rows = 0;
        for (long i = 0; i < sequences; ++i) {
            require(lengths.data()[i] >= 0, "lengths must not be negative");
            if (__builtin_add_overflow(rows, lengths.data()[i], &rows)) throw std::bad_alloc();
        }
        require(x.has_value() != ids.has_value(), "either x or ids must be given");
        v.x = address(x, "x", {rows, inputs_});
        v.ids = address(ids, "ids", {rows});
        v.batch = batch_.of(lengths.data(), sequences);
        if (v.ids) check_ids(v.ids, rows, inputs_, "token id");
        v.h0 = address(h0, "h0", {sequences, hidden_});
        v.c0 = address(c0, "c0", {sequences, hidden_});
        require(!c0 || kernel_->layout.has_cell_state, "c0 belongs to cells with a cell state");
        stop_ = false;
        v.interrupt = {&stop_, interrupted};
        return v;
    }

    double operations(const RecurrenceViews<T>& v) const {
        return 2.0 * kernel_->layout.gates * static_cast<double>(hidden_) *
               static_cast<double>(hidden_ + (v.ids ? 1 : inputs_)) * static_cast<double>(v.batch.rows);
    }

    // Point v at the packed weights, packing what is stale. Token ids take rows of a table instead of a product.
    void pack(uint64_t tick, RecurrenceViews<T>& v, bool ids, bool back) {
        const CellLayout& layout = kernel_->layout;
        const long gates = layout.gates;
        const size_t padded_inputs = static_cast<size_t>((inputs_ + layout.lanes - 1) / layout.lanes * layout.lanes);
        const size_t columns = static_cast<size_t>(gates * width_);
        PackedViews<T>& p = v.packed;
        p.input = ids ? nullptr : input_.template of<T>(columns * static_cast<size_t>(inputs_));
        p.recurrent = recurrent_.template of<T>(columns * static_cast<size_t>(hidden_));
        p.recurrent_back = recurrent_back_.template of<T>(static_cast<size_t>(gates * hidden_ * width_));
        p.input_back = back || have_back_
                           ? input_back_.template of<T>(static_cast<size_t>(gates * hidden_) * padded_inputs)
                           : nullptr;
        p.bias = padded_bias_.template of<T>(columns);
        p.bias_recurrent = bias_hn_ ? bias_recurrent_.template of<T>(static_cast<size_t>(width_)) : nullptr;
        const bool complete = packed_ && tick == tick_ && (ids || have_input_) && (!back || have_back_);
        if (!complete) {
            if (!packed_ || tick != tick_) std::fill(row_made_.begin(), row_made_.end(), false);
            kernel_->pack(v, weight_ih_.data(), weight_hh_.data(), bias_.data(), bias_hn_ ? bias_hn_->data() : nullptr);
            packed_ = true;
            tick_ = tick;
            have_input_ = !ids;
            have_back_ = p.input_back != nullptr;
        }
        if (ids) p.table = table_for(v);
    }

    T* table_for(const RecurrenceViews<T>& v) {
        const size_t columns = static_cast<size_t>(kernel_->layout.gates * width_);
        T* const table = table_.template of<T>(columns * static_cast<size_t>(inputs_));
        row_made_.resize(static_cast<size_t>(inputs_), false);
        missing_.clear();
        for (long n = 0; n < v.batch.rows; ++n) {
            char& made = row_made_[static_cast<size_t>(v.ids[n])];
            if (!made) missing_.push_back(v.ids[n]);
            made = true;
        }
        const long count = static_cast<long>(missing_.size());
        run(parts_for(20.0 * static_cast<double>(columns) * static_cast<double>(count), count),
            [&](long part, long parts) {
                kernel_->fill_table(v, weight_ih_.data(), table, missing_.data(), count, part, parts);
            });
        return table;
    }

    In<T> weight_ih_, weight_hh_, bias_;
    Maybe<In<T>> bias_hn_;
    const CellKernels<T>* kernel_;
    long hidden_ = 0, inputs_ = 0, width_ = 0;
    uint64_t tick_ = 0;
    bool packed_ = false, have_input_ = false, have_back_ = false;
    Buffer input_, recurrent_, recurrent_back_, input_back_, padded_bias_, bias_recurrent_, table_;
    std::vector<char> row_made_;
    std::vector<int64_t> missing_;  // ids whose row of the table is stale
    bool busy_ = false;
    Scratches scratch_;
    RankedBatch batch_;
    GroupedIds groups_;
    bool stop_ = false;
};

}  // namespace elman
