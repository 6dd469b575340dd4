#include "frontend/bench/model_bench.h"

#include <algorithm>
#include <utility>

#include "backend/base/bad_input.h"
#include "frontend/io/random_weights.h"

namespace vks::bench {

std::string ModelTest::name() const {
    std::string text = prompt > 0 ? fmt::format("pp{}", prompt) : fmt::format("tg{}", generate);
    if (drafts > 0) text += fmt::format(" mtp{} a{}", drafts, acceptance);
    if (depth > 0) text += fmt::format(" @ d{}", depth);
    return text;
}

std::vector<ModelTest> list_tests(const ModelTests& tests) {
    std::vector<ModelTest> list;
    for (const int64_t depth : tests.depths) {
        for (const int64_t n : tests.prompts)
            if (n > 0) list.push_back({.prompt = n, .depth = depth});
        for (const int64_t n : tests.generates) {
            if (n == 0) continue;
            list.push_back({.generate = n, .depth = depth});
            for (const double acceptance : tests.acceptances)
                if (tests.drafts > 0)
                    list.push_back({.generate = n, .depth = depth, .drafts = tests.drafts, .acceptance = acceptance});
        }
    }
    return list;
}

// For n ids: a prompt of one id where there is no depth, the id that it gives, and n more.
int64_t context_of(const std::vector<ModelTest>& tests) {
    int64_t most = 1;
    for (const ModelTest& test : tests) {
        const int64_t before = test.generate > 0 ? std::max<int64_t>(1, test.depth) + 1 : test.depth;
        most = std::max(most, before + test.tokens());
    }
    return most;
}

bool ForcedDrafts::next() {
    if (made_++ % a_step_ == 0) failed_ = false;
    if (failed_) return false;
    owed_ += acceptance_;
    failed_ = owed_ < 1;
    if (!failed_) owed_ -= 1;
    return !failed_;
}

ModelBench::ModelBench(Engine& engine, uint64_t seed, bool repeated) : engine_(engine), repeated_(repeated) {
    RandomStream stream(seed, "ids");
    const auto vocabulary = uint64_t(engine.config().vocab_size);
    for (int64_t i = 0; i <= engine.context(); ++i) ids_.push_back(int32_t(stream.next() % vocabulary));
}

Result<ModelBench::Arm*> ModelBench::arm(const ModelTest& test) {
    const ForcedDrafts drafts(std::max<int64_t>(1, test.drafts), test.acceptance);
    const ModelTest undrafted = {.prompt = test.prompt, .generate = test.generate, .depth = test.depth};
    // Another test's rows end elsewhere.
    if (std::exchange(filled_for_, undrafted.name()) != undrafted.name()) arms_.clear();
    auto& slot = arms_[test.name()];
    if (!slot) {
        slot = std::make_unique<Arm>(Arm{drafts, nullptr});
        SpeculationOptions options;
        options.most = test.drafts;
        const auto known = [this](int64_t position) { return ids_[size_t(position)]; };
        options.known = known;
        const auto vocabulary = int32_t(engine_.config().vocab_size);
        options.replace = [known, vocabulary, own = slot.get()](int64_t position, int32_t) {
            const int32_t right = known(position);
            return own->drafts.next() ? right : (right + 1) % vocabulary;
        };
        slot->generator = std::make_unique<Generator>(engine_, nullptr, std::move(options));
        if (repeated_ && test.depth > 0) VKS_TRY(slot->generator->pretend(std::span(ids_).first(size_t(test.depth))));
    }
    slot->drafts = drafts;
    return slot.get();
}

Result<ModelSample> ModelBench::run(const ModelTest& test, const std::atomic<bool>* interrupted) {
    VKS_ASSIGN(const Arm* own, arm(test));
    Generator& generator = *own->generator;
    GenerateHooks hooks;
    hooks.interrupted = interrupted;
    GenerateOptions options;
    options.max_tokens = 0;
    const auto prompt = [&](int64_t n) { return std::span(ids_).first(size_t(n)); };
    Generation out;
    if (test.prompt > 0) {
        if (test.depth > 0) {
            VKS_TRY(generator.run(prompt(test.depth), options, hooks));
        } else {
            generator.reset();
        }
        VKS_ASSIGN(out, generator.run(prompt(test.depth + test.prompt), options, hooks));
    } else {
        options.max_tokens = test.generate + 1;  // the first comes from the prompt
        VKS_ASSIGN(out, generator.run(prompt(std::max<int64_t>(1, test.depth)), options, hooks));
    }
    if (out.finish == Finish::kInterrupted) return bad_input("benchmark: wanted to go on, found it interrupted");
    const Phase& phase = test.prompt > 0 ? out.prefill : out.decode;
    CHECK(phase.tokens == test.tokens(), "{} tokens of {}", phase.tokens, test.tokens());
    return ModelSample{phase.seconds, out.mtp};
}

}  // namespace vks::bench
