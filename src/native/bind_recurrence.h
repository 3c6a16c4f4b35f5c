// The Python class of a recurrent layer's kernel: checks, memory, packed weights. No maths.
#pragma once

#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

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

inline int activation_code(const std::string& name) {
    static const char* const names[] = {"identity", "tanh", "sigmoid", "relu", "softmax", "hard_sigmoid"};
    for (int code = kIdentity; code <= kHardSigmoid; ++code)
        if (name == names[code] && code != kSoftmax) return code;
    throw nb::value_error(("native core: no activation '" + name + "'").c_str());
}

template <class T>
class RecurrenceSteps;  // bind_stream.h

// One recurrent layer's kernel, bound to its weights. Packs them again when `tick` says that they changed.
template <class T>
class Recurrence {
  public:
    Recurrence(const std::string& cell, const std::string& activation, const std::string& gate_activation,
               In<T> weight_ih, In<T> weight_hh, Maybe<In<T>> weight_hr, Maybe<In<T>> bias, std::vector<In<T>> extras,
               const std::string& format)
        : weight_ih_(weight_ih),
          weight_hh_(weight_hh),
          weight_hr_(weight_hr),
          bias_(bias),
          extras_(extras),
          format_(format_of<T>(format)) {
        const int index = cell_index(cell.c_str());
        if (index < 0) throw nb::value_error(("native core: no kernel for cell '" + cell + "'").c_str());
        cell_ = &kernels<T>().cells[index];
        const CellLayout& layout = cell_->layout;
        lanes_ = kernels<T>().lanes;
        require(weight_hh.ndim() == 2 && weight_ih.ndim() == 2 && (!weight_hr || weight_hr->ndim() == 2),
                "weights must be matrices");
        state_ = static_cast<long>(weight_hh.shape(1));
        inputs_ = static_cast<long>(weight_ih.shape(1));
        hidden_ = weight_hr ? static_cast<long>(weight_hr->shape(1)) : state_;
        require(hidden_ > 0 && inputs_ > 0 && state_ > 0, "sizes must be positive");
        require(state_ <= hidden_, "a projection must not be wider than the cell");
        require(!weight_hr || layout.has_cell_state, "a projection belongs to cells with a cell state");
        const int64_t rows = checked_product({layout.gates, hidden_});
        address(weight_ih, "weight_ih", {rows, inputs_});
        address(weight_hh, "weight_hh", {rows, state_});
        address(weight_hr, "weight_hr", {state_, hidden_});
        address(bias, "bias", {rows});
        require(bias.has_value() != layout.normalised, "a normalised cell has its bias among the extras");
        extra_blocks_ = blocks_of<const T>(extras_, "extras");
        width_ = padded(hidden_);
        const long projected = weight_hr ? 1 : 0;
        stride_ = (layout.tape_blocks + projected) * width_ + (layout.normalised ? padded(kStats) : 0);
        grad_stride_ = (layout.grad_blocks + projected) * width_;
        constants_ = {hidden_, width_, nullptr, nullptr, activation_code(activation), activation_code(gate_activation)};
    }

    long tape_width() const { return stride_; }
    long cell_width() const { return width_; }

    void forward(uint64_t tick, Maybe<In<T>> x, Maybe<Ids> ids, In<int64_t> lengths, Maybe<In<T>> h0, Maybe<In<T>> c0,
                 Maybe<nb::tuple> masks, Out<T> y, Out<T> h_last, Maybe<Out<T>> c_last, Maybe<Out<T>> gates,
                 Maybe<Out<T>> cells) {
        const Turn turn(busy_);
        RecurrenceViews<T> v = views(x, ids, lengths, h0, c0);
        const Noise held = noise(v, masks);
        outputs(v, y, h_last, c_last, gates, cells);
        run_forward(tick, v);
    }

