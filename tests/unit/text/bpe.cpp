// The heap against the definition of byte-pair merging, written as plainly as possible.
#include "frontend/text/bpe.h"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <string>

namespace vks {
namespace {

struct Model {
    Bpe bpe;
    std::map<std::pair<int32_t, int32_t>, std::pair<size_t, int32_t>> merges;  // rank and result
};

// Merges over an alphabet of `letters`, each of two earlier tokens picked at random.
Model random_model(std::mt19937& random, int letters, int tokens) {
    Model model;
    std::map<std::string, int32_t> ids;
    std::vector<std::string> texts;
    for (int i = 0; i < letters; ++i) {
        texts.push_back(std::string(1, static_cast<char>('a' + i)));
        ids[texts.back()] = i;
        model.bpe.set_byte(static_cast<uint8_t>('a' + i), i);
    }
    while (static_cast<int>(texts.size()) < tokens) {
        const auto left = static_cast<int32_t>(random() % texts.size());
        const auto right = static_cast<int32_t>(random() % texts.size());
        const std::string text = texts[static_cast<size_t>(left)] + texts[static_cast<size_t>(right)];
        const auto [entry, fresh] = ids.try_emplace(text, static_cast<int32_t>(texts.size()));
        if (fresh) texts.push_back(text);
        // A text that two merges give is allowed; a pair twice is not.
        const bool added = model.bpe.add_merge(left, right, entry->second);
        const size_t rank = model.merges.size();
        EXPECT_EQ(added, model.merges.try_emplace({left, right}, rank, entry->second).second);
    }
    return model;
}

std::vector<int32_t> plainly(const Model& model, const std::string& word) {
    std::vector<int32_t> ids;
    for (const char c : word) ids.push_back(c - 'a');
    for (;;) {
        size_t best = SIZE_MAX, at = 0;
        int32_t result = 0;
        for (size_t i = 0; i + 1 < ids.size(); ++i) {
            const auto merge = model.merges.find({ids[i], ids[i + 1]});
            if (merge == model.merges.end() || merge->second.first >= best) continue;
            best = merge->second.first;
            result = merge->second.second;
            at = i;
        }
        if (best == SIZE_MAX) return ids;
        ids[at] = result;
        ids.erase(ids.begin() + static_cast<std::ptrdiff_t>(at) + 1);
    }
}

TEST(Bpe, MergesLowestRankThenLeftmost) {
    std::mt19937 random(7);
    Bpe::Workspace work;
    for (int round = 0; round < 40; ++round) {
        const int letters = 1 + round % 4;
        const Model model = random_model(random, letters, letters + 3 + round);
        for (int i = 0; i < 200; ++i) {
            std::string word;
            const size_t length = random() % 60;
            while (word.size() < length)
                word += static_cast<char>('a' + static_cast<int>(random() % static_cast<unsigned>(letters)));
            std::vector<int32_t> ids;
            ASSERT_FALSE(model.bpe.encode(word, work, ids));
            ASSERT_EQ(ids, plainly(model, word)) << word;
        }
    }
}

TEST(Bpe, AppendsAndLeavesIdsAloneOnFailure) {
    Bpe bpe;
    bpe.set_byte('a', 3);
    Bpe::Workspace work;
    std::vector<int32_t> ids = {9};
    ASSERT_FALSE(bpe.encode("aa", work, ids));
    EXPECT_EQ(ids, (std::vector<int32_t>{9, 3, 3}));
    const auto missing = bpe.encode("aa\xFF", work, ids);
    ASSERT_TRUE(missing);
    EXPECT_EQ(*missing, 0xFF);
    EXPECT_EQ(ids.size(), 3u);
    ASSERT_FALSE(bpe.encode("", work, ids));
    EXPECT_EQ(ids.size(), 3u);
}

// A quadratic merge would take hours over this one.
TEST(Bpe, LongWordsTakeNearlyLinearTime) {
    Bpe bpe;
    bpe.set_byte('a', 0);
    for (int32_t i = 0; i < 20; ++i) ASSERT_TRUE(bpe.add_merge(i, i, i + 1));
    EXPECT_FALSE(bpe.add_merge(3, 3, 9));
    Bpe::Workspace work;
    std::vector<int32_t> ids;
    ASSERT_FALSE(bpe.encode(std::string((size_t{1} << 20) + 5, 'a'), work, ids));
    EXPECT_EQ(ids, (std::vector<int32_t>{20, 2, 0}));
}

}  // namespace
}  // namespace vks
