// Devices with too little memory and no cap: all plans have the same weights there, those that every token reads
// first.
#include "frontend/gen/found_room.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "frontend/gen/device_room.h"
#include "frontend/model/deepseek_v3.h"
#include "tests/support/fake_device.h"
#include "tests/support/paths.h"

namespace vks {
namespace {

std::shared_ptr<const Checkpoint> checkpoint() {
    auto opened = Checkpoint::open(test::data("nano-fp8/checkpoint"));
    CHECK(opened, "{}", opened.error().text);
    return std::make_shared<const Checkpoint>(*std::move(opened));
}

class FindingRoom : public ::testing::Test {
protected:
    FindingRoom() {
        card.id = "card";
        card.imports = false;
        card.room = [this](uint64_t bytes) {
            if (card.held + bytes <= limit) return true;
            ++refused;
            return false;
        };
        second.id = "second";
        second.imports = false;
        cpu.id = "cpu";
        cpu.flags = VKS_DEVICE_HOST_MEMORY | VKS_DEVICE_FALLBACK;
        needed = make({});  // without a limit
    }
    // Devices are opened anew, as what a card says is asked for once.
    std::vector<PlanRequest> requests() {
        set.reset();
        devices.clear();
        for (test::Fake* fake : cards) devices.push_back(test::open(*fake));
        devices.push_back(test::open(cpu));
        Preference preference;
        for (const auto& device : devices) preference.order.push_back(device.get());
        preference.general = devices.size();
        std::vector<PlanRequest> all;
        for (const int64_t tokens : {16, 1}) {
            ModelOptions options;
            options.context = 64;
            options.max_tokens = tokens;
            auto model = build_main(weights, options);
            CHECK(model, "{}", model.error().text);
            all.push_back({model->graph, preference});
        }
        return all;
    }
    // Bytes on the card.
    uint64_t make(const Replan& replan) { return make(requests(), replan); }
    uint64_t make(std::vector<PlanRequest> wanted, const Replan& replan) {
        auto made = make_plans(nullptr, std::move(wanted), replan);
        CHECK(made, "{}", made.error().text);
        set = *std::move(made);
        return card.held;
    }
    uint64_t make(FoundRoom& room) {
        std::vector<PlanRequest> wanted = requests();
        room.keep(wanted, nullptr);
        return make(std::move(wanted), [&](const Shortage& shortage) { return room.replan(shortage); });
    }
    // Names of nodes on the card, or on another device.
    std::set<std::string> there(size_t plan, size_t device = 0) const {
        std::set<std::string> names;
        const Plan& made = *set->plan(plan);
        for (size_t i = 0; i < made.report.size(); ++i)
            if (made.report[i].device == device) names.insert(made.graph->nodes[i].name);
        return names;
    }
    // Of what has weights; of the embedding table a token reads a row.
    void expect_all_but_experts() const {
        std::set<std::string> all;
        for (size_t d = 0; d < cards.size(); ++d) {
            EXPECT_EQ(there(0, d), there(1, d));
            all.merge(there(1, d));
        }
        const Graph& graph = *set->plan(1)->graph;
        for (const Node& node : graph.nodes)
            for (const ValueId id : node.args) {
                if (id == kAbsent || graph.values[id].kind != Kind::kWeight) continue;
                if (node.name.find(".experts.") != std::string::npos || node.name == "embed_tokens") continue;
                EXPECT_TRUE(all.contains(node.name)) << node.name;
            }
        EXPECT_LT(all.size(), graph.nodes.size());
    }