    void backward(uint64_t tick, Maybe<In<T>> dy, Maybe<In<T>> x, Maybe<Ids> ids, In<int64_t> lengths, Maybe<In<T>> h0,
                  Maybe<In<T>> c0, Maybe<nb::tuple> masks, In<T> y, In<T> gates, Maybe<In<T>> cells,
                  Maybe<In<T>> dh_last, Maybe<In<T>> dc_last, Maybe<Out<T>> dx, Maybe<Out<T>> dh0, Maybe<Out<T>> dc0,
                  Maybe<Out<T>> dh, Out<T> d_weight_ih, Out<T> d_weight_hh, Maybe<Out<T>> d_weight_hr,
                  Maybe<Out<T>> d_bias, std::vector<Out<T>> d_extras) {
        require(has_way_back(format_), "weights in this format have no way back");
        const Turn turn(busy_);
        RecurrenceViews<T> v = views(x, ids, lengths, h0, c0);
        const Noise held = noise(v, masks);
        const CellLayout& layout = cell_->layout;
        const int64_t sequences = v.batch.ranks, rows = v.batch.rows;
        v.y = const_cast<T*>(address(y, "y", {rows, state_}));
        v.gates = const_cast<T*>(address(gates, "gates", {rows, stride_}));
        v.cells = const_cast<T*>(address(cells, "cells", {rows, width_}));
        require(cells.has_value() == layout.has_cell_state, "cells belongs to cells with a cell state");
        require(d_bias.has_value() == bias_.has_value(), "d_bias belongs to cells with a bias of their own");
        require(d_weight_hr.has_value() == weight_hr_.has_value(), "d_weight_hr belongs to a projection");
        require(!ids || !dx, "token ids have no gradient");
        RecurrenceGradients<T> g{};
        g.dy = address(dy, "dy", {rows, state_});
        g.dh_last = address(dh_last, "dh_last", {sequences, state_});
        g.dc_last = address(dc_last, "dc_last", {sequences, hidden_});
        g.dx = address(dx, "dx", {rows, inputs_});
        g.dh0 = address(dh0, "dh0", {sequences, state_});
        g.dc0 = address(dc0, "dc0", {sequences, hidden_});
        g.dh = address(dh, "dh", {rows, state_});
        const int64_t gate_rows = layout.gates * hidden_;
        g.d_weight_ih = address(d_weight_ih, "d_weight_ih", {gate_rows, inputs_});
        g.d_weight_hh = address(d_weight_hh, "d_weight_hh", {gate_rows, state_});
        g.d_weight_hr = address(d_weight_hr, "d_weight_hr", {state_, hidden_});
        g.d_bias = address(d_bias, "d_bias", {gate_rows});
        std::vector<T*> d_extra_blocks = blocks_of<T>(d_extras, "d_extras");
        g.d_extras = d_extra_blocks.data();
        const double operations = 2 * this->operations(v);
        const long panel_parts = parts_for(operations, 2 * grad_stride_ / lanes_);
        {
            const Unlocked unlocked(operations);
            pack(tick, v, ids.has_value(), true, dx.has_value());
            const long at_once = block_rows(rows, grad_stride_ * static_cast<long>(sizeof(T)));
            const size_t ranks = static_cast<size_t>(sequences), width = static_cast<size_t>(width_);
            g.da = da_.template of<T>(static_cast<size_t>(std::min(rows, at_once + v.batch.active[0]) * grad_stride_));
            g.dh_carried = dh_.template of<T>(ranks * static_cast<size_t>(padded(state_)));
            if (layout.has_cell_state) g.dc_carried = dc_.template of<T>(ranks * width);
            if (layout.extras)
                g.sums = sums_.template of<T>(static_cast<size_t>(sequences * 2 * layout.extras * width_));
#if ELMAN_MUTANT == 2
            std::copy_n(weight_hh_.data(), gate_rows * state_, g.d_weight_hh);
#endif
            g.block.first = v.batch.steps;
            do {
                g.block = block_before(v.batch, g.block.first, at_once);
                walk(
                    v, operations,
                    [this, &v](long parts, long members) { return kernel().backward_scratch(v, parts, members); },
                    [this, &v, &g](const Crew& crew, Scratch scratch) { kernel().backward(v, g, crew, scratch); });
                if (stop_) break;
                if (ids) g.groups = groups_.of(v.batch, g.block, v.ids, inputs_);
                scratch_.prepare(panel_parts, kernel().weights_scratch(v));
                run(panel_parts,
                    [&](long part, long count) { kernel().weights(v, g, part, count, scratch_.at(part)); });
            } while (g.block.first > 0 && !stop_);
        }
        if (stop_) throw nb::python_error();
    }

