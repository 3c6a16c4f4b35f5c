// Steps of a stream: kernels with the places of their input, state and output bound once, so that a step is a call
// without arrays; and the doors through which the input comes. No maths.
#pragma once

#include <nanobind/stl/pair.h>

#include <cmath>
#include <limits>
#include <utility>

#include "bind_linear.h"
#include "bind_recurrence.h"

namespace elman {

// A recurrent layer, one step of n sequences at a time. There are two places for the state: a step on side s reads
// state s and writes the other one, so that a step that fails has changed nothing.
template <class T>
class RecurrenceSteps {
  public:
    typedef std::pair<Out<T>, Out<T>> Sides;

    RecurrenceSteps(Recurrence<T>& kernel, Maybe<In<T>> x, Maybe<Ids> ids, In<int64_t> lengths, Sides h, Maybe<Sides> c,
                    Maybe<nb::tuple> masks, Out<T> y)
        : kernel_(kernel), x_(x), ids_(ids), h_(h), c_(c), y_(y) {
        bind(0, lengths, h.first, h.second, c ? Maybe<Out<T>>(c->first) : Maybe<Out<T>>(),
             c ? Maybe<Out<T>>(c->second) : Maybe<Out<T>>(), masks);
        bind(1, lengths, h.second, h.first, c ? Maybe<Out<T>>(c->second) : Maybe<Out<T>>(),
             c ? Maybe<Out<T>>(c->first) : Maybe<Out<T>>(), masks);
    }

    void advance(uint64_t tick, int side) {
        require(side == 0 || side == 1, "a state has two sides");
        const Turn turn(kernel_.busy_);
        RecurrenceViews<T>& v = views_[side];
        if (v.ids) check_ids(v.ids, v.batch.rows, kernel_.inputs_, "token id");
        kernel_.stop_ = false;
        kernel_.run_forward(tick, v);
    }

  private:
    typedef typename Recurrence<T>::Noise Noise;

    void bind(int side, const In<int64_t>& lengths, const Out<T>& h, const Out<T>& h_next, const Maybe<Out<T>>& c,
              const Maybe<Out<T>>& c_next, const Maybe<nb::tuple>& masks) {
        const Maybe<In<T>> c0 = c ? Maybe<In<T>>(In<T>(c->handle())) : Maybe<In<T>>();
        RecurrenceViews<T>& v = views_[side];
        v = kernel_.views(x_, ids_, lengths, In<T>(h.handle()), c0);
        noise_[side] = kernel_.noise(v, masks);
        kernel_.outputs(v, y_, h_next, c_next, {}, {});
        v.batch = batch_.of(lengths.data(), v.batch.ranks);  // the kernel's own is another one with every batch
    }

    Recurrence<T>& kernel_;
    Maybe<In<T>> x_;
    Maybe<Ids> ids_;
    Sides h_;
    Maybe<Sides> c_;
    Out<T> y_;
    Noise noise_[2];
    RankedBatch batch_;
    RecurrenceViews<T> views_[2];
};

template <class T>
class LinearSteps {
  public:
    LinearSteps(Linear<T>& kernel, int activation, In<T> x, Out<T> y)
        : kernel_(kernel), activation_(activation), x_(x), y_(y) {}

    void advance(uint64_t tick, int) { kernel_.forward(tick, activation_, x_, y_); }

  private:
    Linear<T>& kernel_;
    int activation_;
    In<T> x_;
    Out<T> y_;
};

// The rows that ids choose, read from the weights as they are.
template <class T>
class LookupSteps {
  public:
    LookupSteps(In<T> weight, Ids ids, Out<T> y) : weight_(weight), ids_(ids), y_(y) {
        require(weight.ndim() == 2 && ids.ndim() == 1, "weight must be a matrix and ids a vector");
        address(weight, "weight", {static_cast<int64_t>(weight.shape(0)), static_cast<int64_t>(weight.shape(1))});
        address(ids, "ids", {static_cast<int64_t>(ids.shape(0))});
        address(y, "y", {static_cast<int64_t>(ids.shape(0)), static_cast<int64_t>(weight.shape(1))});
    }

