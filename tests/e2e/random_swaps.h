// Changes of the placement in no order that anybody chose.
#pragma once
#include <fmt/format.h>

#include <cstdlib>
#include <random>
#include <string>
#include <vector>

namespace vks::test {

// 200 `--swap` at steps 1 to `last`, a third of them of everything, to one of `lists`, the others of one of `ops` to
// one of `devices`. $VKSEEK_TEST_SEED: others than those of every run.
inline std::vector<std::string> two_hundred_swaps(uint32_t last, const std::vector<std::string>& lists,
                                                  const std::vector<std::string>& ops,
                                                  const std::vector<std::string>& devices) {
    const char* given = std::getenv("VKSEEK_TEST_SEED");
    std::mt19937 random(given ? uint32_t(std::atoi(given)) : 5);
    const auto pick = [&](const auto& list) { return list[random() % list.size()]; };
    std::vector<std::string> options;
    for (int i = 0; i < 200; ++i) {
        const auto step = random() % last + 1;
        const bool all = random() % 3 == 0;
        const auto op = pick(ops);
        options.emplace_back("--swap");
        options.push_back(all ? fmt::format("{}={}", step, pick(lists))
                              : fmt::format("{}:{}={}", step, op, pick(devices)));
    }
    return options;
}

}  // namespace vks::test