  private:
    friend class RecurrenceSteps<T>;

    // Where a forward pass writes.
    void outputs(RecurrenceViews<T>& v, const Out<T>& y, const Out<T>& h_last, const Maybe<Out<T>>& c_last,
                 const Maybe<Out<T>>& gates, const Maybe<Out<T>>& cells) const {
        const int64_t sequences = v.batch.ranks, rows = v.batch.rows;
        const bool cell_state = cell_->layout.has_cell_state;
        v.y = address(y, "y", {rows, state_});
        v.h_last = address(h_last, "h_last", {sequences, state_});
        v.c_last = address(c_last, "c_last", {sequences, hidden_});
        v.gates = address(gates, "gates", {rows, stride_});
        v.cells = address(cells, "cells", {rows, width_});
        require(c_last.has_value() == cell_state, "c_last belongs to cells with a cell state");
        require(!cell_state || gates.has_value() == cells.has_value(), "gates and cells are kept together");
    }

    void run_forward(uint64_t tick, RecurrenceViews<T>& v) {
        const double operations = this->operations(v);
        {
            const Unlocked unlocked(operations);
            pack(tick, v, v.ids != nullptr, false, false);
            walk(
                v, operations,
                [this, &v](long parts, long members) { return kernel().forward_scratch(v, parts, members); },
                [this, &v](const Crew& crew, Scratch scratch) { kernel().forward(v, crew, scratch); });
        }
        if (stop_) throw nb::python_error();
    }

    const RecurrenceKernels<T>& kernel() const { return kernels<T>().recurrence; }
    long padded(long n) const { return (n + lanes_ - 1) / lanes_ * lanes_; }

    // Where each block of H extra parameters begins.
    template <class P, class A>
    std::vector<P*> blocks_of(const std::vector<A>& arrays, const char* name) const {
        std::vector<P*> blocks;
        for (const A& array : arrays) {
            require(array.ndim() == 1 && static_cast<long>(array.shape(0)) % hidden_ == 0,
                    "extra parameters are vectors of whole blocks");
            P* const first = address(array, name, {static_cast<int64_t>(array.shape(0))});
            for (long at = 0; at < static_cast<long>(array.shape(0)); at += hidden_) blocks.push_back(first + at);
        }
        require(static_cast<int>(blocks.size()) == cell_->layout.extras, "the extra parameters are not this cell's");
        return blocks;
    }

    RecurrenceViews<T> views(const Maybe<In<T>>& x, const Maybe<Ids>& ids, const In<int64_t>& lengths,
                             const Maybe<In<T>>& h0, const Maybe<In<T>>& c0) {
        RecurrenceViews<T> v{};
        v.cell = cell_;
        v.input_size = inputs_;
        v.hidden_size = hidden_;
        v.state_size = state_;
        v.projected = weight_hr_.has_value();
        v.format = format_;
        v.stride = stride_;
        v.grad_stride = grad_stride_;
        v.constants = constants_;
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
        v.h0 = address(h0, "h0", {sequences, state_});
        v.c0 = address(c0, "c0", {sequences, hidden_});
        require(!c0 || cell_->layout.has_cell_state, "c0 belongs to cells with a cell state");
        stop_ = false;
        v.interrupt = {&stop_, interrupted};
        return v;
    }

    // What training does at random: h_mask, zone_h and its mean, zone_c and its mean. One argument, because most calls
    // have none and each array costs them 0.1 µs.
    struct Noise {
        Maybe<In<T>> h_mask, zone_h, zone_c;
    };

