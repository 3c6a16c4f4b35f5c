// The door: every array is checked here before a kernel sees its address. nanobind has already checked the element
// type, C order and that an output is writable.
#pragma once

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <stdexcept>
#include <string>

namespace elman {

namespace nb = nanobind;

template <class T>
using In = nb::ndarray<const T, nb::c_contig, nb::device::cpu>;
template <class T>
using Out = nb::ndarray<T, nb::c_contig, nb::device::cpu>;
template <class A>
using Maybe = std::optional<A>;

inline std::string shape_text(std::initializer_list<int64_t> shape) {
    std::string text = "(";
    for (const int64_t n : shape) text += (text.size() > 1 ? ", " : "") + std::to_string(n);
    return text + (shape.size() == 1 ? ",)" : ")");
}

template <class A>
std::string shape_text(const A& array) {
    std::string text = "(";
    for (size_t i = 0; i < array.ndim(); ++i) text += (i ? ", " : "") + std::to_string(array.shape(i));
    return text + (array.ndim() == 1 ? ",)" : ")");
}

// The address of an array that must have this shape.
template <class A>
auto* address(const A& array, const char* name, std::initializer_list<int64_t> shape) {
    bool same = array.ndim() == shape.size();
    size_t i = 0;
    for (const int64_t n : shape) same = same && static_cast<int64_t>(array.shape(i++)) == n;
    if (!same)
        throw nb::value_error(("native core: " + std::string(name) + " has the wrong shape, expected " +
                               shape_text(shape) + ", got " + shape_text(array))
                                  .c_str());
    if (reinterpret_cast<uintptr_t>(array.data()) % alignof(typename A::Scalar) != 0)
        throw nb::value_error(("native core: " + std::string(name) + " is not aligned to its element size").c_str());
    return array.data();
}

template <class A>
auto address(const Maybe<A>& array, const char* name, std::initializer_list<int64_t> shape)
    -> decltype(address(*array, name, shape)) {
    return array ? address(*array, name, shape) : nullptr;
}

inline void require(bool present, const char* what) {
    if (!present) throw nb::value_error(("native core: " + std::string(what)).c_str());
}

// A product of sizes, or an error where it leaves 64 bits.
inline int64_t checked_product(std::initializer_list<int64_t> factors) {
    int64_t product = 1;
    for (const int64_t f : factors)
        if (__builtin_mul_overflow(product, f, &product)) throw std::bad_alloc();
    return product;
}

}  // namespace elman
