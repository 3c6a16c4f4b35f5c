// Memory of the binding: aligned to a cache line, zeroed, grown and kept.
#pragma once

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>
#include <vector>

#include "views.h"

namespace elman {

// For tests: how many more buffers may be allocated before one fails, as on a machine without memory; negative for
// any number.
inline std::atomic<long> allocations_left{-1};

inline bool allocation_fails() {
    const long left = allocations_left.load();
    if (left > 0) allocations_left.store(left - 1);
    return left == 0;
}

class Buffer {
  public:
    // At least `bytes` bytes; fresh memory is zero. Sizes stay within 64 bits because the callers' arrays exist.
    void* reserve(size_t bytes) {
        if (bytes > size_) {
            const size_t rounded = (bytes + 63) / 64 * 64;
            void* fresh = allocation_fails() ? nullptr : std::aligned_alloc(64, rounded);
            if (!fresh) throw std::bad_alloc();
            std::memset(fresh, 0, rounded);
            memory_.reset(fresh);
            size_ = rounded;
        }
        return memory_.get();
    }
    template <class T>
    T* of(size_t count) {
        return static_cast<T*>(reserve(count * sizeof(T)));
    }

  private:
    struct Free {
        void operator()(void* p) const { std::free(p); }
    };
    std::unique_ptr<void, Free> memory_;
    size_t size_ = 0;
};

// One scratch buffer for each part.
class Scratches {
  public:
    void prepare(long parts, long bytes) {
        if (static_cast<long>(buffers_.size()) < parts) buffers_.resize(static_cast<size_t>(parts));
        for (long p = 0; p < parts; ++p) buffers_[static_cast<size_t>(p)].reserve(static_cast<size_t>(bytes));
    }
    Scratch at(long part) { return {static_cast<char*>(buffers_[static_cast<size_t>(part)].reserve(0))}; }

  private:
    std::vector<Buffer> buffers_;
};

}  // namespace elman