    Noise noise(RecurrenceViews<T>& v, const Maybe<nb::tuple>& masks) const {
        Noise n;
        if (!masks) return n;
        const nb::tuple& given = *masks;
        require(given.size() == 5, "masks are h_mask, zone_h, its mean, zone_c and its mean");
        n = {array_of(given[0]), array_of(given[1]), array_of(given[3])};
        v.h_mask = address(n.h_mask, "h_mask", {v.batch.ranks, state_});
        v.zone_h = address(n.zone_h, "zone_h", {v.batch.rows, state_});
        v.zone_c = address(n.zone_c, "zone_c", {v.batch.rows, hidden_});
        require(!n.zone_c || cell_->layout.has_cell_state, "zone_c belongs to cells with a cell state");
        v.zone_h_mean = mean_of(given[2]);
        v.zone_c_mean = mean_of(given[4]);
        return n;
    }

    static T mean_of(nb::handle given) {
        double mean = 0;
        require(nb::try_cast<double>(given, mean), "means of masks are numbers");
        return static_cast<T>(mean);
    }

    static Maybe<In<T>> array_of(nb::handle given) {
        if (given.is_none()) return {};
        In<T> array;
        require(nb::try_cast<In<T>>(given, array, false), "masks are arrays of the weights' type, or None");
        return array;
    }

    double operations(const RecurrenceViews<T>& v) const {
        const double inputs = static_cast<double>(v.ids ? 1 : inputs_), projected = v.projected ? 1 : 0;
        return 2.0 * static_cast<double>(v.batch.rows) * static_cast<double>(hidden_) *
               (cell_->layout.gates * (static_cast<double>(state_) + inputs) + projected * static_cast<double>(state_));
    }

    // Run a pass: sequences shared out among threads, or, if they are too few and wide, each by all threads together.
    template <class Size, class Pass>
    void walk(RecurrenceViews<T>& v, double operations, Size scratch_size, Pass pass) {
        const long together = crew_for(operations, v.batch.steps, v.batch.steps ? v.batch.active[0] : 0);
        if (together > 1) {
            Barrier barrier{together, yield_thread, 0, 0, false};
            scratch_.prepare(1, scratch_size(1, together));
            const Scratch shared = scratch_.at(0);
            if (run_together(together,
                             [&](long member, long members) { pass(Crew{0, 1, member, members, &barrier}, shared); }))
                return;
        }
        const long parts = parts_for(operations, v.batch.ranks);
        scratch_.prepare(parts, scratch_size(parts, 1));
        run(parts, [&](long part, long count) { pass(Crew{part, count, 0, 1, nullptr}, scratch_.at(part)); });
    }

