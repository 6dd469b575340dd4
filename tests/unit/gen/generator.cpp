// Generating with drafts: the ids, the text and the end are those of a run that drafts nothing.
#include "frontend/gen/generator.h"

#include <random>
#include <utility>

#include "tests/unit/gen/test_engine.h"

namespace vks {
namespace {

using test::kDemo;
using test::kMicro;
constexpr int64_t kContext = 96;
constexpr int kMost = 4;

// Time as a sequence of its own: steps take now this, now that, and always the same.
std::function<double()> made_up_clock() {
    return [random = std::minstd_rand(1), now = 0.0]() mutable { return now += double(random() % 1000 + 1); };
}

SpeculationOptions drafts(int64_t most, bool adapt = false) {
    SpeculationOptions options;
    options.most = most;
    options.adapt = adapt;
    options.clock = made_up_clock();
    return options;
}

Generation generate(Engine& engine, const SpeculationOptions& speculation, const std::vector<int32_t>& prompt,
                    const GenerateOptions& options) {
    const auto out = Generator(engine, nullptr, speculation).run(prompt, options, {});
    CHECK(out, "{}", out.error().text);
    return *out;
}

void expect_same(const Generation& a, const Generation& b) {
    EXPECT_EQ(a.ids, b.ids);
    EXPECT_EQ(a.finish, b.finish);
    EXPECT_EQ(a.logits_hash, b.logits_hash);
    EXPECT_EQ(a.text, b.text);
}

// Drafts that are right where bit i of `pattern`, for the id at i modulo 8, is set.
SpeculationOptions replay(const std::vector<int32_t>& sequence, int64_t most, int pattern) {
    SpeculationOptions options = drafts(most);
    options.replace = [=](int64_t position, int32_t) {
        const int32_t right = size_t(position) < sequence.size() ? sequence[size_t(position)] : 0;
        return (pattern >> position % 8 & 1) != 0 ? right : right ^ 1;
    };
    return options;
}

std::vector<int32_t> joined(std::vector<int32_t> a, const std::vector<int32_t>& b) {
    a.insert(a.end(), b.begin(), b.end());
    return a;
}

class Drafting : public testing::TestWithParam<test::DraftingModel> {
protected:
    Drafting() : made_(test::drafting_engine(GetParam().path(), GetParam().modules, kMost, kContext)) {}
    Engine& engine() { return *made_.engine; }
    test::TestEngine made_;
};

// What sampling looks back at: accepted drafts count as ids seen, others don't.
TEST_P(Drafting, PenaltiesSeeTheSameIds) {
    GenerateOptions options;
    options.max_tokens = 40;
    options.sampling.repeat_penalty = 1.3;
    for (const double temperature : {0.0, 0.8}) {
        options.sampling.temperature = temperature;
        const std::vector<int32_t> prompt = {0, 9, 8, 7};
        const Generation plain = generate(engine(), {}, prompt, options);
        const std::vector<int32_t> all = joined(prompt, plain.ids);
        expect_same(generate(engine(), drafts(3), prompt, options), plain);
        expect_same(generate(engine(), replay(all, 4, 0b11011101), prompt, options), plain);
    }
}

TEST_P(Drafting, EveryPatternOfRightAndWrong) {
    const std::vector<int32_t> prompt = {0, 5, 17};
    GenerateOptions options;
    options.max_tokens = 24;
    const Generation plain = generate(engine(), {}, prompt, options);
    const std::vector<int32_t> all = joined(prompt, plain.ids);
    for (int64_t most = 1; most <= kMost; ++most) {
        for (int pattern = 0; pattern < 256; pattern += most < kMost ? 17 : 3) {
            SCOPED_TRACE(testing::Message() << most << " drafts, pattern " << pattern);
            const Generation out = generate(engine(), replay(all, most, pattern), prompt, options);
            expect_same(out, plain);
            if (pattern == 0) {
                EXPECT_EQ(out.mtp.accepted, 0);
            }
            EXPECT_EQ(out.decode.tokens, out.mtp.steps + out.mtp.accepted);
        }
        const Generation right = generate(engine(), replay(all, most, 255), prompt, options);
        EXPECT_EQ(right.mtp.accepted, right.mtp.drafted);
        EXPECT_EQ(right.mtp.steps, (23 + most) / (most + 1));
    }
}

// Whatever ends a text ends it there, also in the middle of drafts that are right; and the caches serve what follows.
TEST_P(Drafting, EndsWhereAPlainRunEnds) {
    const std::vector<int32_t> prompt = {0, 5, 17, 3};
    GenerateOptions options;
    options.max_tokens = 16;
    const Generation plain = generate(engine(), {}, prompt, options);
    const std::vector<int32_t> all = joined(prompt, plain.ids);
    const auto check = [&](const GenerateOptions& end) {
        const Generation wanted = generate(engine(), {}, prompt, end);
        Generator generator(engine(), nullptr, replay(all, kMost, 255));
        const auto out = generator.run(prompt, end, {});
        ASSERT_TRUE(out);
        expect_same(*out, wanted);
        const std::vector<int32_t> next = joined(joined(prompt, wanted.ids), {7, 8, 9});
        const auto more = generator.run(next, options, {});
        ASSERT_TRUE(more);
        expect_same(*more, generate(engine(), {}, next, options));
    };
    for (int64_t n = 0; n <= 16; ++n) {
        SCOPED_TRACE(testing::Message() << n << " tokens");
        GenerateOptions limit = options;
        limit.max_tokens = n;
        check(limit);
        GenerateOptions eos = options;
        if (n < 16) eos.eos_ids = {plain.ids[size_t(n)]};
        check(eos);
    }
}

TEST_P(Drafting, FillsTheContextToTheLastPosition) {
    const std::vector<int32_t> prompt(size_t(kContext) - 10, 3);
    GenerateOptions options;
    const Generation plain = generate(engine(), {}, prompt, options);
    EXPECT_EQ(plain.ids.size(), 10U);
    EXPECT_EQ(plain.finish, Finish::kContext);
    for (int64_t most = 1; most <= kMost; ++most) {
        expect_same(generate(engine(), drafts(most), prompt, options), plain);
        expect_same(generate(engine(), replay(joined(prompt, plain.ids), most, 255), prompt, options), plain);
    }
    const std::vector<int32_t> full(size_t(kContext), 3);
    expect_same(generate(engine(), drafts(4), full, options), generate(engine(), {}, full, options));
}

// Prompts that share beginnings with what was there, as in a conversation.
TEST_P(Drafting, CachesServeTheNextPrompt) {
    for (const bool adapt : {false, true}) {
        Generator generator(engine(), nullptr, drafts(kMost, adapt));
        GenerateOptions options;
        options.max_tokens = 9;
        std::vector<int32_t> prompt = {0, 4, 2};
        for (int turn = 0; turn < 6; ++turn) {
            SCOPED_TRACE(turn);
            const auto out = generator.run(prompt, options, {});
            ASSERT_TRUE(out);
            test::TestEngine other = test::drafting_engine(GetParam().path(), 0, 0, kContext);
            expect_same(*out, generate(*other.engine, {}, prompt, options));
            if (turn > 0 && !adapt) {
                EXPECT_GT(out->reused, 2 - GetParam().modules);
            }
            if (turn % 3 != 2) prompt = joined(prompt, out->ids);
            if (turn % 2 == 0) prompt.resize(prompt.size() - 1);
            prompt.push_back(11 + turn);
        }
    }
}

INSTANTIATE_TEST_SUITE_P(Models, Drafting, test::drafting_models, test::drafting_name);

TEST(Generator, StopStringsAndInterruptsEndInTheMiddleOfDrafts) {
    const auto made = test::drafting_engine(kDemo.path(), 1, kMost, kContext);
    const auto tokenizer = Tokenizer::load(kDemo.path());
    ASSERT_TRUE(tokenizer);
    const std::vector<int32_t> prompt = joined({0}, *tokenizer->encode("libsound-dev: "));
    GenerateOptions options;
    options.max_tokens = 24;
    const Generation plain = generate(*made.engine, {}, prompt, options);
    const SpeculationOptions right = replay(joined(prompt, plain.ids), kMost, 255);
    const auto run = [&](const SpeculationOptions& speculation, const GenerateHooks& hooks) {
        return *Generator(*made.engine, &*tokenizer, speculation).run(prompt, options, hooks);
    };
    for (size_t pieces = 1; pieces < 12; ++pieces) {
        std::atomic<bool> interrupted = false;
        size_t heard = 0;
        GenerateHooks hooks;
        hooks.interrupted = &interrupted;
        hooks.text = [&](std::string_view) {
            interrupted = ++heard == pieces;
            return Status{};
        };
        const Generation wanted = run({}, hooks);
        EXPECT_EQ(wanted.finish, Finish::kInterrupted);
        interrupted = false;
        heard = 0;
        expect_same(run(right, hooks), wanted);
    }
    const std::string text = run({}, {}).text;
    for (size_t at = 1; at + 3 < text.size(); at += 2) {
        options.stops = {text.substr(at, 3)};
        const Generation wanted = run({}, {});
        EXPECT_EQ(wanted.finish, Finish::kStop);
        expect_same(run(right, {}), wanted);
    }
}

TEST(Generator, AnErrorLeavesTheCachesUsable) {
    const auto made = test::drafting_engine(kDemo.path(), 1, kMost, kContext);
    const auto tokenizer = Tokenizer::load(kDemo.path());
    ASSERT_TRUE(tokenizer);
    const std::vector<int32_t> prompt = {0, 5, 17, 3};
    GenerateOptions options;
    options.max_tokens = 12;
    const Generation plain = generate(*made.engine, {}, prompt, options);
    Generator generator(*made.engine, &*tokenizer, replay(joined(prompt, plain.ids), kMost, 255));
    GenerateHooks failing;
    int pieces = 0;
    failing.text = [&](std::string_view) { return ++pieces == 3 ? Status(Error{Code::kBadInput, "full"}) : Status{}; };
    EXPECT_FALSE(generator.run(prompt, options, failing));
    const auto out = generator.run(prompt, options, {});
    ASSERT_TRUE(out);
    EXPECT_EQ(out->ids, plain.ids);
    EXPECT_EQ(out->logits_hash, plain.logits_hash);
    EXPECT_GT(out->reused, 0);
}

// On a clock where a draft takes `draft` seconds and a step of the model one.
TEST(Generator, AdaptiveDraftsFollowTheClock) {
    const auto made = test::drafting_engine(kMicro.path(), 2, kMost, 512);
    const std::vector<int32_t> prompt = {0, 5, 17, 3};
    GenerateOptions options;
    options.max_tokens = 400;
    const Generation plain = generate(*made.engine, {}, prompt, options);
    const auto tokens_per_step = [&](double draft) {
        SpeculationOptions speculation = replay(joined(prompt, plain.ids), kMost, 255);
        speculation.adapt = true;
        struct Time {
            double now = 0;
            int readings = 0;
            bool drafted = false;
        };
        const auto time = std::make_shared<Time>();
        speculation.replace = [time, right = speculation.replace](int64_t position, int32_t id) {
            time->drafted = true;
            return right(position, id);
        };
        // Readings come in pairs around what is timed.
        speculation.clock = [time, draft] {
            if (++time->readings % 2 == 0) time->now += std::exchange(time->drafted, false) ? draft : 1;
            return time->now;
        };
        const Generation out = generate(*made.engine, speculation, prompt, options);
        expect_same(out, plain);
        return out.tokens_per_step();
    };
    EXPECT_GT(tokens_per_step(0.1), 3.5);
    EXPECT_LT(tokens_per_step(3), 1.2);
}

}  // namespace
}  // namespace vks
