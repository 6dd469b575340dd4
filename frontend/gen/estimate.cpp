#include "frontend/gen/estimate.h"

#include <algorithm>
#include <cmath>

#include "backend/base/result.h"
#include "frontend/gen/residency.h"

namespace vks {
namespace {

// A submit, a fence and a copy of a few rows; there and back for each layer that two devices share.
constexpr double kHandover = 40e-6;

// For activations: the widest values of a chunk that live at a time, in f32.
uint64_t activation_bytes(const ModelConfig& c, const Workload& work) {
    const int64_t head = c.num_attention_heads * (c.kv_cache_width() + c.kv_lora_rank);
    const int64_t experts = c.num_experts_per_tok * (2 * c.moe_intermediate_size + c.hidden_size);
    const int64_t widest = std::max({head, experts, 2 * c.intermediate_size, c.vocab_size / work.chunk});
    return 4 * static_cast<uint64_t>(work.chunk * (4 * c.hidden_size + widest));
}

class Estimator {
public:
    Estimator(const ModelConfig& config, const std::vector<ModelPiece>& pieces, const Machine& machine,
              const Workload& work)
        : config_(config), pieces_(pieces), machine_(machine), work_(work) {
        for (const DeviceModel& device : machine.devices) out_.homes.emplace_back().name = device.name;
        out_.homes.emplace_back().name = "file";
    }

    Estimate run() {
        assign();
        out_.decode = rate(1);
        out_.prefill = rate(static_cast<double>(work_.chunk));
        out_.counts_flops = std::ranges::all_of(machine_.devices, [&](const DeviceModel& device) {
            return device.flops > 0 || out_.homes[index(device)].bytes == 0;
        });
        return std::move(out_);
    }

private:
    size_t host() const { return machine_.devices.size() - 1; }
    size_t file() const { return machine_.devices.size(); }
    size_t index(const DeviceModel& device) const { return static_cast<size_t>(&device - machine_.devices.data()); }

    void assign() {
        const uint64_t caches = static_cast<uint64_t>(work_.context) * work_.kv_bytes_per_token;
        for (Home& home : out_.homes) home.reserved = activation_bytes(config_, work_);
        out_.homes.front().reserved += caches;
        out_.homes.back().reserved = 0;
        homes_ = homes_of(pieces_, rooms());
        const auto streamed = [&](size_t i) {
            return homes_[i] == file() && pieces_[i].expert >= 0 && pieces_[i].reads > 0;
        };
        bool any = false;
        for (size_t i = 0; i < pieces_.size(); ++i) any = any || streamed(i);
        if (any) {
            out_.homes[host()].reserved += passing_bytes(config_, pieces_);
            homes_ = homes_of(pieces_, rooms());
        }
        for (size_t i = 0; i < pieces_.size(); ++i) {
            const ModelPiece& piece = pieces_[i];
            Home& home = out_.homes[homes_[i]];
            home.bytes += piece.bytes;
            home.experts += piece.expert >= 0 ? 1 : 0;
            const bool apart = piece.kind != TensorKind::kMtp;  // an MTP module is one kind, scales and all
            home.kinds[static_cast<size_t>(piece.kind)] += piece.bytes - (apart ? piece.scale_bytes : 0);
            if (apart) home.kinds[static_cast<size_t>(TensorKind::kScales)] += piece.scale_bytes;
        }
    }

    std::vector<uint64_t> rooms() const {
        std::vector<uint64_t> rooms;
        for (const DeviceModel& device : machine_.devices) {
            const uint64_t reserved = out_.homes[index(device)].reserved;
            rooms.push_back(device.memory - std::min(device.memory, reserved));
        }
        return rooms;
    }

    // The part of a piece that a step of n tokens reads, n tokens being routed independently.
    double read_by(const ModelPiece& piece, double tokens) const {
        if (piece.kind == TensorKind::kEmbedding && piece.reads < 1) return std::min(1.0, piece.reads * tokens);
        return 1 - std::pow(1 - std::min(1.0, piece.reads), tokens);
    }

    Rate rate(double tokens) const {
        const size_t devices = machine_.devices.size();
        std::vector<double> bytes(devices + 1, 0), flops(devices, 0);
        std::vector<bool> apart(static_cast<size_t>(config_.total_layers()), false);
        for (size_t i = 0; i < pieces_.size(); ++i) {
            const ModelPiece& piece = pieces_[i];
            const double read = read_by(piece, tokens) * static_cast<double>(piece.bytes);
            bytes[homes_[i]] += read;
            const size_t runs_on = std::min(homes_[i], host());  // what is in the file is computed by the host
            if (homes_[i] == file()) bytes[host()] += read;
            if (piece.kind != TensorKind::kEmbedding || piece.reads == 1) {
                flops[runs_on] += 2 * piece.reads * static_cast<double>(piece.parameters) * tokens;
            }
            if (piece.layer >= 0 && runs_on != 0 && read > 0) apart[static_cast<size_t>(piece.layer)] = true;
        }
        bytes[0] += static_cast<double>(work_.context) * static_cast<double>(work_.kv_bytes_per_token);
        return summed(bytes, flops, std::ranges::count(apart, true), tokens);
    }

    Rate summed(const std::vector<double>& bytes, const std::vector<double>& flops, int64_t shared_layers,
                double tokens) const {
        Rate rate;
        const auto add = [&](const std::string& link, double seconds) {
            if (seconds > 0) rate.parts.push_back({link, seconds});
        };
        double across = 0;
        for (const DeviceModel& device : machine_.devices) {
            const size_t d = index(device);
            // Reading and multiplying overlap within a device.
            const double reading = bytes[d] / device.bandwidth;
            const double multiplying = device.flops > 0 ? flops[d] / device.flops : 0;
            add(device.name + (multiplying > reading ? " arithmetic" : " memory"), std::max(reading, multiplying));
            if (device.link > 0 && across == 0) across = device.link;
        }
        if (across > 0 && shared_layers > 0) {
            const double rows = 2 * tokens * static_cast<double>(config_.hidden_size) * 4;
            add("link", static_cast<double>(shared_layers) * (kHandover + rows / across));
        }
        add("disk", bytes[file()] / machine_.disk);
        double total = 0;
        for (const Rate::Part& part : rate.parts) total += part.seconds;
        if (rate.parts.empty()) return rate;
        rate.tok_s = tokens / total;
        rate.limit = std::ranges::max_element(rate.parts, {}, &Rate::Part::seconds)->link;
        return rate;
    }

    const ModelConfig& config_;
    const std::vector<ModelPiece>& pieces_;
    const Machine& machine_;
    const Workload& work_;
    std::vector<size_t> homes_;
    Estimate out_;
};

}  // namespace

Estimate estimate(const ModelConfig& config, const std::vector<ModelPiece>& pieces, const Machine& machine,
                  const Workload& work) {
    CHECK(!machine.devices.empty() && work.chunk > 0, "a machine of {} devices", machine.devices.size());
    return Estimator(config, pieces, machine, work).run();
}

}  // namespace vks