    // Point v at the packed weights, packing what is stale. Token ids take rows of a table instead of a product.
    void pack(uint64_t tick, RecurrenceViews<T>& v, bool ids, bool back, bool dx) {
        const CellLayout& layout = cell_->layout;
        const size_t hidden = static_cast<size_t>(hidden_), width = static_cast<size_t>(width_);
        const size_t inputs = static_cast<size_t>(inputs_), padded_inputs = static_cast<size_t>(padded(inputs_));
        const size_t state = static_cast<size_t>(state_), padded_state = static_cast<size_t>(padded(state_));
        const size_t columns = static_cast<size_t>(layout.gates) * width;
        const size_t state_gates = static_cast<size_t>(layout.state_gates);
        const bool second = v.projected || layout.second_gate >= 0;
        PackedViews<T>& p = v.packed;
        if (!packed_ || tick != tick_) {
            std::fill(row_made_.begin(), row_made_.end(), false);
            have_input_ = have_back_ = have_dx_ = packed_ = false;
        }
        const auto deep = [this](size_t k) { return static_cast<size_t>(cells(format_, static_cast<long>(k))); };
        p.input = ids && !have_input_ ? nullptr : input_.template of<T>(columns * deep(inputs));
        p.recurrent = recurrent_.template of<T>(state_gates * width * deep(state));
        p.second = second ? second_.template of<T>(deep(hidden) * width) : nullptr;
        p.start = start_.template of<T>(columns);
        p.extras = extra_values_.template of<T>(static_cast<size_t>(layout.extras) * width);
        p.units = units_.template of<T>(width);
        v.constants.extras = p.extras;
        v.constants.units = p.units;
        const WeightViews<T> weights{weight_ih_.data(), weight_hh_.data(), weight_hr_ ? weight_hr_->data() : nullptr,
                                     bias_ ? bias_->data() : nullptr, extra_blocks_.data()};
        if (!packed_ || (!ids && !have_input_)) {
            pack_shared(v, weights, true);
            have_input_ = p.input != nullptr;
            packed_ = true;
            tick_ = tick;
        }
        if (back) {
            p.recurrent_back = recurrent_back_.template of<T>(deep(state_gates * hidden) * padded_state);
            p.second_back = second ? second_back_.template of<T>(deep(hidden) * width) : nullptr;
            const size_t deep_gates = deep(static_cast<size_t>(layout.gates) * hidden);
            p.input_back = dx || have_dx_ ? input_back_.template of<T>(deep_gates * padded_inputs) : nullptr;
            if (!have_back_ || (dx && !have_dx_)) pack_shared(v, weights, false);
            have_back_ = true;
            have_dx_ = p.input_back != nullptr;
        }
        if (ids) p.table = table_for(v);
    }

    // A weight takes as long as some 20 operations of a product.
    void pack_shared(const RecurrenceViews<T>& v, const WeightViews<T>& weights, bool forward) {
        const double count = static_cast<double>(cell_->layout.gates) * static_cast<double>(hidden_) *
                             static_cast<double>(state_ + inputs_);
        run(parts_for(20 * count, width_ / lanes_),
            [&](long part, long parts) { kernel().pack(v, weights, forward, part, parts); });
    }

    T* table_for(const RecurrenceViews<T>& v) {
        const size_t columns = static_cast<size_t>(cell_->layout.gates * width_);
        T* const table = table_.template of<T>(columns * static_cast<size_t>(inputs_));
        row_made_.resize(static_cast<size_t>(inputs_), false);
        missing_.clear();
        missing_.reserve(
            static_cast<size_t>(std::min(v.batch.rows, inputs_)));  // nothing below may fail: rows are marked
        for (long n = 0; n < v.batch.rows; ++n) {
            char& made = row_made_[static_cast<size_t>(v.ids[n])];
            if (!made) missing_.push_back(v.ids[n]);
            made = true;
        }
        const long count = static_cast<long>(missing_.size());
        run(parts_for(20.0 * static_cast<double>(columns) * static_cast<double>(count), count),
            [&](long part, long parts) {
                kernel().fill_table(v, weight_ih_.data(), table, missing_.data(), count, part, parts);
            });
        return table;
    }

    In<T> weight_ih_, weight_hh_;
    Maybe<In<T>> weight_hr_, bias_;
    std::vector<In<T>> extras_;
    std::vector<const T*> extra_blocks_;
    const CellKernel<T>* cell_;
    const Format<T>* format_;
    Constants<T> constants_{};
    long hidden_ = 0, inputs_ = 0, state_ = 0, width_ = 0, lanes_ = 0, stride_ = 0, grad_stride_ = 0;
    uint64_t tick_ = 0;
    bool packed_ = false, have_input_ = false, have_back_ = false, have_dx_ = false;
    Buffer input_, recurrent_, recurrent_back_, second_, second_back_, input_back_, start_, extra_values_, units_,
        table_, sums_, da_, dh_, dc_;
    std::vector<char> row_made_;
    std::vector<int64_t> missing_;  // ids whose row of the table is stale
    bool busy_ = false;
    Scratches scratch_;
    RankedBatch batch_;
    GroupedIds groups_;
    bool stop_ = false;
};

}  // namespace elman
