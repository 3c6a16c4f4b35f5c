// Connectionist temporal classification, its loss and its search: checks and memory. No maths.
#pragma once

#include <nanobind/nanobind.h>
#include <nanobind/stl/optional.h>

#include <algorithm>
#include <atomic>
#include <exception>
#include <memory>
#include <mutex>
#include <numeric>
#include <utility>
#include <vector>

#include "beam.h"
#include "buffers.h"
#include "dispatch.h"
#include "running.h"

namespace elman {

// Where each sequence begins, from lengths that must be >= 0 and add up to `rows`.
inline std::vector<int64_t> starts_of(const Ids& lengths, int64_t rows, const char* what) {
    require(lengths.ndim() == 1, "lengths must be a vector");
    address(lengths, "lengths", {static_cast<int64_t>(lengths.shape(0))});
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

// A NumPy array that owns these elements.
template <class X>
nb::ndarray<nb::numpy, X, nb::ndim<1>> array_of(std::vector<X>&& elements) {
    auto owned = std::make_unique<std::vector<X>>(std::move(elements));
    nb::capsule owner(owned.get(), [](void* p) noexcept { delete static_cast<std::vector<X>*>(p); });
    std::vector<X>& kept = *owned.release();
    return nb::ndarray<nb::numpy, X, nb::ndim<1>>(kept.data(), {kept.size()}, owner);
}

// The likeliest readings of each sequence, best first: how many there are (B,), the logarithm of the probability of
// each, the number of labels of each, and the labels of all.
template <class T>
nb::tuple ctc_beams(In<T> logits, Ids lengths, int64_t blank, int64_t width) {
    require(logits.ndim() == 2 && logits.shape(1) > 0, "logits must be a matrix");
    const int64_t rows = static_cast<int64_t>(logits.shape(0)), classes = static_cast<int64_t>(logits.shape(1));
    const T* const from = address(logits, "logits", {rows, classes});
    const std::vector<int64_t> first_row = starts_of(lengths, rows, "lengths must add up to the rows of logits");
    check_ids(&blank, 1, classes, "blank");
    require(width > 0, "the width must be positive");
    const long sequences = static_cast<long>(lengths.shape(0));
    std::vector<std::vector<Reading>> found(static_cast<size_t>(sequences));
    // Longest first: the caller's thread, which alone hears signals, then has as much to do as any other.
    std::vector<int64_t> order(static_cast<size_t>(sequences));
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(),
                     [&lengths](int64_t a, int64_t b) { return lengths.data()[a] > lengths.data()[b]; });
    std::atomic<bool> stop{false};
    std::mutex guard;
    std::exception_ptr failure;  // memory may run out, and no exception may leave a thread of the pool
    const double operations =
        20.0 * static_cast<double>(rows) * static_cast<double>(classes) * static_cast<double>(width);
    {
        const Unlocked unlocked(operations);
        run(parts_for(operations, sequences), [&](long part, long parts) {
            try {
                BeamSearch search(classes, blank, width);
                for (long k = part; k < sequences; k += parts) {
                    const int64_t b = order[static_cast<size_t>(k)];
                    const int64_t first = first_row[static_cast<size_t>(b)],
                                  end = first_row[static_cast<size_t>(b) + 1];
                    found[static_cast<size_t>(b)] = search(from + first * classes, end - first, [&] {
                        if (interrupted()) stop.store(true);
                        return stop.load();
                    });
                }
            } catch (...) {
                const std::lock_guard<std::mutex> lock(guard);
                failure = std::current_exception();
            }
        });
    }
    if (failure) std::rethrow_exception(failure);
    if (stop) throw nb::python_error();
    std::vector<int64_t> counts, label_lengths, labels;
    std::vector<double> log_probabilities;
    for (const std::vector<Reading>& readings : found) {
        counts.push_back(static_cast<int64_t>(readings.size()));
        for (const Reading& reading : readings) {
            log_probabilities.push_back(reading.log_probability);
            label_lengths.push_back(static_cast<int64_t>(reading.labels.size()));
            labels.insert(labels.end(), reading.labels.begin(), reading.labels.end());
        }
    }
    return nb::make_tuple(array_of(std::move(counts)), array_of(std::move(log_probabilities)),
                          array_of(std::move(label_lengths)), array_of(std::move(labels)));
}

}  // namespace elman
