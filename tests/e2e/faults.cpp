// The program on devices that fail: the same ids from what is left, or one line and status 4.
#include "tests/e2e/faults.h"

namespace vks::test {
namespace {

const std::vector<std::string> kFaultThenCpu = {"--backend", "fault,cpu"};

TEST(Faults, TheProgramGoesOn) {
    const auto ids = document_of(generate_with_fault("", {"--backend", "cpu"}))["ids"];
    ASSERT_EQ(ids.size(), 16U);
    for (const char* fault :
         {"error=device_lost;step=0", "error=device_lost;step=9", "error=internal;in=await;step=4",
          "error=throw;op=mla_attention;step=3", "error=out_of_memory;step=2", "error=out_of_memory;in=stream;at=1",
          "error=internal;in=stream;at=1", "error=out_of_memory;in=fence;at=1", "error=internal;in=fence;at=1"}) {
        SCOPED_TRACE(fault);
        expect_survived(generate_with_fault(fault, kFaultThenCpu), ids);
    }
    SCOPED_TRACE("hang");
    expect_survived(generate_with_fault("error=hang;op=gemm;step=5", {"--backend", "fault,cpu", "--watchdog", "0.01"}),
                    ids);
    SCOPED_TRACE("draft");
    expect_survived(
        generate_with_fault("error=throw;in=await;op=mtp_merge;at=3", {"--backend", "fault,cpu", "--mtp", "2"}), ids);
}

TEST(Faults, AloneItEndsWithOneLine) {
    for (const char* fault : {"error=device_lost;step=3", "error=throw;in=await", "error=internal;op=gemm;step=1"}) {
        SCOPED_TRACE(fault);
        expect_one_line(generate_with_fault(fault, {"--backend", "fault"}));
    }
    expect_one_line(generate_with_fault("error=hang;step=2", {"--backend", "fault", "--watchdog", "0.01"}));
}

TEST(Faults, AutoNeverTakesThePlugin) {
    const auto document = document_of(generate_with_fault("error=device_lost", {}));
    for (const auto& [op, device] : document["placement"].items()) EXPECT_EQ(device, "cpu") << op;
}

// The plans of chat's /op are what the device dies of, at each kernel in turn; the conversation is computed again.
TEST(Faults, AConversationStaysTheSame) {
    const auto chat = [](const std::string& fault, const std::string& change) {
        RunOptions run;
        run.env["VKSEEK_FAULT"] = fault;
        run.input = "Hello\n" + change + "And now?\n";
        return run_program({"chat", "-m", data("nano-bf16/checkpoint"), "--plugin-dir", null_dir(), "--math", "f32",
                            "--temp", "0", "-n", "8", "--backend", "fault,cpu", "--mtp", "0", "--threads", "1"},
                           run);
    };
    const Ran right = chat("", "");
    ASSERT_EQ(right.status, 0) << right.err;
    int again = 0;
    for (int at = 100; at < 200; at += 10) {
        const Ran ran = chat("error=device_lost;in=prepare;at=" + std::to_string(at), "/op embed=cpu\n");
        EXPECT_EQ(ran.status, 0) << ran.err;
        EXPECT_EQ(ran.out, right.out) << at;
        again += ran.err.find(" tokens computed again") != std::string::npos ? 1 : 0;
    }
    EXPECT_GE(again, 2);
}

TEST(Faults, AFaultThatMeansNothing) {
    const Ran ran = generate_with_fault("error=nonsense", kFaultThenCpu);
    EXPECT_EQ(ran.status, 4);
    EXPECT_NE(ran.err.find("VKSEEK_FAULT: error: found nonsense"), std::string::npos) << ran.err;
}

TEST(Faults, Checks) {
    const auto ids = document_of(generate_with_fault("", {"--backend", "cpu"}))["ids"];
    const std::string wrong = "error=wrong;op=embed";
    const auto right = document_of(generate_with_fault("", {"--backend", "fault", "--check", "1"}));
    EXPECT_EQ(right["ids"], ids);
    EXPECT_EQ(right["checks"]["disagreements"].size(), 0U);
    EXPECT_EQ(right["checks"]["operators"], 16);

    const Ran warned = generate_with_fault(wrong, {"--backend", "fault,cpu", "--check", "1"});
    const auto disagreements = document_of(warned)["checks"]["disagreements"];
    ASSERT_GE(disagreements.size(), 1U);
    EXPECT_EQ(disagreements[0]["op"], "embed");
    EXPECT_EQ(disagreements[0]["device"], "fault");
    EXPECT_NE(warned.err.find("vkseek: check embed embed_tokens (fault, variant "), std::string::npos) << warned.err;

    const Ran stopped =
        generate_with_fault(wrong, {"--backend", "fault,cpu", "--check", "1", "--check-action", "stop"});
    EXPECT_EQ(stopped.status, 5);
    EXPECT_EQ(stopped.err.find('\n'), stopped.err.size() - 1) << stopped.err;

    // The first check is of the first step, before an id was printed: all are right.
    const Ran left = generate_with_fault(wrong, {"--backend", "fault,cpu", "--check", "1", "--check-action", "swap"});
    const auto document = document_of(left);
    EXPECT_EQ(document["swaps"].size(), 1U);
    EXPECT_EQ(document["placement"]["embed"], "cpu");
}

}  // namespace
}  // namespace vks::test
