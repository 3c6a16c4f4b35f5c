// The Python module: checks, memory and threads. No maths.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <string>

#include "arrays.h"
#include "batch.h"
#include "buffers.h"
#include "dispatch.h"
#include "threads.h"

#ifndef ELMAN_MUTANT
#    define ELMAN_MUTANT 0
#endif

namespace elman {
namespace {

using Ids = In<int64_t>;

// Below this many operations waking another thread costs more than it saves (a wake takes some 5 µs).
// Tests lower it to see small shapes on many threads.
std::atomic<double> small_work{1e6};

long parts_for(double operations, long most) {
    return operations < small_work.load() ? 1 : std::max(1L, std::min(threads(), most));
}

// Lets other Python threads run, unless the work is shorter than the handover.
class Unlocked {
  public:
    explicit Unlocked(double operations) {
        if (operations > 1e5) released_.emplace();
    }

  private:
    std::optional<nb::gil_scoped_release> released_;
};

// Asked by the caller's thread now and then: has a signal handler raised? Looks at most every 50 ms.
bool interrupted() {
    if (on_worker()) return false;
    static thread_local std::chrono::steady_clock::time_point last;
    const auto now = std::chrono::steady_clock::now();
    if (now - last < std::chrono::milliseconds(50)) return false;
    last = now;
    const nb::gil_scoped_acquire lock;
    return PyErr_CheckSignals() != 0;
}

// Marks a kernel as running. A signal handler may come back to it in mid-run, on the same thread; so may another
// thread.
class Turn {
  public:
    explicit Turn(bool& busy) : busy_(busy) {
        if (busy_)
            throw std::runtime_error(
                "native core: this kernel is running already. Give each thread its own workspace.");
        busy_ = true;
    }
    ~Turn() { busy_ = false; }
    Turn(const Turn&) = delete;
    Turn& operator=(const Turn&) = delete;

  private:
    bool& busy_;
};

void check_ids(const int64_t* ids, int64_t count, int64_t end, const char* what) {
    for (int64_t n = 0; n < count; ++n)
        if (ids[n] < 0 || ids[n] >= end)
            throw nb::value_error(("native core: " + std::string(what) + " out of range, expected 0 to " +
                                   std::to_string(end - 1) + ", got " + std::to_string(ids[n]) + " at position " +
                                   std::to_string(n))
                                      .c_str());
}

template <class F>
void run(long parts, F&& part_of) {
    run_parts(
        parts, [](void* f, long part, long count) { (*static_cast<std::remove_reference_t<F>*>(f))(part, count); },
        &part_of);
}

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

// One dense layer's kernel, bound to its weights.
template <class T>
class Linear {
  public:
    Linear(In<T> weight, In<T> bias) : weight_(weight), bias_(bias) {
        require(weight.ndim() == 2, "weight must be a matrix");
        outputs_ = static_cast<long>(weight.shape(0));
        inputs_ = static_cast<long>(weight.shape(1));
        require(outputs_ > 0 && inputs_ > 0, "sizes must be positive");
        address(bias, "bias", {outputs_});
    }

    void forward(uint64_t tick, int activation, In<T> x, Out<T> y) {
        LinearViews<T> v = views(tick, activation, x);
        v.y = address(y, "y", {v.rows, outputs_});
        const double operations = this->operations(v);
        const long parts = parts_for(operations, v.rows);
        const Unlocked unlocked(operations);
        run(parts, [&](long part, long count) { kernels<T>().linear_forward(v, part, count); });
    }

    // dz: room for dy through the activation; dy itself is used where there is none.
    void backward(uint64_t tick, int activation, In<T> dy, In<T> x, In<T> y, Maybe<Out<T>> dz, Maybe<Out<T>> dx,
                  Out<T> d_weight, Out<T> d_bias) {
        LinearViews<T> v = views(tick, activation, x);
        v.dy = address(dy, "dy", {v.rows, outputs_});
        v.y = const_cast<T*>(address(y, "y", {v.rows, outputs_}));
        require(dz.has_value() == (activation != kIdentity), "dz belongs to layers with an activation");
        v.dz = dz ? address(*dz, "dz", {v.rows, outputs_}) : const_cast<T*>(v.dy);
        v.dx = address(dx, "dx", {v.rows, inputs_});
        v.d_weight = address(d_weight, "d_weight", {outputs_, inputs_});
        v.d_bias = address(d_bias, "d_bias", {outputs_});
        const double operations = 2 * this->operations(v);
        const Kernels<T>& kernel = kernels<T>();
        const long parts = parts_for(operations, v.rows);
        const long panel_parts = parts_for(operations, (outputs_ + kernel.lanes - 1) / kernel.lanes);
        const Unlocked unlocked(operations);
        if (dx || dz) run(parts, [&](long part, long count) { kernel.linear_backward(v, part, count); });
        scratch_.prepare(panel_parts, kernel.linear_weights_scratch(v));
        run(panel_parts, [&](long part, long count) { kernel.linear_weights(v, part, count, scratch_.at(part)); });
    }

