#include "threads.h"

#include <pthread.h>
#if defined(__linux__)
#    include <sched.h>
#endif

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <system_error>
#include <thread>
#include <vector>
#if defined(__SSE2__)
#    include <immintrin.h>
#endif

namespace elman {
namespace {

// A denormal operand costs some hundred cycles, and a fading state or gradient is full of them.
class FlushDenormals {
  public:
    FlushDenormals() {
#if defined(__SSE2__)
        before_ = _mm_getcsr();
        _mm_setcsr(before_ | 0x8040);
#elif defined(__aarch64__)
        asm volatile("mrs %0, fpcr" : "=r"(before_));
        asm volatile("msr fpcr, %0" ::"r"(before_ | (uint64_t{1} << 24)));
#endif
    }
    ~FlushDenormals() {
#if defined(__SSE2__)
        _mm_setcsr(before_);
#elif defined(__aarch64__)
        asm volatile("msr fpcr, %0" ::"r"(before_));
#endif
    }

  private:
#if defined(__SSE2__)
    unsigned before_;
#else
    uint64_t before_ = 0;
#endif
};

void pause_briefly() {
#if defined(__SSE2__)
    _mm_pause();
#elif defined(__aarch64__)
    asm volatile("yield");
#endif
}

void run_one(PartFn fn, void* context, long part, long parts) {
    const FlushDenormals flush;
    fn(context, part, parts);
}

// How long a thread without work looks out for more before it sleeps: the pause between two layers is shorter.
constexpr auto kSpin = std::chrono::microseconds(50);

template <class Done>
bool spin_until(Done done) {
    const auto end = std::chrono::steady_clock::now() + kSpin;
    do {
        for (int i = 0; i < 64; ++i) {
            if (done()) return true;
            pause_briefly();
        }
    } while (std::chrono::steady_clock::now() < end);
    return done();
}

class Pool {
  public:
    void run(long parts, PartFn fn, void* context) {
        std::unique_lock<std::mutex> turn(turn_, std::try_to_lock);
        if (!turn.owns_lock() || !has_workers(parts - 1)) {
            for (long part = 0; part < parts; ++part) run_one(fn, context, part, parts);
            return;
        }
        keep_off_callers_core();
        fn_ = fn;
        context_ = context;
        left_.store(parts - 1);
        // The ticket carries the number of parts, so that a worker with no part in this job need not look at it.
        ticket_.store(((ticket_.load() >> 16) + 1) << 16 | static_cast<uint64_t>(parts));
        if (sleepers_.load() > 0) {
            {
                const std::lock_guard<std::mutex> lock(sleep_);
            }
            wake_.notify_all();
        }
        run_one(fn, context, 0, parts);
        if (!spin_until([this] { return left_.load() == 0; })) {
            std::unique_lock<std::mutex> lock(sleep_);
            done_.wait(lock, [this] { return left_.load() == 0; });
        }
    }

  private:
    // Make workers up to this many; false where the system gives no more threads.
    bool has_workers(long count) try {
        while (static_cast<long>(workers_.size()) < count) {
            const long index = static_cast<long>(workers_.size()) + 1;
            workers_.emplace_back([this, index, ticket = ticket_.load()] { serve(index, ticket); });
        }
        return true;
    } catch (const std::system_error&) {
        return false;
    }

    // A woken thread is often put on the core of the thread that woke it, and the two share it until the kernel
    // balances loads some milliseconds later: on 2 cores batches under 3 ms then ran at half speed. So workers may run
    // anywhere but on the caller's core. Nothing is done while the caller stays where it was.
    void keep_off_callers_core() {
#if defined(__linux__)
        const int core = sched_getcpu();
        if (core < 0 || (core == kept_off_ && kept_off_count_ == workers_.size())) return;
        cpu_set_t allowed;
        if (sched_getaffinity(0, sizeof(allowed), &allowed) != 0 || CPU_COUNT(&allowed) < 2) return;
        kept_off_ = core;
        kept_off_count_ = workers_.size();
        CPU_CLR(static_cast<size_t>(core), &allowed);
        for (std::thread& worker : workers_) pthread_setaffinity_np(worker.native_handle(), sizeof(allowed), &allowed);
#endif
    }

    void serve(long index, uint64_t seen) {
        for (;;) {
            const auto changed = [this, seen] { return ticket_.load() != seen; };
            if (!spin_until(changed)) {
                std::unique_lock<std::mutex> lock(sleep_);
                sleepers_.fetch_add(1);
                wake_.wait(lock, changed);
                sleepers_.fetch_sub(1);
            }
            seen = ticket_.load();
            const long parts = static_cast<long>(seen & 0xffff);
            if (index >= parts) continue;
            run_one(fn_, context_, index, parts);
            if (left_.fetch_sub(1) == 1) {
                {
                    const std::lock_guard<std::mutex> lock(sleep_);
                }
                done_.notify_one();
            }
        }
    }

    std::mutex turn_;                   // held by the caller that the pool is serving
    std::vector<std::thread> workers_;  // never joined: the pool lives as long as the process
    int kept_off_ = -1;
    size_t kept_off_count_ = 0;
    PartFn fn_ = nullptr;
    void* context_ = nullptr;
    std::atomic<uint64_t> ticket_{0};
    std::atomic<long> left_{0};
    std::atomic<long> sleepers_{0};
    std::mutex sleep_;
    std::condition_variable wake_, done_;
};

std::atomic<Pool*> the_pool{nullptr};
std::atomic<long> the_size{1};

// A child has none of its parent's threads: it forgets the pool (whose memory it leaves alone) and makes its own.
void forget_pool() {
    the_pool.store(new Pool);
}

Pool& pool() {
    static const bool once = [] {
        the_pool.store(new Pool);
        pthread_atfork(nullptr, nullptr, forget_pool);
        return true;
    }();
    (void)once;
    return *the_pool.load();
}

}  // namespace

void run_parts(long parts, PartFn fn, void* context) {
    if (parts == 1)
        run_one(fn, context, 0, 1);
    else
        pool().run(parts, fn, context);
}

long threads() {
    return the_size.load();
}

void set_threads(long n) {
    the_size.store(n < 1 ? 1 : n > 1024 ? 1024 : n);
}

}  // namespace elman
