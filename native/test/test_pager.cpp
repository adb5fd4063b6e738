// The pager without faults: where states are never changes a result; budgets are kept and fair; nothing leaks.
#include <cstring>
#include <filesystem>
#include <limits>
#include <thread>

#include "pager/checksum.h"
#include "test/pager_system.h"
#include "test/pager_tensors.h"

namespace lk::test {
namespace {

using pager::Budget;
using pager::Options;
using pager::Pager;

// Sizes around pages and blocks; the states of the first two are small and stay resident.
const std::vector<int64_t> kSizes = {1, 255, 4099, 3 * 513, 10007, 8192};

Options small_pages(int64_t ring_pages = 8) {
  Options options;
  options.spill_directory = "memory";
  options.page_bytes = 4096;
  options.ring_pages = ring_pages;
  return options;
}

// All states of kSizes in every kind, and the least memory that a pager of them needs.
pager::Demand demand_of_all(const Options& options) {
  std::vector<std::unique_ptr<pager::Tensor>> tensors;
  std::vector<pager::Page*> pages;
  const std::vector<AdamwCase> kinds = all_kinds();
  for (size_t i = 0; i < kSizes.size() * kinds.size(); ++i) {
    const AdamwCase& kind = kinds[i % kinds.size()];
    lk_pager_tensor t{};
    t.count = kSizes[i / kinds.size()];
    t.dtype = kind.dtype;
    t.state_format = kind.states;
    t.master_weights = kind.master;
    tensors.push_back(std::make_unique<pager::Tensor>(static_cast<int64_t>(i), t, options.page_bytes));
    for (pager::Page& page : tensors.back()->pages) pages.push_back(&page);
  }
  return pager::demand_of(pages, options.ring_pages, true);
}

// Every size in every kind.
void add_all(PagerTensors& tensors, Pager& pager) {
  for (int64_t size : kSizes) tensors.add(pager, std::vector<int64_t>(all_kinds().size(), size), all_kinds());
}

void check_steps(Device& device, const Options& options, int64_t bytes, pager::System& system) {
  pager::IoPool pool(system, 2);
  const auto budget = std::make_shared<Budget>(bytes);
  const auto pager = Pager::open(device, budget, options, system, pool);
  PagerTensors tensors(device);
  add_all(tensors, *pager);
  for (int step = 0; step < 3; ++step) {
    tensors.draw_gradients();
    tensors.step(*pager);
    tensors.step_twins();
    tensors.check(*pager);
  }
  lk_budget_info info;
  budget->query(info);
  CHECK(info.used_bytes <= bytes);
  const lk_pager_stats stats = pager->stats();
  CHECK(stats.steps == 3 && stats.undone_steps == 0);
  CHECK(stats.resident_bytes + stats.file_bytes == stats.state_bytes);
  CHECK(stats.resident_bytes + stats.buffer_bytes == info.used_bytes);
  CHECK(stats.written_bytes >= 3 * stats.file_bytes);  // and what was evicted while tensors were registered
  pager->close();
}

}  // namespace

LK_TEST(pager_checksum_is_xxh64) {
  const auto of = [](const char* text) { return pager::checksum(text, static_cast<int64_t>(std::strlen(text))); };
  CHECK(of("") == 0xEF46DB3751D8E999);
  CHECK(of("a") == 0xD24EC4F1A98C6E5B);
  CHECK(of("abc") == 0x44BC2CF5AD770999);
  CHECK(of("xxhash") == 0x32DD38952C4BC720);
  CHECK(of("Nobody inspects the spammish repetition") == 0xFBCEA83C8A378BF1);
}

LK_TEST(pager_equals_resident_when_every_page_moves) {
  for_each_table([](Device& device) {
    FaultySystem system;
    // Other devices keep their states: nothing moves there.
    const bool moves = device.backend == LK_BACKEND_CPU;
    check_steps(device, small_pages(), moves ? demand_of_all(small_pages()).least : pager::kUnlimited, system);
    CHECK(system.live_allocations() == 0 && system.file_bytes() == 0);
  });
}

LK_TEST(pager_equals_resident_for_any_budget_and_page) {
  for (int64_t page_bytes : {4096, 12288, 1 << 20}) {
    for (int64_t ring_pages : {1, 2, 5}) {
      FaultySystem system;
      cpu::CpuDevice device(cpu::table(cpu::Isa::kScalar));
      Options options = small_pages(ring_pages);
      options.page_bytes = page_bytes;
      const pager::Demand demand = demand_of_all(options);
      check_steps(device, options, (demand.least + demand.most) / 2, system);
      check_steps(device, options, pager::kUnlimited, system);
    }
  }
}

LK_TEST(pager_on_real_files) {
  cpu::CpuDevice device(cpu::table(cpu::Isa::kScalar));
  Options options = small_pages();
  options.spill_directory = std::filesystem::temp_directory_path().string();
  check_steps(device, options, demand_of_all(options).least, pager::real_system());
  options.spill_directory = "/dev/shm";  // a file system without O_DIRECT on older kernels
  check_steps(device, options, demand_of_all(options).least, pager::real_system());
}

LK_TEST(pager_tensors_come_and_go_between_steps) {
  FaultySystem system;
  pager::IoPool pool(system, 2);
  cpu::CpuDevice device(cpu::table(cpu::Isa::kScalar));
  const auto pager = Pager::open(device, std::make_shared<Budget>(100 << 10), small_pages(), system, pool);
  PagerTensors tensors(device);
  tensors.step(*pager);  // of nothing
  for (int step = 0; step < 6; ++step) {
    tensors.add(*pager, {5000, 300, 2100}, all_kinds());
    if (step % 2) tensors.drop(*pager, static_cast<size_t>(step));
    tensors.draw_gradients();
    tensors.step(*pager);
    tensors.step_twins();
    tensors.check(*pager);
  }
  const int64_t file_bytes = system.file_bytes();
  for (int i = 0; i < 20; ++i) {  // space in the file is used again
    tensors.add(*pager, {5000}, {AdamwCase{}});
    tensors.drop(*pager, 15);
  }
  CHECK(system.file_bytes() <= file_bytes + (2 * 5000 * 8 + 5000 * 4 + 40 * pager::kAlignment));
  pager->close();
  CHECK(system.live_allocations() == 0 && system.file_bytes() == 0);
  CHECK(device.stats.allocated_bytes == 0);
}

LK_TEST(pager_import_replaces_states) {
  FaultySystem system;
  pager::IoPool pool(system, 2);
  cpu::CpuDevice device(cpu::table(cpu::Isa::kScalar));
  for (int64_t budget : {int64_t{60} << 10, pager::kUnlimited}) {
    const auto pager = Pager::open(device, std::make_shared<Budget>(budget), small_pages(), system, pool);
    PagerTensors tensors(device);
    tensors.add(*pager, {5000, 4099, 300}, all_kinds());
    tensors.draw_gradients();
    tensors.step_twins();  // only they
    tensors.import(*pager);
    tensors.copy_parameters();
    tensors.check(*pager);
    tensors.draw_gradients();
    tensors.step(*pager);
    tensors.step_twins();
    tensors.check(*pager);
    pager->close();
  }
}

LK_TEST(pager_skips_steps_that_are_not_finite) {
  FaultySystem system;
  pager::IoPool pool(system, 2);
  cpu::CpuDevice device(cpu::table(cpu::Isa::kScalar));
  const auto pager = Pager::open(device, std::make_shared<Budget>(60 << 10), small_pages(), system, pool);
  PagerTensors tensors(device);
  tensors.add(*pager, {300}, {AdamwCase{}});
  tensors.drop(*pager, 0);
  tensors.add(*pager, {5000, 4099}, {AdamwCase{}});
  tensors.draw_gradients();
  lk_adamw_report report;
  tensors.gradient(1).set(0, 4000, std::numeric_limits<double>::infinity());
  pager->step(tensors.next_config(), &report);
  CHECK(report.skipped == 1 && report.first_non_finite == 2);
  tensors.check(*pager);
  CHECK(pager->stats().skipped_steps == 1 && pager->stats().steps == 0 && pager->stats().read_bytes == 0);
  tensors.draw_gradients();
  lk_adamw_config config = tensors.next_config();
  config.max_gradient_norm = 1;
  pager->step(config, &report);
  CHECK(report.skipped == 0 && report.gradient_norm > 1 && report.gradient_scale < 1);
  tensors.step_twins(report.gradient_scale);
  tensors.check(*pager);
  pager->close();
}

LK_TEST(pager_budget_is_divided_fairly) {
  FaultySystem system;
  pager::IoPool pool(system, 2);
  cpu::CpuDevice device(cpu::table(cpu::Isa::kScalar));
  const auto budget = std::make_shared<Budget>(400 << 10);
  PagerTensors one(device, 1), three(device, 2);
  const auto small = Pager::open(device, budget, small_pages(), system, pool);
  one.add(*small, {32 << 10}, {AdamwCase{}});
  CHECK(small->stats().resident_bytes == 256 << 10);  // alone, it fits
  const auto large = Pager::open(device, budget, small_pages(), system, pool);
  three.add(*large, {96 << 10}, {AdamwCase{}});
  for (int step = 0; step < 2; ++step) {
    for (PagerTensors* tensors : {&one, &three}) {
      Pager& pager = tensors == &one ? *small : *large;
      tensors->draw_gradients();
      tensors->step(pager);
      tensors->step_twins();
      tensors->check(pager);
    }
    lk_budget_info info;
    budget->query(info);
    CHECK(info.pagers == 2 && info.used_bytes <= info.bytes && info.used_bytes >= info.bytes - 4 * 4096);
    const auto used = [](Pager& pager) { return pager.stats().resident_bytes + pager.stats().buffer_bytes; };
    // a third, within a page and what both need at least
    CHECK(std::llabs(3 * used(*small) - used(*large)) <= 8 * 4096);
  }
  large->close();
  one.step(*small);
  one.step_twins();
  one.check(*small);
  CHECK(small->stats().resident_bytes == 256 << 10);
  small->close();
}

LK_TEST(pager_says_what_a_budget_lacks) {
  FaultySystem system;
  pager::IoPool pool(system, 2);
  cpu::CpuDevice device(cpu::table(cpu::Isa::kScalar));
  const auto budget = std::make_shared<Budget>(64 << 10);
  Options memory_alone = small_pages();
  memory_alone.spill_directory.clear();
  const auto pager = Pager::open(device, budget, memory_alone, system, pool);
  PagerTensors tensors(device);
  tensors.add(*pager, {4096}, {AdamwCase{}});
  try {
    tensors.add(*pager, {8192}, {AdamwCase{}});
    CHECK(false);
  } catch (const Error& error) {
    CHECK_TEXT(error.status == LK_OUT_OF_MEMORY && error.message.find("memory tier") == 0, error.message);
  }
  tensors.draw_gradients();
  tensors.step(*pager);
  tensors.step_twins();
  tensors.check(*pager);
  pager->close();
}

LK_TEST(pager_64_adapters_share_one_budget) {
  FaultySystem system;
  pager::IoPool pool(system, 4);
  cpu::CpuDevice device(cpu::table(cpu::Isa::kScalar));
  constexpr int kAdapters = 64;
  const auto budget = std::make_shared<Budget>(kAdapters * (24 << 10));
  std::vector<std::string> failures(kAdapters);
  std::vector<std::thread> threads;
  for (int i = 0; i < kAdapters; ++i) {
    threads.emplace_back([&, i] {
      try {
        const auto pager = Pager::open(device, budget, small_pages(2), system, pool);
        PagerTensors tensors(device, static_cast<unsigned>(i));
        tensors.add(*pager, {700 + 97 * i, 1}, all_kinds());
        for (int step = 0; step < 4; ++step) {
          if (step == 2) tensors.add(*pager, {900 + 53 * i}, {AdamwCase{}});
          if (step == 3 && i % 2) tensors.drop(*pager, 0);
          tensors.draw_gradients();
          tensors.step(*pager);
          tensors.step_twins();
          tensors.check(*pager);
        }
        pager->close();
      } catch (const Failure& failure) {
        failures[static_cast<size_t>(i)] = failure.message;
      } catch (const Error& error) {
        failures[static_cast<size_t>(i)] = error.message;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const std::string& failure : failures) CHECK_TEXT(failure.empty(), failure);
  lk_budget_info info;
  budget->query(info);
  CHECK(info.pagers == 0 && info.used_bytes == 0);
  CHECK(system.live_allocations() == 0 && system.file_bytes() == 0);
}

LK_TEST(pager_leaks_nothing_in_10000_steps) {
  FaultySystem system;
  pager::IoPool pool(system, 1);
  cpu::CpuDevice device(cpu::table(cpu::Isa::kScalar));
  const auto pager = Pager::open(device, std::make_shared<Budget>(8 << 10), small_pages(), system, pool);
  PagerTensors tensors(device);
  tensors.add(*pager, {1030}, {AdamwCase{}});
  tensors.draw_gradients();
  tensors.step(*pager);
  tensors.step_twins();
  const int64_t allocations = system.live_allocations(), file_bytes = system.file_bytes();
  const lk_memory_stats before = device.stats;
  for (int step = 1; step < 10000; ++step) {
    tensors.step(*pager);
    tensors.step_twins();
  }
  tensors.check(*pager);
  CHECK(pager->stats().file_bytes > 0 && pager->stats().steps == 10000);
  CHECK(system.live_allocations() == allocations && system.file_bytes() == file_bytes);
  CHECK(device.stats.allocated_bytes == before.allocated_bytes);
  CHECK(device.stats.allocation_count == before.allocation_count);
  pager->close();
}

}  // namespace lk::test
