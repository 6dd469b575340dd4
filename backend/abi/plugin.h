/* The contract between vkseek's core and an operator backend ("plugin"): a shared library that exports one symbol,
 * `vks_plugin_entry`. C11 and C++20, no other header needed. 64-bit little-endian hosts only.
 *
 * Rules: no C++ type, exception or allocator crosses; what one table creates the same table destroys. Thread tags:
 *   [any]     any thread, concurrently
 *   [stream]  one thread per stream at a time
 *   [idle]    no work in flight on the object
 * Growth: a struct that starts with `size` is appended to, never reordered; the caller zero-fills it and sets `size`
 * to its own sizeof, the callee touches nothing beyond `size`. Structs that travel in arrays (vks_tensor) and vks_error
 * are frozen for a whole major version. No struct has padding. docs/abi.md has the history and the reasons. */
#ifndef VKS_ABI_PLUGIN_H
#define VKS_ABI_PLUGIN_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define VKS_ABI_MAGIC "VKSPLUG" /* 8 bytes with the terminator */
#define VKS_ABI_MAJOR 1u
#define VKS_ABI_MINOR 0u

/* Present in this table? `size` covers the field and it isn't NULL. */
#define VKS_HAS(table, field)                                                                                 \
    ((table)->size >= (uint64_t)((const char *)(&(table)->field + 1) - (const char *)(table)) && (table)->field)

#if defined(__GNUC__) || defined(__clang__)
#define VKS_EXPORT __attribute__((visibility("default")))
#else
#define VKS_EXPORT
#endif

/* Append, never renumber. */
typedef int32_t vks_status;
enum {
    VKS_OK = 0,
    VKS_UNSUPPORTED = 1, /* this device can't or won't; the caller asks another one */
    VKS_INVALID = 2,     /* the caller broke the contract */
    VKS_NO_MEMORY = 3,
    VKS_TIMEOUT = 4,
    VKS_DEVICE_LOST = 5, /* and from every later call on the device */
    VKS_INTERNAL = 6
};

/* Caller's storage; a pointer to it may be NULL. `text` is one line, always terminated. `native`: the driver's code. */
typedef struct vks_error {
    char text[248];
    int64_t native;
} vks_error;

/* Element types. 0 marks an absent optional argument (rank 0). */
enum {
    VKS_NONE = 0,
    VKS_F32 = 1,
    VKS_BF16 = 2,
    VKS_F16 = 3,
    VKS_F8_E4M3 = 4, /* no infinity, max 448, NaN 0x7f and 0xff */
    VKS_I32 = 5,
    VKS_I64 = 6,
    VKS_U8 = 7
};

/* Layouts. Row-major is understood at every border; a value >= VKS_LAYOUT_PRIVATE is the plugin's own. */
enum { VKS_ROW_MAJOR = 0, VKS_LAYOUT_PRIVATE = 0x10000 };

typedef struct vks_device vks_device;
typedef struct vks_buffer vks_buffer;
typedef struct vks_kernel vks_kernel;
typedef struct vks_stream vks_stream;
typedef struct vks_fence vks_fence;

/* vks_tensor.flags */
enum { VKS_TENSOR_CONSTANT = 1u << 0 };

/* Up to four dimensions, outermost first; strides in elements. `offset` in bytes from the buffer's start.
 * In vks_op a first dim of -n means "at most n", the actual count comes with the launch. Frozen. */
typedef struct vks_tensor {
    uint32_t dtype, layout, rank, flags; /* unknown flags: UNSUPPORTED */
    int64_t dim[4], stride[4];
    vks_buffer *buffer;
    uint64_t offset;
} vks_tensor;

/* vks_info.flags */
enum {
    VKS_DEVICE_SOFTWARE = 1u << 0,    /* a GPU interface run by the CPU: never chosen by "auto" */
    VKS_DEVICE_HOST_MEMORY = 1u << 1, /* buffers are host memory; IMPORT is free */
    VKS_DEVICE_UNUSABLE = 1u << 2,    /* listed only; `detail` says why */
    VKS_DEVICE_FALLBACK = 1u << 3     /* a CPU: "auto" prefers accelerators where both could */
};

typedef struct vks_info {
    uint64_t size;
    char name[128];   /* "AMD EPYC 9654 (avx512)" */
    char detail[256]; /* driver, features, tier, or why unusable; one line */
    uint64_t bytes_total, bytes_free, max_buffer, max_binding;
    uint64_t memory_bytes_per_s, link_bytes_per_s; /* 0: don't know */
    uint64_t alignment;                            /* of tensor offsets within a buffer */
    uint64_t flags;
} vks_info;

/* One operator as query and prepare see it. `op` is "name/revision" of abi/ops.h, `params` the POD given there.
 * args: inputs, then outputs. Those flagged CONSTANT are bound into the kernel by prepare (in query their buffer may
 * still be NULL); the others, absent ones (dtype NONE) left out, are given at each launch in the same order. */
typedef struct vks_op {
    uint64_t size;
    const char *op;
    const void *params;
    uint64_t params_size;
    const vks_tensor *args;
    uint64_t arg_count;
} vks_op;

