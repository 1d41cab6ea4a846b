// Runs the threads of a block by turns, each on a stack of its own.
#include <cuda_runtime.h>

#include <setjmp.h>
#include <ucontext.h>

#include <algorithm>
#include <memory>
#include <numeric>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

namespace cuda_on_cpu {

uint3 thread_index, block_index;
dim3 block_size, grid_size;
cudaError_t last_error = cudaSuccess;

namespace {

constexpr size_t kStack = size_t{256} << 10;
constexpr unsigned int kMostThreads = 1024;

enum class State { ready, at_block_barrier, at_warp_barrier, finished };

struct Thread {
  State state = State::finished;
  unsigned int mask = 0;  // of the lanes it waits for
  uint3 index{};
  bool is_started = false;
  ucontext_t start;
  jmp_buf place;
  std::unique_ptr<char[]> stack;
};

std::vector<std::unique_ptr<Thread>> threads;
unsigned char slots[kMostThreads][16];
unsigned int running = 0;
const std::function<void()>* body = nullptr;
jmp_buf scheduler;
std::mt19937 shuffler;

// A thread's stack serves for one kernel after another.
void live() {
  while (true) {
    (*body)();
    threads[running]->state = State::finished;
    if (_setjmp(threads[running]->place) == 0) {
      _longjmp(scheduler, 1);
    }
  }
}

void take_turn(unsigned int number) {
  Thread& thread = *threads[number];
  running = number;
  thread_index = thread.index;
  if (_setjmp(scheduler) != 0) {
    return;
  }
  if (thread.is_started) {
    _longjmp(thread.place, 1);
  }
  thread.is_started = true;
  thread.stack.reset(new char[kStack]);
  getcontext(&thread.start);
  thread.start.uc_stack.ss_sp = thread.stack.get();
  thread.start.uc_stack.ss_size = kStack;
  makecontext(&thread.start, live, 0);
  setcontext(&thread.start);
}

void wait(State state, unsigned int mask) {
  Thread& thread = *threads[running];
  thread.state = state;
  thread.mask = mask;
  if (_setjmp(thread.place) == 0) {
    _longjmp(scheduler, 1);
  }
}

[[noreturn]] void fail(const std::string& message) {
  threads.clear();  // with the stacks of those that wait for ever
  throw std::runtime_error("cuda_on_cpu: " + message);
}

// Let go the warps whose lanes have all come; return whether there were any.
bool release_warps(unsigned int count) {
  bool is_released = false;
  for (unsigned int first = 0; first < count; first += kWarp) {
    for (unsigned int number = first; number < std::min(first + kWarp, count); ++number) {
      const unsigned int mask = threads[number]->mask;
      if (threads[number]->state != State::at_warp_barrier) {
        continue;
      }
      bool is_complete = true;
      for (unsigned int other = 0; other < kWarp; ++other) {
        if (mask >> other & 1) {
          const Thread* lane = first + other < count ? threads[first + other].get() : nullptr;
          if (lane == nullptr || lane->state == State::finished) {
            fail("a lane that a warp waits for does not exist or has ended");
          }
          is_complete &= lane->state == State::at_warp_barrier && lane->mask == mask;
        }
      }
      for (unsigned int other = 0; is_complete && other < kWarp; ++other) {
        if (mask >> other & 1) {
          threads[first + other]->state = State::ready;
          is_released = true;
        }
      }
    }
  }
  return is_released;
}

bool release_block(unsigned int count) {
  for (unsigned int number = 0; number < count; ++number) {
    if (threads[number]->state != State::at_block_barrier) {
      return false;
    }
  }
  for (unsigned int number = 0; number < count; ++number) {
    threads[number]->state = State::ready;
  }
  return true;
}

void run_block(unsigned int count, std::vector<unsigned int>& order, bool is_shuffled) {
  for (unsigned int number = 0; number < count; ++number) {
    threads[number]->state = State::ready;
  }
  while (true) {
    unsigned int num_finished = 0;
    if (is_shuffled) {
      std::shuffle(order.begin(), order.end(), shuffler);
    }
    for (const unsigned int number : order) {
      if (threads[number]->state == State::ready) {
        take_turn(number);
      }
      num_finished += threads[number]->state == State::finished;
    }
    if (num_finished == count) {
      return;
    }
    if (!release_warps(count) && !release_block(count)) {
      fail("threads wait at a barrier that others of their block do not come to");
    }
  }
}

}  // namespace

void sync_block() { wait(State::at_block_barrier, 0); }

void sync_lanes(unsigned int mask) {
  if (!(mask >> lane() & 1)) {
    mask |= 1u << lane();  // waits with others than it names: never released
  }
  wait(State::at_warp_barrier, mask);
}

unsigned int lane() { return running % kWarp; }

unsigned char* lane_slot(unsigned int lane) { return slots[running / kWarp * kWarp + lane]; }

void run(dim3 grid, dim3 block, const std::function<void()>& kernel) {
  const unsigned int count = block.x * block.y * block.z;
  if (count == 0 || count > kMostThreads || grid.x == 0 || grid.y == 0 || grid.z == 0) {
    last_error = cudaErrorInvalidConfiguration;
    return;
  }
  const char* const wish = getenv("CUDA_ON_CPU_ORDER");
  const std::string wanted = wish != nullptr ? wish : "forward";
  const bool is_shuffled = wanted != "forward" && wanted != "reverse";
  if (is_shuffled) {
    shuffler.seed(std::stoul(wanted));
  }
  while (threads.size() < count) {
    threads.push_back(std::make_unique<Thread>());
  }
  for (unsigned int i = 0; i < count; ++i) {
    threads[i]->index = {i % block.x, i / block.x % block.y, i / block.x / block.y};
  }
  std::vector<unsigned int> order(count);
  std::iota(order.begin(), order.end(), 0u);
  if (wanted == "reverse") {
    std::reverse(order.begin(), order.end());
  }
  body = &kernel;
  block_size = block;
  grid_size = grid;
  for (block_index.z = 0; block_index.z < grid.z; ++block_index.z) {
    for (block_index.y = 0; block_index.y < grid.y; ++block_index.y) {
      for (block_index.x = 0; block_index.x < grid.x; ++block_index.x) {
        run_block(count, order, is_shuffled);
      }
    }
  }
}

}  // namespace cuda_on_cpu

// In place of the CUDA build of torch's.
extern "C" int32_t aoti_torch_get_current_cuda_stream(int32_t, void** stream) {
  *stream = nullptr;
  return 0;
}
