// The pool: threads that own parts of a job. It survives fork, never holds up a second caller, and flushes denormals.
#pragma once

namespace elman {

typedef void (*PartFn)(void* context, long part, long parts);

// Run parts 0 .. parts - 1 and return when all are done. Part 0 runs on the caller. If the pool is serving another
// caller, the parts run here one after the other: the results are the same to the bit.
void run_parts(long parts, PartFn fn, void* context);

// Whether the running thread is one of the pool's.
bool on_worker();

long threads();
void set_threads(long n);

}  // namespace elman
