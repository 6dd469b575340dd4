#include "backend/graph/graph.h"

#include "backend/abi/plugin.hpp"

namespace vks {

int64_t Graph::bytes(const Value& v, const Bindings& b) const {
    int64_t n = abi::element_bytes(v.dtype);
    for (const Dim& d : v.shape) n *= d.bind(b);
    return n;
}

ValueId Graph::find(const std::string& name) const {
    for (auto id = ValueId(values.size()); id-- > 0;)  // what is asked for in every step, logits, comes last
        if (values[id].name == name) return id;
    return kAbsent;
}

}  // namespace vks
