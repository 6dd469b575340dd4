// Group stream: order, fences, timeouts, and streams side by side.
#include <chrono>
#include <thread>

#include "tests/conformance/groups.h"

namespace vks::conformance {
namespace {

constexpr uint64_t kMillisecond = 1'000'000;
constexpr uint64_t kBytes = 4096;

double seconds_since(std::chrono::steady_clock::time_point start) {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

// A stream and a fence of their own.
struct Line {
    explicit Line(Target& target) : t(target) {
        if (t.api.stream_create(t.device, &stream, &error) != VKS_OK) stream = nullptr;
        if (t.api.fence_create(t.device, &fence, &error) != VKS_OK) fence = nullptr;
    }
    ~Line() {
        if (stream) t.api.stream_destroy(stream);
        if (fence) t.api.fence_destroy(fence);
    }
    Line(const Line&) = delete;
    Line& operator=(const Line&) = delete;
    bool ok() const { return stream && fence; }
    bool copy(vks_buffer* from, vks_buffer* to) {
        const vks_tensor source = bytes_at(kBytes, from, 0), target = bytes_at(kBytes, to, 0);
        return t.api.copy(stream, &source, &target, &error) == VKS_OK;
    }
    bool submit(uint64_t value) { return t.api.submit(stream, fence, value, &error) == VKS_OK; }
    vks_status await(uint64_t value, uint64_t ns = kPatience) { return t.api.fence_await(fence, value, ns, &error); }

    Target& t;
    vks_stream* stream = nullptr;
    vks_fence* fence = nullptr;
    vks_error error{};
};

// A host buffer and its address.
struct Page {
    explicit Page(Target& target) : t(target), buffer(t.buffer(kBytes, VKS_BUFFER_HOST)) {
        if (buffer) at = static_cast<uint8_t*>(t.api.buffer_map(t.device, buffer));
    }
    ~Page() {
        if (buffer) t.destroy(buffer);
    }
    Page(const Page&) = delete;
    Page& operator=(const Page&) = delete;
    void fill(int value) { std::memset(at, value, kBytes); }
    bool holds(int value) const {
        for (uint64_t i = 0; i < kBytes; ++i)
            if (at[i] != value) return false;
        return true;
    }

    Target& t;
    vks_buffer* buffer;
    uint8_t* at = nullptr;
};

void check_fences(Target& t, Report& report) {
    Line line(t);
    if (!report.check("a stream and a fence", line.ok(), line.error.text)) return;
    report.check("a fence begins at 0", line.await(0, 0) == VKS_OK, "wanted 0 reached at once");
    auto start = std::chrono::steady_clock::now();
    const vks_status early = line.await(1, 20 * kMillisecond);
    const double waited = seconds_since(start);
    report.check(
        "what isn't submitted times out", early == VKS_TIMEOUT && waited < 5,
        fmt::format("wanted TIMEOUT after 20 ms, found {} after {:.3f} s", describe(early, line.error), waited));
    report.check("a timeout says what it waited for", line.error.text[0] != 0, "wanted a text in vks_error");
    report.check("a timeout takes a null error", t.api.fence_await(line.fence, 1, 0, nullptr) == VKS_TIMEOUT,
                 "wanted TIMEOUT");
    const bool empty = line.submit(1) && line.await(1) == VKS_OK;
    report.check("nothing submitted is soon done", empty, line.error.text);
    const bool jumped = line.submit(5) && line.await(5) == VKS_OK;
    bool below = jumped;
    for (uint64_t value = 0; value <= 5; ++value) below = below && line.await(value, 0) == VKS_OK;
    report.check("a fence passes every value below", below, line.error.text);
    report.check("and none above", line.await(6, 0) == VKS_TIMEOUT, "wanted TIMEOUT for a value not submitted");
    report.check("any number of ns may be asked for", line.await(5, UINT64_MAX) == VKS_OK, line.error.text);
}

void check_order(Target& t, Report& report) {
    Line line(t);
    Page up(t), down(t);
    vks_buffer *a = t.buffer(kBytes, VKS_BUFFER_DEVICE), *b = t.buffer(kBytes, VKS_BUFFER_DEVICE);
    if (!report.check("buffers for copies", line.ok() && up.at && down.at && a && b, "wanted four")) return;
    bool ok = true;
    int wrong = -1;
    for (int round = 1; round <= 50 && ok; ++round) {
        // The second pair of copies must see the first one's bytes, not those of the round before.
        up.fill(round);
        down.fill(0);
        ok = line.copy(up.buffer, a) && line.copy(a, b) && line.copy(b, a) && line.copy(a, down.buffer) &&
             line.submit(uint64_t(round)) && line.await(uint64_t(round)) == VKS_OK;
        if (ok && !down.holds(round)) wrong = round;
    }
    report.check("work on a stream runs in order", ok && wrong < 0,
                 ok ? fmt::format("found other bytes in round {}", wrong) : line.error.text);
    t.destroy(a);
    t.destroy(b);
}

// Two streams pass a page back and forth; each waits for the other's fence.
void check_two_streams(Target& t, Report& report) {
    Line one(t), two(t);
    Page up(t), down(t);
    vks_buffer* middle = t.buffer(kBytes, VKS_BUFFER_DEVICE);
    if (!report.check("two streams", one.ok() && two.ok() && up.at && down.at && middle, "wanted two")) return;
    bool ok = true;
    int wrong = -1;
    for (int round = 1; round <= 20 && ok && wrong < 0; ++round) {
        const auto value = uint64_t(round);
        up.fill(round);
        ok = one.copy(up.buffer, middle) && one.submit(value) &&
             t.api.wait(two.stream, one.fence, value, &two.error) == VKS_OK && two.copy(middle, down.buffer) &&
             two.submit(value) && two.await(value) == VKS_OK;
        if (ok && !down.holds(round)) wrong = round;
    }
    report.check(
        "a stream waits for another's fence", ok && wrong < 0,
        ok ? fmt::format("found other bytes in round {}", wrong) : std::string(one.error.text) + " " + two.error.text);
    t.destroy(middle);
}

// The wait is recorded before anyone has submitted what it waits for. A device whose work runs at once may hold the
// caller up, so the consumer has a thread of its own.
void check_wait_before_signal(Target& t, Report& report) {
    const char* name = "a wait may come before the work it waits for";
    if (report.skipped(name)) return;
    Line producer(t), consumer(t);
    Page up(t), down(t);
    vks_buffer* middle = t.buffer(kBytes, VKS_BUFFER_DEVICE);
    if (!report.check("two streams for a wait", producer.ok() && consumer.ok() && up.at && down.at && middle,
                      "wanted two, and buffers"))
        return;
    up.fill(1);
    const bool first = producer.copy(up.buffer, middle) && producer.submit(1) && producer.await(1) == VKS_OK;
    vks_status waited = VKS_OK;
    bool ran = false;
    std::thread thread([&] {
        waited = t.api.wait(consumer.stream, producer.fence, 2, &consumer.error);
        ran = waited == VKS_OK && consumer.copy(middle, down.buffer) && consumer.submit(1);
    });
    std::this_thread::sleep_for(std::chrono::milliseconds(30));
    up.fill(2);
    const bool second = producer.copy(up.buffer, middle) && producer.submit(2);
    thread.join();
    if (waited == VKS_UNSUPPORTED) {
        report.skip(name, describe(waited, consumer.error));
    } else {
        const bool done = first && second && ran && consumer.await(1) == VKS_OK;
        report.check(name, done && down.holds(2),
                     done ? "found the bytes from before the signal" : consumer.error.text);
    }
    producer.await(2);
    t.destroy(middle);
}

void check_threads(Target& t, Report& report) {
    constexpr int kThreads = 4, kRounds = 25;
    struct Worker {
        std::unique_ptr<Line> line;
        std::unique_ptr<Page> up, down;
        vks_buffer* middle = nullptr;
        std::string problem;

        bool ok() const { return line->ok() && up->at && down->at && middle; }
    };
    std::vector<Worker> workers(kThreads);
    for (Worker& w : workers) {
        w.line = std::make_unique<Line>(t);
        w.up = std::make_unique<Page>(t);
        w.down = std::make_unique<Page>(t);
        w.middle = t.buffer(kBytes, VKS_BUFFER_DEVICE);
        if (!report.check("a stream for each thread", w.ok(), "wanted one, and buffers")) return;
    }
    std::vector<std::thread> threads;
    for (int i = 0; i < kThreads; ++i)
        threads.emplace_back([&w = workers[size_t(i)], i] {
            for (int round = 1; round <= kRounds && w.problem.empty(); ++round) {
                const int value = 10 * i + round;
                w.up->fill(value);
                const bool ok = w.line->copy(w.up->buffer, w.middle) && w.line->copy(w.middle, w.down->buffer) &&
                                w.line->submit(uint64_t(round)) && w.line->await(uint64_t(round)) == VKS_OK;
                if (!ok) w.problem = std::string("failed: ") + w.line->error.text;
                if (ok && !w.down->holds(value)) w.problem = "found another thread's bytes";
            }
        });
    for (std::thread& thread : threads) thread.join();
    std::string problem;
    for (Worker& w : workers) {
        if (problem.empty()) problem = w.problem;
        t.destroy(w.middle);
    }
    report.check("streams of several threads", problem.empty(), problem);

    Line line(t);
    if (!report.check("a fence to await", line.ok(), line.error.text)) return;
    vks_status seen = VKS_INTERNAL;
    std::thread waiter([&] {
        vks_error error{};
        seen = t.api.fence_await(line.fence, 1, kPatience, &error);
    });
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    line.submit(1);
    waiter.join();
    report.check("another thread may await", seen == VKS_OK, fmt::format("wanted OK, found status {}", seen));
}

}  // namespace

void check_stream(Target& target, Report& report) {
    report.group("stream");
    check_fences(target, report);
    check_order(target, report);
    check_two_streams(target, report);
    check_wait_before_signal(target, report);
    check_threads(target, report);
}

}  // namespace vks::conformance
