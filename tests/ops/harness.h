// Runs one operator of a plugin through the plugin ABI, as the core would: query, prepare with constants bound, launch.
// Outputs lie between guard zones and start as NaN, inputs must stay as they were, and two runs must agree in every
// bit.
#pragma once
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "backend/conformance/value.h"

namespace vks::test {

using conformance::cast;
using conformance::concat_columns;
using conformance::concat_rows;
using conformance::decode;
using conformance::encode;
using conformance::ints;
using conformance::largest_row_error;
using conformance::make;
using conformance::Random;
using conformance::relative_error;
using conformance::reshape;
using conformance::slice;
using conformance::Value;
using conformance::zeros;

// An open device of the plugin under test. Not copyable; keeps the library loaded.
class Device {
public:
    // Ends the program with a message if the plugin doesn't load or open.
    Device(const std::string& plugin, const std::string& options);
    ~Device();
    Device(const Device&) = delete;
    Device& operator=(const Device&) = delete;

    const std::string& label() const { return label_; }  // the options, for SCOPED_TRACE
    const vks_plugin& plugin() const { return *plugin_; }
    const vks_device_api& api() const { return *plugin_->device; }
    vks_device* handle() const { return device_; }

private:
    std::string label_;
    const vks_plugin* plugin_ = nullptr;
    vks_device* device_ = nullptr;
    vks_buffer* kept_ = nullptr;  // so that what a device takes memory in isn't given back after every operator
};

// The library under test: the environment's VKS_TEST_PLUGIN, else the build's.
std::string plugin_path();
// A device opened with these options; opened once per program.
Device& device(const std::string& options);
// Calls f on the plugin's plain and its best variants; instead, on what the environment's VKS_TEST_OPTIONS lists, '|'
// between, "device=*" being each of its devices.
void on_every_device(const std::function<void(Device&)>& f);

// A run of one operator; arguments in the order of abi/ops.h.
class OpRun {
public:
    explicit OpRun(std::string op) : op_(std::move(op)) {}
    const std::string& op() const { return op_; }

    template <class P>
    OpRun& params(const P& params) {
        const auto* bytes = reinterpret_cast<const std::byte*>(&params);
        params_.assign(bytes, bytes + sizeof params);
        return *this;
    }
    OpRun& in(Value value) { return add(std::move(value), kInput); }
    OpRun& constant(Value value) { return add(std::move(value), kConstant); }
    OpRun& inout(Value value) { return add(std::move(value), kInOut); }
    OpRun& out(uint32_t dtype, std::vector<int64_t> dim) { return add(Value{dtype, std::move(dim), {}}, kOutput); }
    OpRun& absent() { return add({}, kInput); }

    // The in-out and output arguments after the launch, in order. Failures are GoogleTest failures; after one the
    // values may be NaN.
    std::vector<Value> on(Device& device) const;
    // The variant query names, or "unsupported: <reason>".
    std::string variant(Device& device) const;

private:
    enum Role { kInput, kConstant, kInOut, kOutput };
    struct Argument {
        Value value;
        Role role;
    };
    OpRun& add(Value value, Role role) {
        args_.push_back({std::move(value), role});
        return *this;
    }
    std::vector<vks_tensor> declared() const;
    vks_op described(const std::vector<vks_tensor>& tensors) const;
    std::vector<Value> once(Device& device) const;

    std::string op_;
    std::vector<std::byte> params_;
    std::vector<Argument> args_;
};

// A golden file below tests/golden/, opened; ends the program if it isn't there.
class Golden {
public:
    explicit Golden(const std::string& file);
    ~Golden();
    Value operator[](const std::string& name) const;  // must exist
    bool has(const std::string& name) const;

private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

// got within `tolerance` of want by relative_error. The figure is recorded as a test property, and printed when the
// environment has VKS_TEST_FIGURES.
void expect_close(const std::string& what, const Value& got, const std::vector<double>& want, double tolerance);
inline void expect_close(const std::string& what, const Value& got, const Value& want, double tolerance) {
    expect_close(what, got, want.doubles(), tolerance);
}
// The same of each row of `columns` by itself: one that is wrong among larger ones is seen.
void expect_rows_close(const std::string& what, const Value& got, const std::vector<double>& want, int64_t columns,
                       double tolerance);
void record(const std::string& what, double figure);
void expect_same_bits(const std::string& what, const Value& got, const Value& want);

// The numbers an e4m3 value stands for, with one scale per `rows_per_scale` rows and 128 columns; scale may be absent.
std::vector<double> dequantised(const Value& value, const Value& scale, int64_t rows_per_scale);

// y = x w^T in double; scales of e4m3 operands (blocks of 128) may be absent.
std::vector<double> matmul(const Value& x, const Value& x_scale, const Value& w, const Value& w_scale);
inline std::vector<double> matmul(const Value& x, const Value& w) {
    return matmul(x, {}, w, {});
}

inline int64_t blocks(int64_t n) {
    return (n + 127) / 128;
}

}  // namespace vks::test
