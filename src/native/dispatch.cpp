#include "dispatch.h"

#include <cstring>

namespace elman {

#define ELMAN_KERNELS(isa)                       \
    namespace isa {                              \
    extern const Kernels<float> kernels_float;   \
    extern const Kernels<double> kernels_double; \
    }
#define ELMAN_FORMATS(isa)               \
    namespace isa {                      \
    extern const Format<float> bfloat16; \
    extern const Format<float> int8;     \
    }
ELMAN_KERNELS(baseline)
ELMAN_FORMATS(baseline)
#if ELMAN_HAVE_X86
ELMAN_KERNELS(avx2)
ELMAN_FORMATS(avx2)
ELMAN_KERNELS(avx512)
ELMAN_FORMATS(avx512)
ELMAN_FORMATS(avx512bf16)
#endif
#undef ELMAN_KERNELS
#undef ELMAN_FORMATS

namespace {

struct Choice {
    const char* name;
    bool (*runs_here)();
    const Kernels<float>* single;
    const Kernels<double>* twofold;
    const Format<float>* bfloat16;
    const Format<float>* int8;
};

#if ELMAN_HAVE_X86
bool has_avx512() {
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("fma");
}
#endif

const Choice choices[] = {
#if ELMAN_HAVE_X86
    {"avx512bf16",
     [] { return has_avx512() && __builtin_cpu_supports("avx512bf16") && __builtin_cpu_supports("avx512vnni"); },
     &avx512::kernels_float, &avx512::kernels_double, &avx512bf16::bfloat16, &avx512bf16::int8},
    {"avx512", has_avx512, &avx512::kernels_float, &avx512::kernels_double, &avx512::bfloat16, &avx512::int8},
    {"avx2", [] { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }, &avx2::kernels_float,
     &avx2::kernels_double, &avx2::bfloat16, &avx2::int8},
#endif
    {"baseline", [] { return true; }, &baseline::kernels_float, &baseline::kernels_double, &baseline::bfloat16,
     &baseline::int8},
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

const char* isa() {
    return chosen->name;
}

const Format<float>* format(const char* name) {
    const Format<float>* const all[] = {chosen->bfloat16, chosen->int8};
    for (const Format<float>* known : all)
        if (std::strcmp(name, known->name) == 0) return known;
    return nullptr;
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
