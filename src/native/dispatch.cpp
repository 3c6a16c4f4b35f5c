#include "dispatch.h"

#include <cstring>

namespace elman {

#define ELMAN_DECLARE(isa)                       \
    namespace isa {                              \
    extern const Kernels<float> kernels_float;   \
    extern const Kernels<double> kernels_double; \
    }
ELMAN_DECLARE(baseline)
#if ELMAN_HAVE_X86
ELMAN_DECLARE(avx2)
ELMAN_DECLARE(avx512)
#endif
#undef ELMAN_DECLARE

namespace {

struct Choice {
    const char* name;
    bool (*runs_here)();
    const Kernels<float>* single;
    const Kernels<double>* twofold;
};

const Choice choices[] = {
#if ELMAN_HAVE_X86
    {"avx512",
     [] {
         return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
                __builtin_cpu_supports("fma");
     },
     &avx512::kernels_float, &avx512::kernels_double},
    {"avx2", [] { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }, &avx2::kernels_float,
     &avx2::kernels_double},
#endif
    {"baseline", [] { return true; }, &baseline::kernels_float, &baseline::kernels_double},
};

const Choice* chosen = nullptr;

const char* const cell_names[] = {
#define ELMAN_CELL(name, Cell) name,
#include "cells.def"
#undef ELMAN_CELL
};

}  // namespace

bool choose_isa(const char* name) {
    for (const Choice& choice : choices) {
        if (*name != '\0' && std::strcmp(name, choice.name) != 0) continue;
        if (!choice.runs_here()) continue;
        chosen = &choice;
        return true;
    }
    return false;
}

template <>
const Kernels<float>& kernels<float>() {
    return *chosen->single;
}
template <>
const Kernels<double>& kernels<double>() {
    return *chosen->twofold;
}

int cell_index(const char* name) {
    int index = 0;
    for (const char* cell : cell_names) {
        if (std::strcmp(cell, name) == 0) return index;
        ++index;
    }
    return -1;
}

}  // namespace elman
