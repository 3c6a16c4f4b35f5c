// The pool: threads that own parts of a job. It survives fork, never holds up a second caller, and flushes denormals.
#pragma once

namespace elman {

typedef void (*PartFn)(void* context, long part, long parts);

// Run parts 0 .. parts - 1 and return when all are done. Part 0 runs on the caller. If the pool is serving another
// caller, the parts run here one after the other: the results are the same to the bit.
void run_parts(long parts, PartFn fn, void* context);

// The same, but only if all parts can run at the same time, because they wait for each other; false if they cannot.
bool run_crew(long parts, PartFn fn, void* context);

// Let another thread have the core.
void yield_thread();

// Whether the running thread is one of the pool's.
bool on_worker();

long threads();
void set_threads(long n);

}  // namespace elman