  private:
    LinearViews<T> views(uint64_t tick, int activation, const In<T>& x) {
        LinearViews<T> v{};
        require(activation >= kIdentity && activation <= kSoftmax, "no such activation");
        require(x.ndim() == 2, "x must be a matrix");
        v.rows = static_cast<long>(x.shape(0));
        v.input_size = inputs_;
        v.output_size = outputs_;
        v.activation = activation;
        v.x = address(x, "x", {v.rows, inputs_});
        const Kernels<T>& kernel = kernels<T>();
        const auto padded = [&kernel](long n) {
            return static_cast<size_t>((n + kernel.lanes - 1) / kernel.lanes * kernel.lanes);
        };
        T* const packed = packed_.template of<T>(static_cast<size_t>(inputs_) * padded(outputs_));
        T* const packed_back = packed_back_.template of<T>(static_cast<size_t>(outputs_) * padded(inputs_));
        T* const bias = padded_bias_.template of<T>(padded(outputs_));
        if (!made_ || tick != tick_) {
            kernel.linear_pack(v, weight_.data(), bias_.data(), packed, packed_back, bias);
            made_ = true;
            tick_ = tick;
        }
        v.packed = packed;
        v.packed_back = packed_back;
        v.bias = bias;
        return v;
    }

    double operations(const LinearViews<T>& v) const {
        return 2.0 * static_cast<double>(inputs_) * static_cast<double>(outputs_) * static_cast<double>(v.rows);
    }

