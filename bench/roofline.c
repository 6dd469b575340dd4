/* What a machine can do at best, measured without a line of the project: reading and copying as STREAM does, copying
 * by the C library where that is faster, and a loop of multiply-adds. bench/roofline.py builds it and holds `vkseek
 * bench roofline` against it.
 *
 * usage: roofline THREADS BYTES [read]    prints GB/s and GFLOP/s as JSON, of the best try each, and read's median; copies
 *                                         count what they read and what they write. read: nothing but that
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

enum { kChains = 12, kLanes = 16, kTries = 60, kRounds = 100000 };

typedef float Vector __attribute__((vector_size(4 * kLanes)));

struct Worker {
    pthread_t thread;
    pthread_barrier_t* barrier;
    void (*work)(struct Worker*);
    float *a, *b;
    size_t count;
    double begin, end; /* of the last try: the clock that main() sees runs on while it waits for a core */
    volatile float result;
};

static double seconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void read_all(struct Worker* w) {
    float sum = 0;
    for (size_t i = 0; i < w->count; ++i) sum += w->a[i];
    w->result = sum;
}

static void copy_all(struct Worker* w) {
    float* restrict to = w->b, * restrict from = w->a;
    for (size_t i = 0; i < w->count; ++i) to[i] = from[i];
}

/* By the C library, pieces of 64 KiB: it may know stores that don't read first what they overwrite. */
static void copy_pieces(struct Worker* w) {
    const size_t bytes = w->count * sizeof *w->a, piece = (size_t)1 << 16;
    for (size_t at = 0; at < bytes; at += piece)
        memcpy((char*)w->b + at, (const char*)w->a + at, bytes - at < piece ? bytes - at : piece);
}

static void multiply_add(struct Worker* w) {
    Vector sum[kChains];
    for (int i = 0; i < kChains; ++i) sum[i] = (Vector){(float)i};
    const Vector factor = (Vector){0} + w->a[0], more = (Vector){0} + w->a[1];
    for (int r = 0; r < kRounds; ++r)
        for (int i = 0; i < kChains; ++i) sum[i] = sum[i] * factor + more;
    for (int i = 1; i < kChains; ++i) sum[0] += sum[i];
    w->result = sum[0][0];
}

/* Memory as the CPU plugin has it: in large pages where the system grants them. */
static float* memory(size_t bytes) {
    const size_t page = (size_t)2 << 20;
    void* data = aligned_alloc(page, (bytes + page - 1) / page * page);
#ifdef MADV_HUGEPAGE
    if (data) madvise(data, bytes, MADV_HUGEPAGE);
#endif
    return data;
}

static void* tries(void* argument) {
    struct Worker* w = argument;
    for (int i = 0; i < kTries; ++i) {
        pthread_barrier_wait(w->barrier);
        w->begin = seconds();
        w->work(w);
        w->end = seconds();
        pthread_barrier_wait(w->barrier);
    }
    return NULL;
}

static int by_value(const void* a, const void* b) {
    const double x = *(const double*)a, y = *(const double*)b;
    return (x > y) - (x < y);
}

/* Seconds of a try, from when the first begins until the last is done: the best one's, and the median. */
struct Times {
    double best, median;
};

static struct Times measure(struct Worker* workers, int threads, void (*work)(struct Worker*)) {
    pthread_barrier_t barrier;
    pthread_barrier_init(&barrier, NULL, (unsigned)threads + 1);
    for (int t = 0; t < threads; ++t) {
        workers[t].barrier = &barrier;
        workers[t].work = work;
        pthread_create(&workers[t].thread, NULL, tries, &workers[t]);
#ifdef __linux__ /* left to itself it may keep two of them on one core */
        cpu_set_t core;
        CPU_ZERO(&core);
        CPU_SET((unsigned)t, &core);
        pthread_setaffinity_np(workers[t].thread, sizeof core, &core);
#endif
    }
    double taken[kTries];
    for (int i = 0; i < kTries; ++i) {
        pthread_barrier_wait(&barrier);
        pthread_barrier_wait(&barrier);
        double begin = workers[0].begin, end = workers[0].end;
        for (int t = 1; t < threads; ++t) {
            if (workers[t].begin < begin) begin = workers[t].begin;
            if (workers[t].end > end) end = workers[t].end;
        }
        taken[i] = end - begin;
    }
    for (int t = 0; t < threads; ++t) pthread_join(workers[t].thread, NULL);
    pthread_barrier_destroy(&barrier);
    qsort(taken, kTries, sizeof *taken, by_value);
    return (struct Times){taken[0], taken[kTries / 2]};
}

int main(int argc, char** argv) {
    const int read_only = argc == 4 && strcmp(argv[3], "read") == 0, right = argc == 3 || read_only;
    const int threads = right ? atoi(argv[1]) : 0;
    const size_t bytes_each = threads > 0 ? (size_t)strtoull(argv[2], NULL, 10) / (size_t)threads : 0;
    const size_t count = bytes_each / sizeof(float);
    struct Worker* workers = calloc((size_t)threads, sizeof *workers);
    if (threads <= 0 || count < 2 || !workers) {
        return fprintf(stderr, "usage: %s THREADS BYTES [read]\n", argv[0]), 2;
    }
    for (int t = 0; t < threads; ++t) {
        struct Worker* w = &workers[t];
        w->count = count;
        w->a = memory(count * sizeof(float));
        w->b = memory(count * sizeof(float));
        if (!w->a || !w->b) return fprintf(stderr, "no memory\n"), 1;
        for (size_t i = 0; i < count; ++i) w->a[i] = 0.5f;
        memset(w->b, 0, count * sizeof(float));
    }
    const double bytes = (double)(count * sizeof(float)) * threads;
    const struct Times read = measure(workers, threads, read_all);
    printf("{\"read\": %.2f, \"read_median\": %.2f", bytes / read.best / 1e9, bytes / read.median / 1e9);
    if (read_only) return puts("}"), 0;
    const double loop = measure(workers, threads, copy_all).best, pieces = measure(workers, threads, copy_pieces).best;
    printf(", \"copy\": %.2f, ", 2 * bytes / (loop < pieces ? loop : pieces) / 1e9);
    const double f32 = measure(workers, threads, multiply_add).best;
    printf("\"f32\": %.2f}\n", 2.0 * kLanes * kChains * kRounds * threads / f32 / 1e9);
    return 0;
}
