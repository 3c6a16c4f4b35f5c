#include "threads.h"

#include <pthread.h>
#if defined(__linux__)
#    include <sched.h>
#endif

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <exception>
#include <memory>
#include <mutex>
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

thread_local bool is_worker = false;

class Pool {
  public:
    // False if the parts cannot run at the same time, and nothing has been done.
    bool run(long parts, PartFn fn, void* context) {
        // No mutex: a signal handler that Python runs in the middle of a job may come here on the thread that holds it.
        const bool mine = !serving_.test_and_set();
        if (!mine || !has_workers(parts - 1)) {
            if (mine) serving_.clear();
            return false;
        }
        keep_off_callers_core();
        fn_ = fn;
        context_ = context;
        left_.store(parts - 1);
        // The ticket carries the number of parts, so that a worker with no part in this job need not look at it.
        ticket_.store(((ticket_.load() >> 16) + 1) << 16 | static_cast<uint64_t>(parts));
        for (long index = 1; index < parts; ++index) {
            Worker& worker = *workers_[static_cast<size_t>(index - 1)];
            if (!worker.sleeps.load()) continue;
            {
                const std::lock_guard<std::mutex> lock(sleep_);
            }
            worker.wake.notify_one();
        }
        run_one(fn, context, 0, parts);
        if (!spin_until([this] { return left_.load() == 0; })) {
            std::unique_lock<std::mutex> lock(sleep_);
            done_.wait(lock, [this] { return left_.load() == 0; });
        }
        serving_.clear();
        return true;
    }

  private:
    struct Worker {
        std::thread thread;
        std::condition_variable wake;
        std::atomic<bool> sleeps{false};
    };

    // Make workers up to this many; false where the system gives no more threads.
    bool has_workers(long count) try {
        while (static_cast<long>(workers_.size()) < count) {
            auto worker = std::make_unique<Worker>();
            const long index = static_cast<long>(workers_.size()) + 1;
            Worker& self = *worker;
            workers_.reserve(workers_.size() + 1);  // what follows must not fail once the thread runs
            worker->thread = std::thread([this, &self, index, ticket = ticket_.load()] { serve(self, index, ticket); });
            workers_.push_back(std::move(worker));
        }
        return true;
    } catch (const std::exception&) {  // no more threads, or no memory for one
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
        if (sched_getaffinity(0, sizeof(allowed), &allowed) != 0) return;
        kept_off_ = core;
        kept_off_count_ = workers_.size();
        if (CPU_COUNT(&allowed) > 1) CPU_CLR(static_cast<size_t>(core), &allowed);
        for (const auto& worker : workers_)
            pthread_setaffinity_np(worker->thread.native_handle(), sizeof(allowed), &allowed);
#endif
    }

    void serve(Worker& self, long index, uint64_t seen) {
        is_worker = true;
        // Only a job in which this worker has a part wakes it: a pool that was larger once costs nothing now.
        const auto called = [this, index, &seen] {
            const uint64_t ticket = ticket_.load();
            return ticket != seen && index < static_cast<long>(ticket & 0xffff);
        };
        for (;;) {
            if (!spin_until(called)) {
                std::unique_lock<std::mutex> lock(sleep_);
                self.sleeps.store(true);
                self.wake.wait(lock, called);
                self.sleeps.store(false);
            }
            seen = ticket_.load();
            run_one(fn_, context_, index, static_cast<long>(seen & 0xffff));
            if (left_.fetch_sub(1) == 1) {
                {
                    const std::lock_guard<std::mutex> lock(sleep_);
                }
                done_.notify_one();
            }
        }
    }

    std::atomic_flag serving_ = ATOMIC_FLAG_INIT;
    std::vector<std::unique_ptr<Worker>> workers_;  // never joined: the pool lives as long as the process
#if defined(__linux__)
    int kept_off_ = -1;
    size_t kept_off_count_ = 0;
#endif
    PartFn fn_ = nullptr;
    void* context_ = nullptr;
    std::atomic<uint64_t> ticket_{0};
    std::atomic<long> left_{0};
    std::mutex sleep_;
    std::condition_variable done_;
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
    if (parts > 1 && pool().run(parts, fn, context)) return;
    for (long part = 0; part < parts; ++part) run_one(fn, context, part, parts);
}

bool run_crew(long parts, PartFn fn, void* context) {
    return pool().run(parts, fn, context);
}

void yield_thread() {
    std::this_thread::yield();
}

bool on_worker() {
    return is_worker;
}

long threads() {
    return the_size.load();
}

void set_threads(long n) {
    the_size.store(n < 1 ? 1 : n > 1024 ? 1024 : n);
}

}  // namespace elman