    In<T> weight_, bias_;
    long inputs_ = 0, outputs_ = 0;
    uint64_t tick_ = 0;
    bool made_ = false;
    Buffer packed_, packed_back_, padded_bias_;
    Scratches scratch_;
};

// Σ weight · -log softmax(logits)[target], and scale times its gradient.
template <class T>
double cross_entropy(In<T> logits, Ids targets, Maybe<In<T>> weights, double scale, Maybe<Out<T>> d_logits) {
    require(logits.ndim() == 2 && logits.shape(1) > 0, "logits must be a matrix");
    CrossEntropyViews<T> v{};
    v.rows = static_cast<long>(logits.shape(0));
    v.classes = static_cast<long>(logits.shape(1));
    v.logits = address(logits, "logits", {v.rows, v.classes});
    v.targets = address(targets, "targets", {v.rows});
    v.weights = address(weights, "weights", {v.rows});
    v.d_logits = address(d_logits, "d_logits", {v.rows, v.classes});
    v.scale = scale;
    check_ids(v.targets, v.rows, v.classes, "target");
    std::vector<double> losses(static_cast<size_t>(v.rows));
    v.losses = losses.data();
    const double operations = 20.0 * static_cast<double>(v.rows) * static_cast<double>(v.classes);
    {
        const Unlocked unlocked(operations);
        run(parts_for(operations, v.rows), [&](long part, long count) { kernels<T>().cross_entropy(v, part, count); });
    }
    double sum = 0;
    for (const double loss : losses) sum += loss;
    return sum;
}

// d_weight[ids[n]] += dy[n], in the order of n.
template <class T>
void add_rows(Ids ids, In<T> dy, Out<T> d_weight) {
    require(ids.ndim() == 1 && d_weight.ndim() == 2, "ids must be a vector and d_weight a matrix");
    RowsViews<T> v{};
    v.rows = static_cast<long>(ids.shape(0));
    v.columns = static_cast<long>(d_weight.shape(1));
    v.ids = address(ids, "ids", {v.rows});
    v.dy = address(dy, "dy", {v.rows, v.columns});
    v.d_weight = address(d_weight, "d_weight", {static_cast<int64_t>(d_weight.shape(0)), v.columns});
    check_ids(v.ids, v.rows, static_cast<int64_t>(d_weight.shape(0)), "token id");
    const double operations = static_cast<double>(v.rows) * static_cast<double>(v.columns);
    const Unlocked unlocked(operations);
    run(parts_for(operations, v.columns), [&](long part, long count) { kernels<T>().add_rows(v, part, count); });
}

// One step of Adam over flat arrays.
template <class T>
void adam(Out<T> flat, In<T> grads, Out<T> m, Out<T> v, double beta_1, double beta_2, double root_correction,
          double epsilon, double step_size) {
    require(flat.ndim() == 1, "parameters must be a vector");
    const int64_t count = static_cast<int64_t>(flat.shape(0));
    AdamViews<T> views{count,
                       address(flat, "flat", {count}),
                       address(grads, "grads", {count}),
                       address(m, "m", {count}),
                       address(v, "v", {count}),
                       static_cast<T>(1.0 - beta_1),
                       static_cast<T>(beta_2),
                       static_cast<T>(1.0 - beta_2),
                       static_cast<T>(root_correction),
                       static_cast<T>(epsilon),
                       static_cast<T>(step_size)};
    const double operations = 20.0 * static_cast<double>(count);
    const Unlocked unlocked(operations);
    run(parts_for(operations, count), [&](long part, long parts) { kernels<T>().adam(views, part, parts); });
}

template <class T>
double sum_of_squares(In<T> x) {
    require(x.ndim() == 1, "x must be a vector");
    const long count = static_cast<long>(x.shape(0));
    std::vector<double> sums(static_cast<size_t>((count + kSquareBlock - 1) / kSquareBlock));
    const SquaresViews<T> v{count, x.data(), sums.data()};
    const double operations = 2.0 * static_cast<double>(count);
    {
        const Unlocked unlocked(operations);
        run(parts_for(operations, static_cast<long>(sums.size())),
            [&](long part, long parts) { kernels<T>().squares(v, part, parts); });
    }
    double total = 0;
    for (const double sum : sums) total += sum;
    return total;
}

template <class T>
void elementwise(const std::string& function, In<T> x, Out<T> y) {
    const int code = function == "tanh" ? kTanh : function == "sigmoid" ? kSigmoid : function == "exp" ? kIdentity : -1;
    require(code >= 0, "elementwise functions are tanh, sigmoid and exp");
    require(x.ndim() == 1, "x must be a vector");
    const int64_t n = static_cast<int64_t>(x.shape(0));
    T* const to = address(y, "y", {n});
    run(1, [&](long, long) { kernels<T>().elementwise(code, x.data(), to, n); });
}

template <class T>
void bind(nb::module_& m, const char* suffix) {
    const auto one = [](const char* name) { return nb::arg(name).noconvert(); };
    const auto maybe = [](const char* name) { return nb::arg(name).noconvert().none(); };
    nb::class_<Recurrence<T>>(m, (std::string("Recurrence") + suffix).c_str())
        .def(nb::init<const std::string&, In<T>, In<T>, In<T>, Maybe<In<T>>>(), nb::arg("cell"), one("weight_ih"),
             one("weight_hh"), one("bias"), maybe("bias_hn"))
        .def_prop_ro("tape_width", &Recurrence<T>::tape_width)
        .def_prop_ro("cell_width", &Recurrence<T>::cell_width)
        .def("forward", &Recurrence<T>::forward, nb::arg("tick"), maybe("x"), maybe("ids"), one("lengths"), maybe("h0"),
             maybe("c0"), one("y"), one("h_last"), maybe("c_last"), maybe("gates"), maybe("cells"))
        .def("backward", &Recurrence<T>::backward, nb::arg("tick"), maybe("dy"), maybe("x"), maybe("ids"),
             one("lengths"), maybe("h0"), maybe("c0"), one("y"), one("gates"), maybe("cells"), maybe("dh_last"),
             maybe("dc_last"), one("da"), maybe("dx"), maybe("dh0"), maybe("dc0"), maybe("dh"), one("d_weight_ih"),
             one("d_weight_hh"), one("d_bias"), maybe("d_bias_hn"));
    nb::class_<Linear<T>>(m, (std::string("Linear") + suffix).c_str())
        .def(nb::init<In<T>, In<T>>(), one("weight"), one("bias"))
        .def("forward", &Linear<T>::forward, nb::arg("tick"), nb::arg("activation"), one("x"), one("y"))
        .def("backward", &Linear<T>::backward, nb::arg("tick"), nb::arg("activation"), one("dy"), one("x"), one("y"),
             maybe("dz"), maybe("dx"), one("d_weight"), one("d_bias"));
    m.def("cross_entropy", &cross_entropy<T>, one("logits"), one("targets"), maybe("weights"), nb::arg("scale"),
          maybe("d_logits"));
    m.def("add_rows", &add_rows<T>, one("ids"), one("dy"), one("d_weight"));
    m.def("adam", &adam<T>, one("flat"), one("grads"), one("m"), one("v"), nb::arg("beta_1"), nb::arg("beta_2"),
          nb::arg("root_correction"), nb::arg("epsilon"), nb::arg("step_size"));
    m.def("sum_of_squares", &sum_of_squares<T>, one("x"));
    m.def("elementwise", &elementwise<T>, nb::arg("function"), one("x"), one("y"));
}

}  // namespace
}  // namespace elman

NB_MODULE(_native, m) {
    using namespace elman;
    m.doc() = "The native core: the recurrence, its gradient, and the row-wise matrix product.";
    const char* const wanted = std::getenv("ELMAN_ISA");
    if (!choose_isa(wanted ? wanted : ""))
        throw nb::import_error((std::string("ELMAN_ISA: this machine or build has no '") + wanted +
                                "', expected avx512, avx2 or baseline. Unset it to choose the best.")
                                   .c_str());
    bind<float>(m, "32");
    bind<double>(m, "64");
    m.def("isa", [] { return kernels<float>().isa; });
    m.def("lanes", [] { return kernels<float>().lanes; });
    m.def("has_cell", [](const std::string& cell) { return cell_index(cell.c_str()) >= 0; });
    m.def("get_threads", &threads);
    m.attr("ACTIVATIONS") = nb::make_tuple("identity", "tanh", "sigmoid", "relu", "softmax");
    m.def("set_threads", &set_threads);
    m.def("set_small_work", [](double operations) { small_work.store(operations); });
}
