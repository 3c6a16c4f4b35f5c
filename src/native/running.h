// How a binding runs a kernel: on how many threads, with or without Python's lock, and when it stops.
#pragma once

#include <nanobind/nanobind.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <limits>
#include <optional>
#include <stdexcept>
#include <string>
#include <type_traits>

#include "arrays.h"
#include "threads.h"
#include "views.h"

namespace elman {

using Ids = In<int64_t>;

// Below this many operations waking another thread costs more than it saves (a wake takes some 5 µs).
// Tests lower it to see small shapes on many threads.
inline std::atomic<double> small_work{1e6};

// The way back takes as many steps at once as need so much memory for the gradients of the products, but no fewer
// rows than make good products. Tests lower the most, so that small batches take several blocks.
constexpr long kBlockBytes = 1 << 20, kLeastBlockRows = 768;
inline std::atomic<long> most_block_rows{std::numeric_limits<long>::max()};

// The same for any number of threads, so that sums are the same; blocks are about equally long.
inline long block_rows(long rows, long row_bytes) {
    const long most = std::min(std::max(kBlockBytes / row_bytes, kLeastBlockRows), most_block_rows.load());
    const long blocks = std::max(1L, (rows + most - 1) / most);
    return (rows + blocks - 1) / blocks;
}

inline long parts_for(double operations, long most) {
    return operations < small_work.load() ? 1 : std::max(1L, std::min(threads(), most));
}

// How many threads walk the same sequences together (views.h, Crew): all of them, at most 64, where there are fewer
// sequences, the work is worth waking them, and each step is worth two meetings, which cost about a microsecond. One
// LSTM sequence of 128 units then runs 1.5 times as fast on two threads, of 1024 units 2.1 times: each core reads its
// half of R from its own cache. 1 where each sequence has a thread of its own.
constexpr double kCrewShare = 0.2;

inline long crew_for(double operations, long steps, long sequences) {
    const long members = std::min(threads(), kMostMembers);
    if (sequences == 0 || sequences >= members || operations < small_work.load()) return 1;
    if (operations < small_work.load() * kCrewShare * static_cast<double>(steps)) return 1;
    return members;
}

// The format of this name (views.h); none where the name is empty.
template <class T>
const Format<T>* format_of(const std::string& name) {
    if (name.empty()) return nullptr;
    if constexpr (std::is_same_v<T, float>)
        if (const Format<T>* const found = format(name.c_str())) return found;
    throw nb::value_error(("native core: no format '" + name + "' for these weights").c_str());
}

// Whether gradients can be taken through weights in this format.
template <class T>
bool has_way_back(const Format<T>* format) {
    return !format || format->pack_rows;
}

// Lets other Python threads run, unless the work is shorter than the handover.
class Unlocked {
  public:
    explicit Unlocked(double operations) {
        if (operations > 1e5) released_.emplace();
    }

  private:
    std::optional<nb::gil_scoped_release> released_;
};

// Asked by the caller's thread now and then: has a signal handler raised? Looks at most every 50 ms.
inline bool interrupted() {
    if (on_worker()) return false;
    static thread_local std::chrono::steady_clock::time_point last;
    const auto now = std::chrono::steady_clock::now();
    if (now - last < std::chrono::milliseconds(50)) return false;
    last = now;
    const nb::gil_scoped_acquire lock;
    return PyErr_CheckSignals() != 0;
}

// Marks a kernel as running. A signal handler may come back to it in mid-run, on the same thread; so may another
// thread.
class Turn {
  public:
    explicit Turn(bool& busy) : busy_(busy) {
        if (busy_)
            throw std::runtime_error(
                "native core: this kernel is running already. Give each thread its own workspace.");
        busy_ = true;
    }
    ~Turn() { busy_ = false; }
    Turn(const Turn&) = delete;
    Turn& operator=(const Turn&) = delete;

  private:
    bool& busy_;
};

inline void check_ids(const int64_t* ids, int64_t count, int64_t end, const char* what) {
    for (int64_t n = 0; n < count; ++n)
        if (ids[n] < 0 || ids[n] >= end)
            throw nb::value_error(("native core: " + std::string(what) + " out of range, expected 0 to " +
                                   std::to_string(end - 1) + ", got " + std::to_string(ids[n]) + " at position " +
                                   std::to_string(n))
                                      .c_str());
}

template <class F>
void call_part(void* f, long part, long parts) {
    (*static_cast<std::remove_reference_t<F>*>(f))(part, parts);
}

template <class F>
void run(long parts, F&& part_of) {
    run_parts(parts, call_part<F>, &part_of);
}

template <class F>
bool run_together(long members, F&& member_of) {
    return run_crew(members, call_part<F>, &member_of);
}

}  // namespace elman
