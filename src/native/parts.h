// What every kernel that runs on several threads needs: its scratch memory, the interrupt flag, meeting the others.
#pragma once

#include "simd.h"
#include "views.h"

namespace elman {
namespace ELMAN_ISA {

// Look at the interrupt flag after every 1024 rows of work, and after 64 calls at the latest, as a row may be wide;
// `waiting` counts. Asking is cheap: it looks at a clock first.
ELMAN_INLINE bool stop_now(const Interrupt& interrupt, long rows, long* waiting) {
    *waiting += rows < 16 ? 16 : rows;
    if (*waiting < 1024) return false;
    *waiting = 0;
    if (__atomic_load_n(interrupt.stop, __ATOMIC_RELAXED)) return true;
    if (interrupt.ask && interrupt.ask()) __atomic_store_n(interrupt.stop, true, __ATOMIC_RELAXED);
    return __atomic_load_n(interrupt.stop, __ATOMIC_RELAXED);
}

template <class T>
ELMAN_INLINE T* carve(Scratch* scratch, long count) {
    T* p = reinterpret_cast<T*>(scratch->at);
    scratch->at += (count * static_cast<long>(sizeof(T)) + 63) / 64 * 64;
    return p;
}

template <class T>
ELMAN_INLINE void copy_padded(T* to, const T* from, long n, long padded) {
    if (from)
        memcpy(to, from, sizeof(T) * static_cast<size_t>(n));
    else
        memset(to, 0, sizeof(T) * static_cast<size_t>(n));
    memset(to + n, 0, sizeof(T) * static_cast<size_t>(padded - n));
}

template <class T>
ELMAN_INLINE const T* row_or_null(const T* array, long row, long width) {
    return array ? array + row * width : nullptr;
}

// How often a thread looks for the others before it lets somebody else have the core.
constexpr long kLooks = 4000;

// Go on when all members of the crew are here.
ELMAN_INLINE void meet(const Crew& crew) {
    Barrier* const at = crew.barrier;
    if (!at) return;
    const long phase = __atomic_load_n(&at->phase, __ATOMIC_ACQUIRE);
    if (__atomic_add_fetch(&at->arrived, 1, __ATOMIC_ACQ_REL) == at->members) {
        __atomic_store_n(&at->arrived, 0, __ATOMIC_RELAXED);
        __atomic_store_n(&at->phase, phase + 1, __ATOMIC_RELEASE);
        return;
    }
    for (long looks = 0; __atomic_load_n(&at->phase, __ATOMIC_ACQUIRE) == phase; ++looks) {
        if (looks >= kLooks) at->yield();
#if defined(__SSE2__)
        __builtin_ia32_pause();
#endif
    }
}

}  // namespace ELMAN_ISA
}  // namespace elman
