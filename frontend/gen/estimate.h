// What a model would do on given memories: where its weights live, and tokens a second from bandwidths. Arithmetic on
// counts; measures and loads nothing.
#pragma once
#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "frontend/io/config.h"
#include "frontend/model/pieces.h"

namespace vks {

// A device and its memory, real or supposed.
struct DeviceModel {
    std::string name;      // "vulkan:0", "cpu"
    uint64_t memory = 0;   // bytes it may use
    double bandwidth = 1;  // of that memory, bytes a second
    double link = 0;       // to host memory, bytes a second; 0: it is host memory
    double flops = 0;      // multiply-adds count twice; 0: unknown, left out
};

struct Machine {
    std::vector<DeviceModel> devices;  // fastest first; the last is the host
    double disk = 1;                   // bytes a second
};

struct Workload {
    int64_t context = 1;  // rows of the latent caches; decode is estimated with all of them filled
    int64_t chunk = 512;  // tokens a step of the prompt
    uint64_t kv_bytes_per_token = 0;
};

// What lives in one memory.
struct Home {
    std::string name;                                       // a device's, or "file"
    uint64_t bytes = 0;                                     // of weights
    uint64_t reserved = 0;                                  // for caches, activations and what is being read
    int64_t experts = 0;                                    // whole ones
    std::array<uint64_t, kTensorKindNames.size()> kinds{};  // by TensorKind; they add up to bytes
};

// Seconds for one step, by what takes them: "vulkan:0 memory", "disk"... Links work one after the other.
struct Rate {
    struct Part {
        std::string link;
        double seconds = 0;
    };
    std::vector<Part> parts;  // those that take any
    double tok_s = 0;
    std::string limit;  // the part that takes longest
};

struct Estimate {
    std::vector<Home> homes;  // one a device, in their order, then the file
    Rate decode, prefill;
    bool counts_flops = false;  // the rates count arithmetic of every device that has weights
};

Estimate estimate(const ModelConfig& config, const std::vector<ModelPiece>& pieces, const Machine& machine,
                  const Workload& work);

}  // namespace vks
