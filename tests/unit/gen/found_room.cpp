// A device with too little memory and no cap: all plans have the same weights there, those that every token reads
// first.
#include "frontend/gen/found_room.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

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
        cpu.id = "cpu";
        cpu.flags = VKS_DEVICE_HOST_MEMORY | VKS_DEVICE_FALLBACK;
        needed = make({});  // without a limit
    }
    // Devices are opened anew, as what a card says is asked for once.
    std::vector<PlanRequest> requests() {
        set.reset();
        devices.clear();
        devices.push_back(test::open(card));
        devices.push_back(test::open(cpu));
        Preference preference;
        for (const auto& device : devices) preference.order.push_back(device.get());
        preference.general = 2;
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
    // Names of nodes on the card.
    std::set<std::string> there(size_t plan) const {
        std::set<std::string> names;
        const Plan& made = *set->plan(plan);
        for (size_t i = 0; i < made.report.size(); ++i)
            if (made.report[i].device == 0) names.insert(made.graph->nodes[i].name);
        return names;
    }
    // Of what has weights; of the embedding table a token reads a row.
    void expect_all_but_experts() const {
        EXPECT_EQ(there(0), there(1));
        const Graph& graph = *set->plan(1)->graph;
        for (const Node& node : graph.nodes)
            for (const ValueId id : node.args) {
                if (id == kAbsent || graph.values[id].kind != Kind::kWeight) continue;
                if (node.name.find(".experts.") != std::string::npos || node.name == "embed_tokens") continue;
                EXPECT_TRUE(there(1).contains(node.name)) << node.name;
            }
        EXPECT_LT(there(1).size(), graph.nodes.size());
    }

    std::shared_ptr<const Checkpoint> weights = checkpoint();
    test::Fake card, cpu;
    uint64_t limit = UINT64_MAX, needed = 0;
    int refused = 0;
    std::vector<std::unique_ptr<Device>> devices;
    std::unique_ptr<PlanSet> set;
};

TEST_F(FindingRoom, WhereAllFitsNothingIsLeftOut) {
    limit = needed;
    FoundRoom room(weights, 0, true);
    EXPECT_EQ(make(room), needed);
    EXPECT_EQ(room.slots().first, nullptr);
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
    EXPECT_EQ(room.slots().first, nullptr);
    EXPECT_EQ(there(1).size(), set->plan(1)->graph->nodes.size());
}

// Plans for one token come last, and have what those for many have at least.
TEST_F(FindingRoom, WithSeveralDevicesTheNextGetsTheRest) {
    limit = needed / 10 * 9;
    test::Fake other;
    other.id = "other";
    std::vector<PlanRequest> wanted = requests();
    const auto second = test::open(other);
    for (PlanRequest& request : wanted) {
        request.preference.order.push_back(second.get());
        request.preference.general = 3;
    }
    FoundRoom room(weights, 0, true);
    room.keep(wanted, nullptr);
    make(std::move(wanted), [&](const Shortage& shortage) { return room.replan(shortage); });
    EXPECT_EQ(room.slots().first, nullptr);
    EXPECT_FALSE(there(0).empty());
    EXPECT_TRUE(std::ranges::includes(there(1), there(0)));
    set.reset();
}

}  // namespace
}  // namespace vks
