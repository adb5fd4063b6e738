// Whatever fails in the pager: parameters and states are as before the step or as after it, the error names the tier and the
// page, and the next step works or says why it cannot.
#include <chrono>
#include <thread>

#include "test/pager_system.h"
#include "test/pager_tensors.h"

namespace lk::test {
namespace {

using pager::Budget;
using pager::Options;
using pager::Pager;

Options small_pages() {
  Options options;
  options.spill_directory = "memory";
  options.page_bytes = 4096;
  options.ring_pages = 3;
  return options;
}

// A pager whose pages nearly all stream, with tensors of every kind.
struct Stage {
  explicit Stage(unsigned seed = 7, int threads = 2, int64_t ring_pages = 3)
      : device(cpu::table(cpu::Isa::kScalar)), pool(system, threads), tensors(device, seed) {
    Options options = small_pages();
    options.ring_pages = ring_pages;
    pager = Pager::open(device, std::make_shared<Budget>(int64_t{40} << 10), options, system, pool);
    tensors.add(*pager, {4099, 1030, 2500, 3333, 777}, all_kinds());
  }
  ~Stage() { pager->close(); }

  // A step without faults.
  void step() {
    tensors.draw_gradients();
    tensors.step(*pager);
    tensors.step_twins();
  }

  // The failure of a step, "" where there was none.
  std::string failing_step() {
    try {
      tensors.step(*pager);
      return "";
    } catch (const Error& error) {
      return error.message;
    }
  }

  FaultySystem system;
  cpu::CpuDevice device;
  pager::IoPool pool;
  std::shared_ptr<Pager> pager;
  PagerTensors tensors;
};

void check_names_page(const std::string& message) {
  const bool tier = message.find("file tier") != std::string::npos ||
                    message.find("memory tier") != std::string::npos || message.find("undo log") != std::string::npos;
  const bool page = message.find("page ") != std::string::npos || message.find("buffer ") != std::string::npos ||
                    message.find("reserve") != std::string::npos;
  CHECK_TEXT(tier && page, message);
}

// About as many calls as a step makes that the fault concerns.
uint32_t calls_of(Fault kind) {
  switch (kind) {
    case Fault::kWriteError:
    case Fault::kNoSpace:
      return 40;  // undo log and states
    case Fault::kTruncate:
      return 60;
    default:
      return 20;
  }
}

}  // namespace

LK_TEST(pager_survives_1000_random_faults) {
  const Fault kinds[] = {Fault::kShortRead,  Fault::kReadError, Fault::kReadGarbage,
                         Fault::kWriteError, Fault::kNoSpace,   Fault::kTruncate};
  std::mt19937 generator(11);
  Stage stage;
  stage.step();
  int struck = 0;
  while (struck < 1000) {
    const Fault kind = kinds[generator() % std::size(kinds)];
    stage.tensors.draw_gradients();
    stage.system.arm(kind, generator() % calls_of(kind));
    const std::string message = stage.failing_step();
    const bool happened = stage.system.disarm();
    struck += happened;
    CHECK_TEXT(happened || message.empty(), message);
    if (!message.empty()) {
      check_names_page(message);
      stage.tensors.check_parameters();
    }
    if (kind == Fault::kTruncate && happened) {
      // States may be gone, now or when they are read next. Importing them puts that right.
      if (message.empty()) stage.tensors.step_twins();
      stage.tensors.check_parameters();
      const std::string next = stage.failing_step();
      if (next.empty()) {
        stage.tensors.step_twins();
      } else {
        CHECK_TEXT(next.find("file tier, page") != std::string::npos, next);
        CHECK_TEXT(next.find("import them") != std::string::npos, next);
        stage.tensors.check_parameters();
        stage.tensors.import(*stage.pager);
      }
    } else if (message.empty()) {
      stage.tensors.step_twins();
    }
    stage.tensors.check(*stage.pager);
    stage.step();
    stage.tensors.check(*stage.pager);
  }
  CHECK(stage.pager->stats().undone_steps > 700);
}

// Registering moves pages, and takes memory and space in the file.
LK_TEST(pager_registers_all_tensors_or_none) {
  const Fault kinds[] = {Fault::kAllocate, Fault::kReserve, Fault::kWriteError};
  std::mt19937 generator(12);
  int struck = 0;
  for (int i = 0; i < 150; ++i) {
    Stage stage(static_cast<unsigned>(i));
    stage.step();
    const Fault kind = kinds[static_cast<size_t>(i) % std::size(kinds)];
    stage.system.arm(kind, generator() % 4);
    bool added = false;
    try {
      stage.tensors.add(*stage.pager, {6000, 300}, all_kinds());
      added = true;
    } catch (const Error& error) {
      check_names_page(error.message);
    }
    struck += stage.system.disarm();
    stage.tensors.check(*stage.pager);
    stage.step();
    stage.tensors.check(*stage.pager);
    if (!added) stage.tensors.add(*stage.pager, {6000, 300}, all_kinds());
    stage.step();
    stage.tensors.check(*stage.pager);
  }
  CHECK_TEXT(struck > 40, std::to_string(struck));
}

LK_TEST(pager_works_without_threads) {
  FaultySystem system;
  system.arm(Fault::kThread, 0);
  pager::IoPool pool(system, 1);
  CHECK(pool.threads() == 0);
  system.arm(Fault::kThread, 0);
  cpu::CpuDevice device(cpu::table(cpu::Isa::kScalar));
  const auto pager = Pager::open(device, std::make_shared<Budget>(40 << 10), small_pages(), system, pool);
  PagerTensors tensors(device);
  tensors.add(*pager, {9000}, all_kinds());
  for (int step = 0; step < 3; ++step) {
    tensors.draw_gradients();
    tensors.step(*pager);
    tensors.step_twins();
    tensors.check(*pager);
  }
  CHECK(system.disarm());
  pager->close();
}

LK_TEST(pager_says_when_a_step_could_not_be_undone) {
  Stage stage(7, 0, 1);  // one page at a time: what follows a failed write is the undo log
  stage.step();
  stage.tensors.draw_gradients();
  stage.system.arm(Fault::kWriteError, 30);
  stage.system.arm_next(Fault::kReadError);
  const std::string message = stage.failing_step();
  CHECK(stage.system.disarm());
  CHECK_TEXT(message.find("could not be undone: undo log, page") != std::string::npos, message);
  CHECK_TEXT(message.find("restore parameters and states from a checkpoint") != std::string::npos, message);
  CHECK(stage.failing_step() == message);
}

LK_TEST(pager_cancelled_in_a_step_leaves_parameters_as_before) {
  for (unsigned i = 0; i < 40; ++i) {
    Stage stage(i);
    std::string message;
    std::thread canceller([&] {
      std::this_thread::sleep_for(std::chrono::microseconds(200 * i));
      stage.pager->cancel();
    });
    while (message.empty()) {
      stage.tensors.draw_gradients();
      message = stage.failing_step();
      if (message.empty()) stage.tensors.step_twins();
    }
    canceller.join();
    CHECK_TEXT(message.find("cancelled") != std::string::npos, message);
    CHECK_TEXT(message.find("tier") != std::string::npos, message);
    stage.tensors.check_parameters();
    CHECK(stage.failing_step().find("takes no more steps") != std::string::npos);
  }
}

}  // namespace lk::test
