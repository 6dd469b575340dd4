// A stream of the remote test plugin: records, and on submit hands the record to its own thread.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>

#include "tests/plugins/remote/device.h"

namespace vks::remote {
namespace {

template <class F>
void for_each_use(const Work& work, F&& f) {
    if (work.kernel) f(*static_cast<Used*>(work.kernel));
    for (const vks_tensor& t : work.args)
        if (t.buffer) f(*static_cast<Used*>(t.buffer));
    for (const vks_tensor* t : {&work.from, &work.to})
        if (t->buffer) f(*static_cast<Used*>(t->buffer));
}

// The faults in an operator's result.
void spoil(vks_device& device, const Work& work) {
    const Faults& faults = device.faults;
    const std::string& op = work.kernel->op;
    const vks_tensor* last = &work.args.back();
    while (last->dtype == VKS_NONE) --last;
    std::byte* first = address(*last);
    if (op == faults.wrong) first[1] ^= std::byte{0x40};
    if (op == faults.unsteady) first[0] = std::byte(device.runs++);
    if (op == faults.stray) first[bytes_of(*last)] = std::byte{0};
}

}  // namespace

void broken(const char* what) {
    std::fprintf(stderr, "remote: %s\n", what);
    std::abort();
}

}  // namespace vks::remote

using vks::remote::Work;

vks_stream::vks_stream(vks_device* owner) : device(owner), thread_([this] { loop(); }) {
    ++device->objects;
}

vks_stream::~vks_stream() {
    {
        const std::lock_guard lock(mutex_);
        stop_ = true;
    }
    changed_.notify_all();
    thread_.join();
    for (const auto* list : {&recorded, &queue_})
        for (const Work& work : *list) vks::remote::for_each_use(work, [](auto& used) { --used.uses; });
    --device->objects;
}

Work& vks_stream::record(const Work& work) {
    vks::remote::for_each_use(work, [](auto& used) { ++used.uses; });
    return recorded.emplace_back(work);
}

void vks_stream::submit() {
    {
        const std::lock_guard lock(mutex_);
        queue_.insert(queue_.end(), recorded.begin(), recorded.end());
    }
    recorded.clear();
    changed_.notify_all();
}

void vks_stream::loop() {
    std::vector<Work> batch;
    for (;;) {
        {
            std::unique_lock lock(mutex_);
            changed_.wait(lock, [&] { return stop_ || !queue_.empty(); });
            if (queue_.empty()) return;
            batch.swap(queue_);
        }
        if (device->faults.delay_us > 0)
            std::this_thread::sleep_for(std::chrono::microseconds(device->faults.delay_us));
        for (const Work& work : batch) {
            perform(work);
            vks::remote::for_each_use(work, [](auto& used) { --used.uses; });
            if (work.signal) {
                const std::lock_guard lock(work.signal->mutex);
                if (work.signal->status == VKS_OK) {
                    work.signal->status = status_;
                    work.signal->text = text_;
                }
                work.signal->value = std::max(work.signal->value, work.signal_value);
                work.signal->changed.notify_all();
            }
        }
        batch.clear();
    }
}

void vks_stream::fail(vks_status status, const std::string& text) {
    if (status_ != VKS_OK) return;
    status_ = status;
    text_ = text;
}

// After a failure nothing more of this stream runs.
void vks_stream::perform(const Work& work) {
    if (work.await) {
        std::unique_lock lock(work.await->mutex);
        // Stopping a stream that waits for what never comes is the test's business, not a deadlock.
        while (work.await->value < work.await_value) {
            work.await->changed.wait_for(lock, std::chrono::milliseconds(5));
            const std::lock_guard own(mutex_);
            if (stop_) return fail(VKS_INTERNAL, "remote: stopped while waiting");
        }
    }
    if (device->lost) fail(VKS_DEVICE_LOST, "remote: the device was lost");
    if (status_ != VKS_OK) return;
    if (work.kernel) {
        if (device->faults.lose_after >= 0 && device->left.fetch_sub(1) <= 0) {
            device->lost = true;
            fail(VKS_DEVICE_LOST, "remote: the device was lost");
        } else if (work.kernel->op == device->faults.run) {
            fail(VKS_INTERNAL, "remote: " + work.kernel->op + " failed while it ran");
        } else {
            work.kernel->run(*work.kernel, work.args.data());
            vks::remote::spoil(*device, work);
        }
    } else if (work.from.buffer) {
        vks::remote::copy(work.from, work.to);
    }
}