    std::shared_ptr<const Checkpoint> weights = checkpoint();
    test::Fake card, second, cpu;
    std::vector<test::Fake*> cards = {&card};
    uint64_t limit = UINT64_MAX, needed = 0;
    int refused = 0;
    std::vector<std::unique_ptr<Device>> devices;
    std::unique_ptr<PlanSet> set;
};

TEST_F(FindingRoom, WhereAllFitsNothingIsLeftOut) {
    limit = needed;
    FoundRoom room(weights, 0, true);
    EXPECT_EQ(make(room), needed);
    EXPECT_FALSE(room.limited());
    EXPECT_EQ(there(1).size(), set->plan(1)->graph->nodes.size());
}

TEST_F(FindingRoom, ByWhatTheDeviceRefuses) {
    limit = needed / 10 * 9;
    FoundRoom room(weights, 0, true);
    EXPECT_LE(make(room) + room.slots().second, limit);
    EXPECT_EQ(room.slots().first, devices[0].get());
    EXPECT_GT(refused, 0);
    expect_all_but_experts();
}

TEST_F(FindingRoom, ByWhatTheDeviceSaysItIsAskedForNoMore) {
    limit = card.bytes_free = needed / 10 * 9;
    FoundRoom room(weights, 0, true);
    EXPECT_LE(make(room) + room.slots().second, limit);
    EXPECT_EQ(refused, 0);
    expect_all_but_experts();
}

// What is imported takes nothing of the device's memory.
TEST_F(FindingRoom, ADeviceThatImportsIsAskedForAll) {
    card.imports = true;
    card.bytes_free = needed / 10 * 9;
    FoundRoom room(weights, 0, true);
    make(room);
    EXPECT_FALSE(room.limited());
    EXPECT_EQ(there(1).size(), set->plan(1)->graph->nodes.size());
}

// Plans for one token come last, and have what those for many have at least.
TEST_F(FindingRoom, OfTwoThatHaveEnoughTogetherTheSecondGetsTheRest) {
    limit = needed / 10 * 9;
    cards = {&card, &second};
    FoundRoom room(weights, 0, true);
    EXPECT_LE(make(room), limit);
    EXPECT_FALSE(room.limited());
    for (const size_t plan : {size_t{0}, size_t{1}})
        EXPECT_EQ(there(plan, 0).size() + there(plan, 1).size(), set->plan(plan)->graph->nodes.size());
    EXPECT_FALSE(there(0, 0).empty());
    EXPECT_TRUE(std::ranges::includes(there(1, 0), there(0, 0)));
}

TEST_F(FindingRoom, TwoThatHaveTooLittleShareTheLayers) {
    limit = card.bytes_free = needed / 10 * 6;
    second.bytes_free = needed / 10 * 3;
    second.room = [this](uint64_t bytes) { return second.held + bytes <= second.bytes_free; };
    cards = {&card, &second};
    FoundRoom room(weights, 0, true);
    make(room);
    EXPECT_TRUE(room.limited());
    EXPECT_EQ(refused, 0);
    EXPECT_LE(second.held, second.bytes_free);
    expect_all_but_experts();
    // The first device has the first layers.
    const int64_t layers = weights->config().num_hidden_layers;
    int64_t moves = 0;
    bool on_second = false;
    for (int64_t layer = 0; layer < layers; ++layer) {
        const bool here = there(1, 1).contains(fmt::format("layers.{}.self_attn.q_b_proj", layer));
        moves += here != on_second;
        on_second = here;
    }
    EXPECT_EQ(moves, 1);
    EXPECT_TRUE(on_second);
}

// What they say is free may not be.
TEST_F(FindingRoom, OneOfTwoThatRefusesHasLess) {
    card.bytes_free = needed / 10 * 6;
    limit = needed / 10 * 4;
    second.bytes_free = needed / 10 * 3;
    cards = {&card, &second};
    FoundRoom room(weights, 0, true);
    EXPECT_LE(make(room), limit);
    EXPECT_GT(refused, 0);
    expect_all_but_experts();
}

std::vector<ModelPiece> layers_of(std::initializer_list<uint64_t> bytes) {
    std::vector<ModelPiece> pieces;
    for (const uint64_t n : bytes) {
        ModelPiece piece;
        piece.bytes = n;
        piece.layer = std::ssize(pieces);
        pieces.push_back(piece);
    }
    return pieces;
}

std::string owners(const std::vector<ModelPiece>& pieces, std::initializer_list<uint64_t> memories) {
    const auto shares = share_layers(pieces, std::vector(memories));
    std::string text;
    for (size_t i = 0; i < pieces.size(); ++i)
        for (size_t d = 0; d < shares.size(); ++d)
            if (shares[d][i].reads > 0) text += fmt::format("{}", d);
    return text;
}

TEST(ShareLayers, ByMemory) {
    const std::vector<ModelPiece> even = layers_of({9, 9, 9, 9, 9, 9});
    EXPECT_EQ(owners(even, {5, 5}), "000111");
    EXPECT_EQ(owners(even, {10, 5}), "000011");
    EXPECT_EQ(owners(even, {2, 10, 2}), "011112");
    EXPECT_EQ(owners(even, {1, 100}), "111111");
    EXPECT_EQ(owners(even, {0, 0}).size(), 6u);
    EXPECT_EQ(owners(even, {7}), "000000");
    EXPECT_EQ(owners(layers_of({30, 1, 1, 1, 1, 1, 1}), {5, 5}), "0111111");
}

// A layer's pieces stay together, and what is never read takes no room.
TEST(ShareLayers, Whole) {
    std::vector<ModelPiece> pieces = layers_of({2, 2, 2, 2, 100});
    pieces[1].layer = 0;
    pieces[3].layer = 2;
    pieces[4].reads = 0;
    EXPECT_EQ(owners(pieces, {3, 5}), "0011");
}

}  // namespace
}  // namespace vks
