// One stream of work on a device, its fence, and the way bytes get between that device and the host.
#pragma once
#include <cstddef>

#include "backend/registry/device.h"

namespace vks {

// Where a tensor's bytes are on some device.
struct Location {
    vks_buffer* buffer = nullptr;
    uint64_t offset = 0;
    std::byte* mapped = nullptr;  // host address of the tensor where the buffer is host-visible
};

// [stream]: one thread at a time. Errors name the device.
class Lane {
public:
    static Result<std::unique_ptr<Lane>> create(Device& device);
    // Waits for its work, unless the device is lost.
    ~Lane();
    Lane(const Lane&) = delete;
    Lane& operator=(const Lane&) = delete;

    Device& device() const { return device_; }
    const Stream& stream() const { return stream_; }

    // Work launched so far will reach the fence; cheap when there is none.
    Status submit();
    // All submitted work is done, or failed, which is told once. No answer in time is an error that names the device
    // and the operators.
    Status finish();
    // A copy was made: submit() has something to do.
    void touched() { pending_ = true; }
    // A launch was made. `what`: for messages; borrowed until finish().
    void touched(const std::string& what) {
        pending_ = true;
        in_flight_.add(what);
    }

    // Host to device and back. Both finish earlier work on the lane first when they must.
    Status upload(const void* from, const Location& to, uint64_t bytes);
    Status download(const Location& from, void* to, uint64_t bytes);
    // Packs a row-major constant into the layout the plugin asked for.
    Status pack(const void* from, vks_tensor row_major, vks_tensor packed);

private:
    explicit Lane(Device& device) : device_(device) {}
    Status stage(uint64_t bytes);

    Device& device_;
    Stream stream_;
    Fence fence_;
    uint64_t submitted_ = 0, finished_ = 0;
    bool pending_ = false;
    InFlight in_flight_;
    Buffer staging_;
    uint64_t staging_bytes_ = 0;
    std::byte* staging_map_ = nullptr;
};

}  // namespace vks