    void advance(uint64_t, int) {
        const size_t width = weight_.shape(1), rows = ids_.shape(0);
        check_ids(ids_.data(), static_cast<int64_t>(rows), static_cast<int64_t>(weight_.shape(0)), "token id");
        for (size_t n = 0; n < rows; ++n)
            memcpy(y_.data() + n * width, weight_.data() + static_cast<size_t>(ids_.data()[n]) * width,
                   sizeof(T) * width);
    }

  private:
    In<T> weight_;
    Ids ids_;
    Out<T> y_;
};

// A plain NumPy array, C-contiguous and in this machine's byte order; no dimensions and format 0 if it is anything
// else. Of its kin (masked arrays, matrices) the memory alone says too little.
class Shown {
  public:
    Shown(nb::handle x, nb::handle plain) {
        if (reinterpret_cast<PyObject*>(Py_TYPE(x.ptr())) != plain.ptr()) return;
        shows_ = PyObject_GetBuffer(x.ptr(), &view_, PyBUF_C_CONTIGUOUS | PyBUF_FORMAT) == 0;
        if (!shows_) PyErr_Clear();
    }
    ~Shown() {
        if (shows_) PyBuffer_Release(&view_);
    }
    Shown(const Shown&) = delete;
    Shown& operator=(const Shown&) = delete;

    char format() const { return shows_ && view_.format && view_.format[0] && !view_.format[1] ? view_.format[0] : 0; }
    int ndim() const { return shows_ ? view_.ndim : 0; }
    Py_ssize_t shape(int axis) const { return view_.shape[axis]; }
    template <class T>
    const T* data() const {
        return reinterpret_cast<uintptr_t>(view_.buf) % alignof(T) ? nullptr : static_cast<const T*>(view_.buf);
    }

  private:
    Py_buffer view_{};
    bool shows_ = false;
};

inline nb::object plain_array() {
    return nb::module_::import_("numpy").attr("ndarray");
}

// What a door says of what came: nothing is taken of what is not exactly right, for Python to say what is wrong or to
// bring it into form. A row may come without the axis of the batch where there is one stream.
enum Taken { kNotTaken = 0, kOneRow = 1, kRows = 2 };

template <class T>
class NumbersDoor {
  public:
    explicit NumbersDoor(Out<T> rows) : rows_(rows), plain_(plain_array()) {
        require(rows.ndim() == 2, "rows must be a matrix");
        address(rows, "rows", {static_cast<int64_t>(rows.shape(0)), static_cast<int64_t>(rows.shape(1))});
    }

    int take(nb::handle x) {
        const Shown shown(x, plain_);
        const Py_ssize_t rows = static_cast<Py_ssize_t>(rows_.shape(0)),
                         width = static_cast<Py_ssize_t>(rows_.shape(1));
        const bool batch = shown.ndim() == 2 && shown.shape(0) == rows && shown.shape(1) == width;
        if (!batch && !(shown.ndim() == 1 && rows == 1 && shown.shape(0) == width)) return kNotTaken;
        const bool taken = shown.format() == 'f'   ? copy(shown.template data<float>())
                           : shown.format() == 'd' ? copy(shown.template data<double>())
                                                   : false;
        return !taken ? kNotTaken : batch ? kRows : kOneRow;
    }

  private:
    // Whether all numbers are finite once they are of type T; checked before any is written.
    template <class From>
    bool copy(const From* from) {
        if (!from) return false;
        const size_t count = rows_.shape(0) * rows_.shape(1);
        T* const to = rows_.data();
        int odd = 0;
        for (size_t i = 0; i < count; ++i)
            odd |= !(std::abs(static_cast<T>(from[i])) < std::numeric_limits<T>::infinity());
        if (odd) return false;
        for (size_t i = 0; i < count; ++i) to[i] = static_cast<T>(from[i]);
        return true;
    }

