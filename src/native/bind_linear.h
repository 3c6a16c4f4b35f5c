// The Python class of a dense layer's kernel: checks, memory, packed weights. No maths.
#pragma once

#include <nanobind/stl/optional.h>

#include "buffers.h"
#include "dispatch.h"
#include "running.h"

namespace elman {

// One dense layer's kernel, bound to its weights.
template <class T>
class Linear {
  public:
    Linear(In<T> weight, In<T> bias, const std::string& format)
        : weight_(weight), bias_(bias), format_(format_of<T>(format)) {
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
        scratch_.prepare(parts, kernels<T>().linear_scratch(v));
        run(parts, [&](long part, long count) { kernels<T>().linear_forward(v, part, count, scratch_.at(part)); });
    }

    // dz: room for dy through the activation; dy itself is used where there is none.
    void backward(uint64_t tick, int activation, In<T> dy, In<T> x, In<T> y, Maybe<Out<T>> dz, Maybe<Out<T>> dx,
                  Out<T> d_weight, Out<T> d_bias) {
        require(has_way_back(format_), "weights in this format have no way back");
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
        scratch_.prepare(parts, kernel.linear_scratch(v));
        if (dx || dz)
            run(parts, [&](long part, long count) { kernel.linear_backward(v, part, count, scratch_.at(part)); });
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
        v.format = format_;
        v.x = address(x, "x", {v.rows, inputs_});
        const Kernels<T>& kernel = kernels<T>();
        const auto padded = [&kernel](long n) {
            return static_cast<size_t>((n + kernel.lanes - 1) / kernel.lanes * kernel.lanes);
        };
        const auto deep = [this](long k) { return static_cast<size_t>(cells(format_, k)); };
        T* const packed = packed_.template of<T>(deep(inputs_) * padded(outputs_));
        T* const packed_back =
            has_way_back(format_) ? packed_back_.template of<T>(deep(outputs_) * padded(inputs_)) : nullptr;
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
    const Format<T>* format_;
    long inputs_ = 0, outputs_ = 0;
    uint64_t tick_ = 0;
    bool made_ = false;
    Buffer packed_, packed_back_, padded_bias_;
    Scratches scratch_;
};

}  // namespace elman
