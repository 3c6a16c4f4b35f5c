// Which instruction set runs: chosen once, when the module is imported.
#pragma once

#include "views.h"

namespace elman {

template <class T>
const Kernels<T>& kernels();

// Choose by name ("avx512bf16", "avx512", "avx2", "baseline"), or the best this machine has where name is empty. False
// if this machine or this build does not have it.
bool choose_isa(const char* name);
const char* isa();

// A format that weights of float can be held in (views.h, Format), or null if there is none of this name.
const Format<float>* format(const char* name);

// Position of a native cell in the tables, or -1.
int cell_index(const char* name);

}  // namespace elman
