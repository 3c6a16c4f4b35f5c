// Connectionist temporal classification, its loss and its search: checks and memory. No maths.
#pragma once

#include <nanobind/nanobind.h>
#include <nanobind/stl/optional.h>

#include <algorithm>
#include <numeric>
#include <vector>

#include "buffers.h"
#include "dispatch.h"
#include "running.h"

namespace elman {

// Where each sequence begins, from lengths that must be >= 0 and add up to `rows`.
inline std::vector<int64_t> starts_of(const Ids& lengths, int64_t rows, const char* what) {
    require(lengths.ndim() == 1, "lengths must be a vector");
    std::vector<int64_t> starts{0};
    for (size_t b = 0; b < lengths.shape(0); ++b) {
        const int64_t length = lengths.data()[b];
        require(length >= 0 && length <= rows - starts.back(), what);
        starts.push_back(starts.back() + length);
    }
    require(starts.back() == rows, what);
    return starts;
}

// -log p(labels | logits) of each sequence, and scale times the gradient of their weighted sum.
template <class T>
void ctc(In<T> logits, Ids lengths, Ids labels, Ids label_lengths, int64_t blank, Maybe<In<double>> weights,
         double scale, Out<double> losses, Maybe<Out<T>> d_logits) {
    require(logits.ndim() == 2 && logits.shape(1) > 0, "logits must be a matrix");
    require(labels.ndim() == 1, "labels must be a vector");
    CtcViews<T> v{};
    const int64_t rows = static_cast<int64_t>(logits.shape(0)), count = static_cast<int64_t>(labels.shape(0));
    v.classes = static_cast<long>(logits.shape(1));
    v.blank = blank;
    const std::vector<int64_t> first_row = starts_of(lengths, rows, "lengths must add up to the rows of logits");
    v.sequences = static_cast<long>(lengths.shape(0));
    address(label_lengths, "label_lengths", {v.sequences});
    const std::vector<int64_t> first_label = starts_of(label_lengths, count, "label_lengths must add up to the labels");
    v.logits = address(logits, "logits", {rows, v.classes});
    v.labels = address(labels, "labels", {count});
    v.weights = address(weights, "weights", {v.sequences});
    v.losses = address(losses, "losses", {v.sequences});
    v.d_logits = address(d_logits, "d_logits", {rows, v.classes});
    v.scale = scale;
    check_ids(&blank, 1, v.classes, "blank");
    check_ids(v.labels, count, v.classes, "label");
    require(std::find(v.labels, v.labels + count, blank) == v.labels + count, "a label is the blank");
    std::vector<int64_t> order(static_cast<size_t>(v.sequences));
    std::iota(order.begin(), order.end(), 0);
    const auto work = [&](int64_t b) {
        const size_t at = static_cast<size_t>(b);
        const int64_t steps = first_row[at + 1] - first_row[at], places = first_label[at + 1] - first_label[at];
        return static_cast<double>(steps) *
               (30.0 * static_cast<double>(places) + 10.0 * static_cast<double>(v.classes));
    };
    double operations = 0;
    for (const int64_t b : order) operations += work(b);
    std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) { return work(a) > work(b); });
    v.order = order.data();
    v.first_row = first_row.data();
    v.first_label = first_label.data();
    bool stop = false;
    v.interrupt = {&stop, interrupted};
    const long parts = parts_for(operations, v.sequences);
    {
        const Unlocked unlocked(operations);
        const Kernels<T>& kernel = kernels<T>();
        Scratches scratch;
        scratch.prepare(parts, kernel.ctc_scratch(v));
        run(parts, [&](long part, long n_parts) { kernel.ctc(v, part, n_parts, scratch.at(part)); });
    }
    if (stop) throw nb::python_error();
}

}  // namespace elman