    Out<T> rows_;
    nb::object plain_;
};

class IdsDoor {
  public:
    IdsDoor(Out<int64_t> ids, int64_t end) : ids_(ids), end_(end), plain_(plain_array()) {
        require(ids.ndim() == 1, "ids must be a vector");
        address(ids, "ids", {static_cast<int64_t>(ids.shape(0))});
    }

    int take(nb::handle x) {
        const size_t rows = ids_.shape(0);
        if (PyLong_CheckExact(x.ptr())) {
            const long long id = PyLong_AsLongLong(x.ptr());
            if (id == -1) PyErr_Clear();  // too large, or minus one: neither is a token id
            if (rows != 1 || id < 0 || id >= end_) return kNotTaken;
            ids_.data()[0] = id;
            return kOneRow;
        }
        const Shown shown(x, plain_);
        const bool whole = shown.format() == 'l' || shown.format() == 'q';
        if (!whole || shown.ndim() != 1 || shown.shape(0) != static_cast<Py_ssize_t>(rows)) return kNotTaken;
        const int64_t* const from = shown.data<int64_t>();
        if (!from) return kNotTaken;
        for (size_t n = 0; n < rows; ++n)
            if (from[n] < 0 || from[n] >= end_) return kNotTaken;
        std::copy_n(from, rows, ids_.data());
        return kRows;
    }

  private:
    Out<int64_t> ids_;
    int64_t end_;
    nb::object plain_;
};

template <class T>
void bind_steps(nb::module_& m, const char* suffix) {
    const auto one = [](const char* name) { return nb::arg(name).noconvert(); };
    const auto maybe = [](const char* name) { return nb::arg(name).noconvert().none(); };
    nb::class_<RecurrenceSteps<T>>(m, (std::string("RecurrenceSteps") + suffix).c_str())
        .def(nb::init<Recurrence<T>&, Maybe<In<T>>, Maybe<Ids>, In<int64_t>, std::pair<Out<T>, Out<T>>,
                      Maybe<std::pair<Out<T>, Out<T>>>, Maybe<nb::tuple>, Out<T>>(),
             nb::keep_alive<1, 2>(), nb::arg("kernel"), maybe("x"), maybe("ids"), one("lengths"), one("h"), maybe("c"),
             maybe("masks"), one("y"))
        .def("advance", &RecurrenceSteps<T>::advance, nb::arg("tick"), nb::arg("side"));
    nb::class_<LinearSteps<T>>(m, (std::string("LinearSteps") + suffix).c_str())
        .def(nb::init<Linear<T>&, int, In<T>, Out<T>>(), nb::keep_alive<1, 2>(), nb::arg("kernel"),
             nb::arg("activation"), one("x"), one("y"))
        .def("advance", &LinearSteps<T>::advance, nb::arg("tick"), nb::arg("side"));
    nb::class_<LookupSteps<T>>(m, (std::string("LookupSteps") + suffix).c_str())
        .def(nb::init<In<T>, Ids, Out<T>>(), one("weight"), one("ids"), one("y"))
        .def("advance", &LookupSteps<T>::advance, nb::arg("tick"), nb::arg("side"));
    nb::class_<NumbersDoor<T>>(m, (std::string("NumbersDoor") + suffix).c_str())
        .def(nb::init<Out<T>>(), one("rows"))
        .def("take", &NumbersDoor<T>::take, nb::arg("x").none());
}

inline void bind_ids_door(nb::module_& m) {
    nb::class_<IdsDoor>(m, "IdsDoor")
        .def(nb::init<Out<int64_t>, int64_t>(), nb::arg("ids").noconvert(), nb::arg("end"))
        .def("take", &IdsDoor::take, nb::arg("x").none());
}

}  // namespace elman
