// embed/1: y[t] = table[ids[t]]; a row of zeros for an id outside the table.
#include "plugins/args/ops/embed.h"
#include "plugins/cpu/load.h"

namespace vks::cpu {
namespace {

using namespace args::embed;

void run(const Call& call) {
    const Arg &ids = call.args[kIds], &table = call.args[kTable], &y = call.args[kY];
    with_weight(table.dtype, [&](auto from) {
        with_activation(y.dtype, [&](auto to) {
            for_rows(call, y.rows(), y.dim[1], [&](int64_t t, int) {
                const int64_t id = ids.as<int32_t>()[t];
                const bool known = id >= 0 && id < table.rows();
                for (int64_t i = 0; i < y.dim[1]; ++i) {
                    store(out_row<decltype(to)>(y, t) + i, known ? to_float(row<decltype(from)>(table, id)[i]) : 0.0f);
                }
            });
        });
    });
}

constinit const Variant plain = {"plain", nullptr, nullptr, nullptr, run};
constexpr const Variant* kVariants[] = {&plain};

}  // namespace

extern constinit const Op op_embed = {"embed/1", 0, check, kOutputs, kVariants};

}  // namespace vks::cpu