typedef struct vks_support {
    uint64_t size;
    int64_t verdict;        /* VKS_OK or VKS_UNSUPPORTED, the reason in vks_error */
    uint64_t scratch_bytes; /* device memory a launch needs beside its arguments */
    uint64_t est_ns;        /* at the maximum shape; 0: don't know */
    uint32_t *arg_layout;   /* in: caller's array [arg_count]; out: layout wanted per constant argument */
    char variant[64];       /* which implementation prepare would take: "avx512bf16" */
} vks_support;

enum {
    VKS_BUFFER_DEVICE = 0,
    VKS_BUFFER_HOST = 1,  /* host-visible, for transfers */
    VKS_BUFFER_IMPORT = 2 /* over a host range the caller keeps alive and unchanged, e.g. a mapped file: read-only */
};

typedef struct vks_device_api {
    uint64_t size;
    vks_status (*info)(vks_device *, vks_info *, vks_error *); /* [any] */
    /* `import` is the host range for IMPORT, else NULL. Contents of new buffers are undefined. [any] */
    vks_status (*buffer_create)(vks_device *, uint64_t bytes, uint32_t kind, void *import, vks_buffer **, vks_error *);
    void (*buffer_destroy)(vks_device *, vks_buffer *); /* after its last fence [any] */
    void *(*buffer_map)(vks_device *, vks_buffer *);    /* NULL unless host-visible [any] */
    /* Pure: no device work, same answer for the same question while the device is healthy. [any] */
    vks_status (*query)(vks_device *, const vks_op *, vks_support *, vks_error *);
    uint64_t (*packed_bytes)(vks_device *, const vks_tensor *); /* for a layout that query asked for [any] */
    vks_status (*prepare)(vks_device *, const vks_op *, vks_kernel **, vks_error *); /* may be slow [any] */
    void (*kernel_destroy)(vks_device *, vks_kernel *);                              /* [idle] */
    vks_status (*stream_create)(vks_device *, vks_stream **, vks_error *);           /* [any] */
    void (*stream_destroy)(vks_stream *);                                            /* [stream] */
    /* Upload, read back or pack: same dtype and dims, layouts may differ. Both buffers are this device's. [stream] */
    vks_status (*copy)(vks_stream *, const vks_tensor *from, const vks_tensor *to, vks_error *);
    /* args: the op's non-constant arguments with actual dims. Neither waits for other streams' work; work may run
     * inside the call. In a repeated step neither should allocate. Work on a stream runs in order and may already run
     * before submit. scratch may be NULL when query asked for none. [stream] */
    vks_status (*launch)(vks_stream *, vks_kernel *, const vks_tensor *args, uint64_t arg_count,
                         const vks_tensor *scratch, vks_error *);
    vks_status (*wait)(vks_stream *, vks_fence *, uint64_t value, vks_error *);   /* same plugin's fences [stream] */
    vks_status (*submit)(vks_stream *, vks_fence *, uint64_t value, vks_error *); /* fence reaches value when done */
    vks_status (*fence_create)(vks_device *, vks_fence **, vks_error *);          /* monotonic counter from 0 [any] */
    /* TIMEOUT after `ns`; errors of asynchronous work surface here. [any] */
    vks_status (*fence_await)(vks_fence *, uint64_t value, uint64_t ns, vks_error *);
    void (*fence_destroy)(vks_fence *); /* [any] */
} vks_device_api;

/* What the core offers a plugin; outlives every device. */
typedef struct vks_host {
    uint64_t size;
    void *user;
    void (*log)(void *user, int level, const char *text);   /* 0 error 1 warning 2 info 3 debug [any] */
    const void *(*extension)(void *user, const char *id);   /* NULL: not offered [any] */
} vks_host;

typedef struct vks_plugin {
    uint64_t size;
    uint32_t major, minor;   /* of the header it was built with; the core asks for no more than was negotiated */
    const char *name;        /* "cpu": what --backend calls it; [a-z0-9_]+, up to 31 characters */
    const char *build;       /* version and build of the plugin, one line */
    const char *const *ops;  /* "name/revision" of each operator offered, NULL-terminated */
    const vks_device_api *device;
    vks_status (*enumerate)(uint32_t index, vks_info *, vks_error *); /* UNSUPPORTED past the last [any] */
    /* options: "key=value;key=value", unknown keys ignored. CPU: threads. [any] */
    vks_status (*open)(const vks_host *, uint32_t index, const char *options, vks_device **, vks_error *);
    void (*close)(vks_device *);                 /* [idle] */
    const void *(*extension)(const char *id);    /* "vks.stats/1"; NULL = absent [any] */
} vks_plugin;

/* The one exported symbol is data: a loader refuses a file before calling any of its functions. negotiate gets the
 * minor that the core will speak (the highest both sides know) and returns the table, or NULL with the reason. */
typedef struct vks_entry {
    uint64_t size;
    char magic[8];
    uint32_t major, minor_min, minor_max, reserved;
    const vks_plugin *(*negotiate)(uint32_t major, uint32_t minor, vks_error *);
} vks_entry;

extern VKS_EXPORT const vks_entry vks_plugin_entry;

#ifdef __cplusplus
}
#endif
#endif /* VKS_ABI_PLUGIN_H */
