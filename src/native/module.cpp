// The Python module: the classes of bind_*.h and what needs none. No maths.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <cstdlib>
#include <string>
#include <vector>

#include "arrays.h"
#include "bind_ctc.h"
#include "bind_linear.h"
#include "bind_recurrence.h"
#include "bind_stream.h"
#include "dispatch.h"
#include "running.h"

namespace elman {
namespace {

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
        .def(nb::init<const std::string&, const std::string&, const std::string&, In<T>, In<T>, Maybe<In<T>>,
                      Maybe<In<T>>, std::vector<In<T>>, const std::string&>(),
             nb::arg("cell"), nb::arg("activation"), nb::arg("gate_activation"), one("weight_ih"), one("weight_hh"),
             maybe("weight_hr"), maybe("bias"), nb::arg("extras").noconvert(), nb::arg("format") = "")
        .def_prop_ro("tape_width", &Recurrence<T>::tape_width)
        .def_prop_ro("cell_width", &Recurrence<T>::cell_width)
        .def("forward", &Recurrence<T>::forward, nb::arg("tick"), maybe("x"), maybe("ids"), one("lengths"), maybe("h0"),
             maybe("c0"), maybe("masks"), one("y"), one("h_last"), maybe("c_last"), maybe("gates"), maybe("cells"))
        .def("backward", &Recurrence<T>::backward, nb::arg("tick"), maybe("dy"), maybe("x"), maybe("ids"),
             one("lengths"), maybe("h0"), maybe("c0"), maybe("masks"), one("y"), one("gates"), maybe("cells"),
             maybe("dh_last"), maybe("dc_last"), maybe("dx"), maybe("dh0"), maybe("dc0"), maybe("dh"),
             one("d_weight_ih"), one("d_weight_hh"), maybe("d_weight_hr"), maybe("d_bias"),
             nb::arg("d_extras").noconvert());
    nb::class_<Linear<T>>(m, (std::string("Linear") + suffix).c_str())
        .def(nb::init<In<T>, In<T>, const std::string&>(), one("weight"), one("bias"), nb::arg("format") = "")
        .def("forward", &Linear<T>::forward, nb::arg("tick"), nb::arg("activation"), one("x"), one("y"))
        .def("backward", &Linear<T>::backward, nb::arg("tick"), nb::arg("activation"), one("dy"), one("x"), one("y"),
             maybe("dz"), maybe("dx"), one("d_weight"), one("d_bias"));
    bind_steps<T>(m, suffix);
    m.def("cross_entropy", &cross_entropy<T>, one("logits"), one("targets"), maybe("weights"), nb::arg("scale"),
          maybe("d_logits"));
    m.def("ctc", &ctc<T>, one("logits"), one("lengths"), one("labels"), one("label_lengths"), nb::arg("blank"),
          maybe("weights"), nb::arg("scale"), one("losses"), maybe("d_logits"));
    m.def("ctc_beams", &ctc_beams<T>, one("logits"), one("lengths"), nb::arg("blank"), nb::arg("width"));
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
                                "', expected avx512bf16, avx512, avx2 or baseline. Unset it to choose the best.")
                                   .c_str());
    bind<float>(m, "32");
    bind<double>(m, "64");
    bind_ids_door(m);
    m.def("isa", [] { return isa(); });
    m.def("lanes", [] { return kernels<float>().lanes; });
    m.def("has_cell", [](const std::string& cell) { return cell_index(cell.c_str()) >= 0; });
    m.def("get_threads", &threads);
    m.attr("ACTIVATIONS") = nb::make_tuple("identity", "tanh", "sigmoid", "relu", "softmax", "hard_sigmoid");
    m.def("set_threads", &set_threads);
    // How many threads will share work of so many operations: rows, or sequences of so many steps.
    m.def("threads_for", [](double operations, long most, long steps) {
        return std::max(steps ? crew_for(operations, steps, most) : 1L, parts_for(operations, most));
    });
    m.def("set_allocations_left", [](long count) { allocations_left.store(count); });
    m.def("set_small_work", [](double operations) { small_work.store(operations); });
    m.def("set_most_block_rows", [](long rows) { most_block_rows.store(std::max(1L, rows)); });
}
