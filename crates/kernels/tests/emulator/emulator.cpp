// Runs one launch of a kernel on the processor. Standard input, in the machine's byte order:
//
//   u32 length, kernel name;  u32 × 3 grid;  u32 threads;  u32 bytes of shared memory;  u32 arguments;
//   for each: u32 kind (0 buffer, 1 value), u64 bytes, the bytes
//
// Standard output: all buffers as they are afterwards. A barrier that not every thread of the block (a shuffle that not
// every lane of the warp) comes to is an error, and so is a write beyond a buffer or the shared memory.

#include <csetjmp>
#include <ucontext.h>

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "kernels.cu"

Dim gridDim, blockDim, blockIdx, threadIdx;
float *shared;

namespace {

[[noreturn]] void fail(const char *reason) {
  std::fprintf(stderr, "%s\n", reason);
  std::exit(1);
}

enum class State { Running, AtBlock, AtWarp, Done };

// A context starts a fiber; from then on jumps, which make no system calls, change between it and the scheduler.
struct Fiber {
  static constexpr size_t STACK = 1 << 15;
  ucontext_t context;
  jmp_buf here;
  bool started = false;
  // Not set to zero: most of it is never touched.
  std::unique_ptr<char[]> stack{new char[STACK]};
  State state = State::Done;
  // What the lane lends in a shuffle; in turns, so that a lane may go on while another still reads.
  float lent[2] = {0.0f, 0.0f};
  unsigned turn = 0;
};

std::vector<Fiber> fibers;
jmp_buf scheduler;
unsigned current;
void (*body)();

void pause(State state) {
  fibers[current].state = state;
  if (_setjmp(fibers[current].here) == 0) _longjmp(scheduler, 1);
}

void entry() {
  body();
  fibers[current].state = State::Done;
  _longjmp(scheduler, 1);
}

__attribute__((noinline)) void resume(Fiber &fiber) {
  if (_setjmp(scheduler) != 0) return;
  if (fiber.started) _longjmp(fiber.here, 1);
  fiber.started = true;
  setcontext(&fiber.context);
}

// Wakes the threads [from, to) if all of them wait at the same kind of barrier.
bool release(unsigned from, unsigned to, State barrier) {
  for (unsigned i = from; i < to; ++i)
    if (fibers[i].state != barrier) return false;
  for (unsigned i = from; i < to; ++i) fibers[i].state = State::Running;
  return true;
}

void run_block() {
  const unsigned threads = blockDim.x;
  for (unsigned i = 0; i < threads; ++i) {
    Fiber &fiber = fibers[i];
    getcontext(&fiber.context);
    fiber.context.uc_stack.ss_sp = fiber.stack.get();
    fiber.context.uc_stack.ss_size = Fiber::STACK;
    fiber.context.uc_link = nullptr;
    makecontext(&fiber.context, entry, 0);
    fiber.state = State::Running;
    fiber.started = false;
  }
  for (;;) {
    bool ran = false, done = true;
    for (unsigned i = 0; i < threads; ++i) {
      if (fibers[i].state == State::Running) {
        current = i;
        threadIdx.x = i;
        resume(fibers[i]);
        ran = true;
      }
      done &= fibers[i].state == State::Done;
    }
    if (done) return;
    bool woken = release(0, threads, State::AtBlock);
    for (unsigned warp = 0; warp < threads; warp += WARP) woken |= release(warp, warp + WARP, State::AtWarp);
    if (!ran && !woken) fail("threads wait at a barrier that others do not come to");
  }
}

// Calls a kernel with arguments as a driver has them: pointers to the values.
template <typename... A, size_t... I>
void call(void (*kernel)(A...), const std::vector<void *> &arguments, std::index_sequence<I...>) {
  kernel(*static_cast<std::remove_reference_t<A> *>(arguments[I])...);
}

template <auto KERNEL, typename... A>
void launch(void (*)(A...), const std::vector<void *> &arguments) {
  if (arguments.size() != sizeof...(A)) fail("the kernel has another number of arguments");
  static const std::vector<void *> *given;
  given = &arguments;
  body = [] { call(KERNEL, *given, std::index_sequence_for<A...>{}); };
  for (blockIdx.z = 0; blockIdx.z < gridDim.z; ++blockIdx.z)
    for (blockIdx.y = 0; blockIdx.y < gridDim.y; ++blockIdx.y)
      for (blockIdx.x = 0; blockIdx.x < gridDim.x; ++blockIdx.x) run_block();
}

template <typename V>
V read() {
  V value;
  if (std::fread(&value, sizeof value, 1, stdin) != 1) fail("the input ends early");
  return value;
}

// Memory with a margin that must not change.
struct Guarded {
  static constexpr size_t MARGIN = 256;
  size_t size;
  char *start;

  explicit Guarded(size_t size) : size(size) {
    start = static_cast<char *>(std::aligned_alloc(256, (size + 2 * MARGIN + 255) / 256 * 256)) + MARGIN;
    std::memset(start - MARGIN, 0x5a, size + 2 * MARGIN);
  }
  void check() const {
    for (size_t i = 0; i < MARGIN; ++i)
      if (start[size + i] != 0x5a || start[i - MARGIN] != 0x5a) fail("a write beyond a buffer");
  }
};

}  // namespace

void __syncthreads() { pause(State::AtBlock); }

void __syncwarp() { pause(State::AtWarp); }

float __shfl_xor_sync(unsigned mask, float value, int bits) {
  if (mask != ALL) fail("a shuffle of a part of a warp");
  Fiber &fiber = fibers[current];
  const unsigned turn = fiber.turn++ % 2;
  fiber.lent[turn] = value;
  __syncwarp();
  return fibers[current ^ (unsigned)bits].lent[turn];
}

int main() {
  std::string name(read<uint32_t>(), ' ');
  if (std::fread(name.data(), 1, name.size(), stdin) != name.size()) fail("the input ends early");
  gridDim.x = read<uint32_t>();
  gridDim.y = read<uint32_t>();
  gridDim.z = read<uint32_t>();
  blockDim.x = read<uint32_t>();
  if (blockDim.x == 0 || blockDim.x % WARP != 0 || blockDim.x > 1024) fail("threads of a block");
  fibers = std::vector<Fiber>(blockDim.x);
  const Guarded block_memory(read<uint32_t>());
  shared = reinterpret_cast<float *>(block_memory.start);

  std::vector<Guarded> memory;
  std::vector<bool> is_buffer;
  const auto count = read<uint32_t>();
  for (uint32_t i = 0; i < count; ++i) {
    is_buffer.push_back(read<uint32_t>() == 0);
    memory.emplace_back(read<uint64_t>());
    if (std::fread(memory.back().start, 1, memory.back().size, stdin) != memory.back().size) fail("the input ends early");
  }
  std::vector<void *> arguments;
  for (uint32_t i = 0; i < count; ++i)
    arguments.push_back(is_buffer[i] ? static_cast<void *>(&memory[i].start) : memory[i].start);

#define RUN(kernel) \
  if (name == #kernel) launch<kernel>(kernel, arguments); else
  RUN(rms_norm) RUN(add_rms_norm) RUN(norm_heads) RUN(swiglu) RUN(add_bias) RUN(score_rows) RUN(append) RUN(attend_rows)
  RUN(attend_parts) RUN(join_parts) RUN(attend_tiles) RUN(adamw) RUN(squares) fail("no such kernel");

  block_memory.check();
  for (uint32_t i = 0; i < count; ++i) {
    memory[i].check();
    if (is_buffer[i]) std::fwrite(memory[i].start, 1, memory[i].size, stdout);
  }
}
