// Group ops: every operator the plugin supports, on every case, against the reference plugin's plain version.
#include <map>

#include "backend/conformance/trial.h"
#include "tests/conformance/groups.h"

namespace vks::conformance {

void check_ops(Target& target, Target* reference, Report& report, const Settings& settings) {
    report.group("ops");
    std::map<std::string, int> supported;  // by operator: cases
    for (const Case& c : make_cases(settings.seed)) {
        const Outcome got = run(target, c);
        supported[c.op] += got.unsupported.empty();
        if (!got.unsupported.empty()) {
            if (settings.require_all) {
                report.check(c.name, false, "wanted support, found: " + got.unsupported);
            } else {
                report.skip(c.name, got.unsupported);
            }
            continue;
        }
        Outcome want;
        if (reference) want = run(*reference, c);
        const std::string problem = judge(c, got, reference ? &want : nullptr);
        report.check(c.name, problem.empty(), problem);
    }
    for (const auto& [op, count] : supported) {
        bool listed = false;
        for (const char* const* p = target.plugin.ops; *p; ++p) listed = listed || op == *p;
        if (!listed && count == 0) continue;
        report.check(op + " is listed and supported", listed && count > 0,
                     listed ? "wanted support of a case at least, found none" : "wanted it in the list of operators");
    }
}

}  // namespace vks::conformance
