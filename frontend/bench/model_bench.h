// Measures a model as llama-bench does: pp, the time a prompt takes, and tg, the time ids take one after the other, at
// a depth of the cache. The ids are random and known, so that every run does the same work whatever the logits say.
#pragma once
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "frontend/gen/generator.h"

namespace vks::bench {

// Either a prompt or generation.
struct ModelTest {
    int64_t prompt = 0, generate = 0, depth = 0;
    int64_t drafts = 0;     // a step
    double acceptance = 1;  // forced: how many of the drafts that are judged are right

    int64_t tokens() const { return prompt + generate; }
    // "pp512", "tg128 @ d2048", "tg128 mtp1 a0.85"
    std::string name() const;
};

// In the order of llama-bench: for each depth the prompts, then generation; under `drafts` that again for each
// acceptance.
struct ModelTests {
    std::vector<int64_t> prompts, generates, depths;
    int64_t drafts = 0;
    std::vector<double> acceptances;
};
std::vector<ModelTest> list_tests(const ModelTests& tests);

struct ModelSample {
    double seconds = 0;
    SpeculationStats mtp;
};

// Which of the drafts that are made are right, so that of those that are judged the wanted part is: a step's drafts
// after the first wrong one are not judged. Spread evenly, not at random.
class ForcedDrafts {
public:
    ForcedDrafts(int64_t a_step, double acceptance) : a_step_(a_step), acceptance_(acceptance) {}
    bool next();

private:
    int64_t a_step_, made_ = 0;
    double acceptance_, owed_ = 0.5;
    bool failed_ = false;
};

// Not thread-safe. The engine must outlive it, and nothing else may run steps on it.
class ModelBench {
public:
    // `repeated`: of the tokens up to a depth only the first chunk is computed, the cache's other rows are copies of
    // its; not with drafts.
    ModelBench(Engine& engine, uint64_t seed, bool repeated = false);
    // Tests that are compared with each other, the same but for drafts, can run in turn; any other test that ran in
    // between has the cache filled anew.
    Result<ModelSample> run(const ModelTest& test, const std::atomic<bool>* interrupted);

private:
    // Lasts from repetition to repetition, so that the cache is filled to the depth only once: the rows of tests that
    // differ in their drafts alone are of the same ids, and as many.
    struct Arm {
        ForcedDrafts drafts;
        std::unique_ptr<Generator> generator;
    };
    Result<Arm*> arm(const ModelTest& test);

    Engine& engine_;
    bool repeated_;
    std::vector<int32_t> ids_;                          // by position
    std::string filled_for_;                            // what the tests of arms_ have in common
    std::map<std::string, std::unique_ptr<Arm>> arms_;  // by test
};

// The largest context that a test needs.
int64_t context_of(const std::vector<ModelTest>& tests);

}  // namespace vks::bench
