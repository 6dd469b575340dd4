// vkseek doctor: what it finds on a machine that is well, and on ones that are not.
#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "tests/support/plugins.h"
#include "tests/support/run_program.h"
#include "tests/support/temp_dir.h"

namespace vks::test {
namespace {

struct Doctor {
    int status = -1;
    std::string err;
    nlohmann::json report;

    const nlohmann::json& device(const std::string& id) const {
        static const nlohmann::json kNone;
        for (const auto& d : report["devices"])
            if (d["id"] == id) return d;
        ADD_FAILURE() << id << " is not in " << report;
        return kNone;
    }
};

Doctor doctor(const std::vector<std::string>& options, const RunOptions& run = {}) {
    std::vector<std::string> arguments = {"doctor", "--json"};
    arguments.insert(arguments.end(), options.begin(), options.end());
    const Ran ran = run_program(arguments, run);
    return {ran.status, ran.err, nlohmann::json::parse(ran.out, nullptr, false)};
}

// The finding about `topic`; whatever is not as it should be comes with advice.
nlohmann::json finding(const nlohmann::json& list, const std::string& topic) {
    nlohmann::json found;
    for (const auto& f : list) {
        EXPECT_EQ(f["grade"] == "ok", f["advice"] == "") << f;
        if (f["topic"] == topic && found.is_null()) found = f;
    }
    EXPECT_FALSE(found.is_null()) << topic << " is not in " << list;
    return found;
}

// Where what a graphics driver's devices compute is not the question: it takes seconds.
RunOptions without_graphics() {
    RunOptions run;
    run.env["VK_DRIVER_FILES"] = "/nonexistent";
    return run;
}

// The program away from the plugins built beside it.
std::filesystem::path lonely_program(const TempDir& dir) {
    const std::filesystem::path program = dir / "vkseek";
    std::filesystem::copy_file(VKS_PROGRAM, program);
    return program;
}

TEST(Doctor, EveryDeviceComputesRightly) {
    const Doctor well = doctor({});
    EXPECT_EQ(well.status, 0) << well.err << well.report;
    EXPECT_EQ(well.err, "");
    for (const auto& device : well.report["devices"]) {
        for (const auto& [op, answers] : device["operators"].items()) EXPECT_EQ(answers["wrong"], 0) << op;
        if (device["usable"] == true) {
            EXPECT_EQ(finding(device["findings"], "known answers")["grade"], "ok");
        }
    }
    EXPECT_EQ(well.device("cpu")["operators"].size(), 18U);
    for (const auto& [op, answers] : well.device("cpu")["operators"].items()) EXPECT_GT(answers["right"], 0) << op;
    const Ran text = run_program({"doctor"});
    EXPECT_EQ(text.status, 0);
    EXPECT_NE(text.out.find("known answers: 18 operators right"), std::string::npos) << text.out;
}

TEST(Doctor, NamesTheOperatorThatIsWrong) {
    RunOptions run = without_graphics();
    run.env["REMOTE_OPTIONS"] = "wrong=rms_norm";
    const Doctor ill = doctor({"--plugin-dir", test_dir()}, run);
    EXPECT_EQ(ill.status, 5);
    EXPECT_EQ(
        ill.err,
        "vkseek: known answers (doctor): wanted right ones, found wrong ones: rms_norm/1 on remote:0, rms_norm/1 on "
        "remote:1\n");
    const auto& device = ill.device("remote:0");
    EXPECT_GT(device["operators"]["rms_norm/1"]["wrong"], 0);
    EXPECT_EQ(device["operators"]["add/1"]["wrong"], 0);
    const auto fault = finding(device["findings"], "known answers");
    EXPECT_EQ(fault["grade"], "fault");
    EXPECT_NE(fault["text"].get<std::string>().find("rms_norm/1 is wrong in"), std::string::npos) << fault;
    EXPECT_NE(fault["advice"].get<std::string>().find("--op rms_norm=cpu"), std::string::npos) << fault;
    EXPECT_EQ(ill.device("cpu")["operators"]["rms_norm/1"]["wrong"], 0);
}

// "remote" under the other's name: a CPU plugin that is wrong.
TEST(Doctor, NobodyIsSentToTheCpuFromTheCpu) {
    const TempDir dir;
    std::string library = read_bytes(test_dir() / "libvkseek_remote.so");
    const std::string_view name("\0remote\0", 8);
    const size_t at = library.find(name);
    ASSERT_NE(at, std::string::npos);
    library.replace(at, name.size(), std::string_view("\0cpu\0te\0", 8));
    write_bytes(dir / "libvkseek_cpu.so", library);
    RunOptions run;
    run.env["REMOTE_OPTIONS"] = "stray=add";
    const Doctor ill = doctor({"--plugin-dir", dir.path()}, run);
    EXPECT_EQ(ill.status, 5);
    const auto fault = finding(ill.device("cpu:0")["findings"], "known answers");
    EXPECT_EQ(fault["grade"], "fault");
    EXPECT_EQ(fault["advice"].get<std::string>(),
              "Keep it off this device (--op add=DEVICE, another), update or reinstall the plugin, and report it.");
    for (const auto& f : ill.device("cpu:0")["findings"])
        EXPECT_EQ(f["advice"].get<std::string>().find("such as cpu"), std::string::npos) << f;
}

TEST(Doctor, NoticesAnUnsteadyOperator) {
    RunOptions run = without_graphics();
    run.env["REMOTE_OPTIONS"] = "unsteady=add";
    const Doctor ill = doctor({"--plugin-dir", test_dir()}, run);
    EXPECT_EQ(ill.status, 5);
    EXPECT_GT(ill.device("remote:1")["operators"]["add/1"]["wrong"], 0);
}

TEST(Doctor, GivesUpOnADeviceThatIsLost) {
    RunOptions run = without_graphics();
    run.env["REMOTE_OPTIONS"] = "lose_after=40";
    const Doctor ill = doctor({"--plugin-dir", test_dir()}, run);
    EXPECT_EQ(ill.status, 5);
    const auto& findings = ill.device("remote:0")["findings"];
    EXPECT_TRUE(std::any_of(findings.begin(), findings.end(), [](const auto& f) {
        return f["text"].template get<std::string>().ends_with("the device answers no more");
    })) << findings;
}

TEST(Doctor, HoldsAModelAgainstTheDevices) {
    const Doctor large = doctor({"--plugin-dir", test_dir(), "--shape", "deepseek-v3"}, without_graphics());
    EXPECT_EQ(large.status, 0) << large.err;
    const auto& remote = large.device("remote:0")["findings"];  // of 1 GiB
    EXPECT_EQ(finding(remote, "largest tensor")["grade"], "warning");
    EXPECT_EQ(finding(remote, "room")["grade"], "warning");
    const Doctor small = doctor({"--plugin-dir", test_dir()}, without_graphics());
    EXPECT_EQ(finding(small.device("remote:0")["findings"], "largest tensor")["grade"], "ok");
    EXPECT_EQ(finding(small.device("remote:0")["findings"], "room")["grade"], "ok");
}

TEST(Doctor, WithoutPluginsThereIsNoDevice) {
    const TempDir dir;
    RunOptions run;
    run.program = lonely_program(dir);
    const Doctor none = doctor({"-m", VKS_DEMO_MODEL}, run);
    EXPECT_EQ(none.status, 4);
    EXPECT_EQ(none.err, "vkseek: device (doctor): wanted one that is usable, found none\n");
    EXPECT_EQ(finding(none.report["machine"], "plugins")["grade"], "fault");
}

// A model that nobody named is no reason not to look at the machine.
TEST(Doctor, WithoutAModelTheMachineIsExamined) {
    RunOptions run;
    run.env["VKSEEK_MODEL"] = "/nonexistent";
    const Doctor none = doctor({"--plugin-dir", cpu_dir()}, run);
    EXPECT_EQ(none.status, 0) << none.err;
    EXPECT_EQ(none.err, "");
    const auto model = finding(none.report["machine"], "model");
    EXPECT_EQ(model["grade"], "warning");
    EXPECT_EQ(model["text"], "model ($VKSEEK_MODEL: /nonexistent): wanted a directory, found nothing there");
    const auto& cpu = none.device("cpu")["findings"];
    EXPECT_EQ(finding(cpu, "known answers")["grade"], "ok");
    for (const auto& f : cpu) EXPECT_FALSE(f["topic"] == "room" || f["topic"] == "largest tensor") << f;
    EXPECT_EQ(doctor({"-m", "/nonexistent"}).status, 3);
}

TEST(Doctor, NamesFoldersOfPluginsThatAreNotThere) {
    RunOptions run;
    run.env["VKSEEK_PLUGIN_PATH"] = "/nonexistent";
    const Doctor well = doctor({"--plugin-dir", cpu_dir()}, run);
    EXPECT_EQ(well.status, 0) << well.err;
    EXPECT_EQ(well.err, "");
    const auto& findings = well.report["machine"];
    EXPECT_TRUE(std::any_of(findings.begin(), findings.end(), [](const auto& f) {
        return f["text"] == "plugins ($VKSEEK_PLUGIN_PATH: /nonexistent): wanted a directory, found nothing there";
    })) << findings;
}

TEST(Doctor, NamesRefusedPlugins) {
    const TempDir dir;
    write_bytes(dir / "libvkseek_broken.so", "no library");
    const auto refused = finding(doctor({"--plugin-dir", dir.path()}, without_graphics()).report["machine"], "plugins");
    EXPECT_EQ(refused["grade"], "warning");
    EXPECT_NE(refused["text"].get<std::string>().find("libvkseek_broken.so was refused"), std::string::npos);
}

}  // namespace
}  // namespace vks::test
