/* A plugin in C11 that adds one operator, rms_norm, in two revisions. It is built outside the tree, against the
 * installed header alone. Memory is the host's and work runs at once, so the device part is short.
 *
 * Revision 1 is the one of ops.h. Revision 2 is this plugin's own: y = x / rms(x) * (w + offset). */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <vkseek/ops.h>

typedef struct {
    float eps, offset;
} norm_params_2;

struct vks_device {
    int unused;
};
struct vks_buffer {
    unsigned char* data;
    uint64_t bytes;
    int imported;
};
struct vks_kernel {
    float eps, offset;
    vks_tensor arg[3];
    int bound;
};
struct vks_stream {
    int unused;
};
struct vks_fence {
    _Atomic uint64_t value; /* any thread may await */
};

static vks_status fail(vks_error* error, vks_status status, const char* text) {
    if (error) {
        error->native = 0;
        snprintf(error->text, sizeof error->text, "%s", text);
    }
    return status;
}

static float load(uint32_t dtype, const unsigned char* from, int64_t i) {
    uint16_t half;
    uint32_t bits;
    float value;
    if (dtype == VKS_F32) {
        memcpy(&value, from + 4 * i, sizeof value);
        return value;
    }
    memcpy(&half, from + 2 * i, sizeof half);
    bits = (uint32_t)half << 16;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static void store(uint32_t dtype, unsigned char* to, int64_t i, float value) {
    uint32_t bits;
    uint16_t half;
    if (dtype == VKS_F32) {
        memcpy(to + 4 * i, &value, sizeof value);
        return;
    }
    memcpy(&bits, &value, sizeof bits);
    half = (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
    if (value != value) half = 0x7fc0;
    memcpy(to + 2 * i, &half, sizeof half);
}

static vks_status info(vks_device* device, vks_info* out, vks_error* error) {
    vks_info full;
    (void)device;
    (void)error;
    memset(&full, 0, sizeof full);
    full.size = out->size;
    strcpy(full.name, "one operator in C");
    strcpy(full.detail, "rms_norm in f32 and bf16");
    full.bytes_total = full.bytes_free = full.max_buffer = full.max_binding = (uint64_t)1 << 40;
    full.alignment = 16;
    full.flags = VKS_DEVICE_HOST_MEMORY | VKS_DEVICE_FALLBACK;
    memcpy(out, &full, out->size < sizeof full ? out->size : sizeof full);
    return VKS_OK;
}

static vks_status buffer_create(vks_device* device, uint64_t bytes, uint32_t kind, void* import, vks_buffer** out,
                                vks_error* error) {
    vks_buffer* buffer = NULL;
    (void)device;
    if (kind > VKS_BUFFER_IMPORT) return fail(error, VKS_UNSUPPORTED, "buffer: wanted a known kind");
    if ((kind == VKS_BUFFER_IMPORT) != (import != NULL))
        return fail(error, VKS_INVALID, "buffer: wanted a range to import");
    if (bytes <= (uint64_t)1 << 40) buffer = malloc(sizeof *buffer);
    if (!buffer) return fail(error, VKS_NO_MEMORY, "out of host memory");
    buffer->bytes = bytes;
    buffer->imported = kind == VKS_BUFFER_IMPORT;
    buffer->data = buffer->imported ? import : malloc(bytes ? bytes : 1);
    if (!buffer->data) {
        free(buffer);
        return fail(error, VKS_NO_MEMORY, "out of host memory");
    }
    *out = buffer;
    return VKS_OK;
}

static void buffer_destroy(vks_device* device, vks_buffer* buffer) {
    (void)device;
    if (buffer && !buffer->imported) free(buffer->data);
    free(buffer);
}

static void* buffer_map(vks_device* device, vks_buffer* buffer) {
    (void)device;
    return buffer->data;
}

static int contiguous(const vks_tensor* t) {
    const int64_t most = (int64_t)1 << 40;
    int64_t stride = 1;
    uint32_t i;
    if (t->rank < 1 || t->rank > 4) return 0;
    for (i = t->rank; i-- > 0;) {
        const int64_t n = t->dim[i] < 0 && t->dim[i] >= -most ? -t->dim[i] : t->dim[i];
        if (n < 1 || n > most || t->stride[i] != stride) return 0;
        stride *= n;
        if (stride > most || stride < 1) return 0;
    }
    return t->layout == VKS_ROW_MAJOR && (t->flags & ~(uint32_t)VKS_TENSOR_CONSTANT) == 0;
}

static vks_status check(const vks_op* op, vks_kernel* kernel, vks_error* error) {
    const vks_tensor *x = &op->args[0], *w = &op->args[1], *y = &op->args[2];
    norm_params_2 params = {0, 0};
    uint64_t i;
    if (!strcmp(op->op, "rms_norm/1")) {
        if (op->params_size != sizeof(vks_norm_params)) return fail(error, VKS_UNSUPPORTED, "params: wanted 4 bytes");
    } else if (!strcmp(op->op, "rms_norm/2")) {
        if (op->params_size != sizeof params) return fail(error, VKS_UNSUPPORTED, "params: wanted 8 bytes");
    } else {
        return fail(error, VKS_UNSUPPORTED, "cnorm has no other operator than rms_norm");
    }
    if (!op->args || op->arg_count != 3) return fail(error, VKS_UNSUPPORTED, "arguments: wanted x, w, y");
    for (i = 0; i < 3; ++i) {
        const uint32_t dtype = op->args[i].dtype;
        if (dtype != VKS_F32 && dtype != VKS_BF16) return fail(error, VKS_UNSUPPORTED, "dtype: wanted f32 or bf16");
        if (op->args[i].rank != (i == 1 ? 1u : 2u) || !contiguous(&op->args[i]))
            return fail(error, VKS_UNSUPPORTED, "wanted plain contiguous x [T, H], w [H], y [T, H]");
    }
    if (x->dim[1] < 1 || w->dim[0] < 1 || x->dim[1] != w->dim[0] || x->dim[1] != y->dim[1] || x->dim[0] != y->dim[0])
        return fail(error, VKS_UNSUPPORTED, "dims: wanted x [T, H], w [H], y [T, H]");
    memcpy(&params, op->params, op->params_size);
    if (kernel) {
        kernel->eps = params.eps;
        kernel->offset = params.offset;
        memcpy(kernel->arg, op->args, sizeof kernel->arg);
        kernel->bound = (w->flags & VKS_TENSOR_CONSTANT) != 0;
    }
    return VKS_OK;
}

static vks_status query(vks_device* device, const vks_op* op, vks_support* out, vks_error* error) {
    vks_support full;
    const uint64_t size = out->size < sizeof full ? out->size : sizeof full;
    (void)device;
    memset(&full, 0, sizeof full);
    memcpy(&full, out, size);
    full.verdict = check(op, NULL, error);
    full.scratch_bytes = full.est_ns = 0;
    strcpy(full.variant, "c11");
    memcpy(out, &full, size);
    return VKS_OK;
}

static uint64_t packed_bytes(vks_device* device, const vks_tensor* tensor) {
    (void)device;
    (void)tensor;
    return 0; /* no private layouts */
}

static vks_status prepare(vks_device* device, const vks_op* op, vks_kernel** out, vks_error* error) {
    vks_kernel* kernel = malloc(sizeof *kernel);
    vks_status status;
    (void)device;
    if (!kernel) return fail(error, VKS_NO_MEMORY, "out of host memory");
    status = check(op, kernel, error);
    if (status == VKS_OK) {
        *out = kernel;
    } else {
        free(kernel);
    }
    return status;
}

static void kernel_destroy(vks_device* device, vks_kernel* kernel) {
    (void)device;
    free(kernel);
}

static vks_status stream_create(vks_device* device, vks_stream** out, vks_error* error) {
    (void)device;
    *out = malloc(sizeof **out);
    return *out ? VKS_OK : fail(error, VKS_NO_MEMORY, "out of host memory");
}

static void stream_destroy(vks_stream* stream) {
    free(stream);
}

/* The bytes of a contiguous tensor that lies in its buffer, or 0. */
static uint64_t bytes_of(const vks_tensor* t) {
    static const uint64_t element[] = {0, 4, 2, 2, 1, 4, 8, 1};
    uint64_t bytes = t->dtype <= VKS_U8 ? element[t->dtype] : 0;
    uint32_t i;
    if (!contiguous(t) || !t->buffer) return 0;
    for (i = 0; i < t->rank; ++i) bytes *= (uint64_t)(t->dim[i] < 0 ? 0 : t->dim[i]);
    return t->offset <= t->buffer->bytes && bytes <= t->buffer->bytes - t->offset ? bytes : 0;
}

static vks_status copy(vks_stream* stream, const vks_tensor* from, const vks_tensor* to, vks_error* error) {
    const uint64_t bytes = bytes_of(from);
    uint32_t i;
    (void)stream;
    if (bytes == 0 || bytes != bytes_of(to)) return fail(error, VKS_UNSUPPORTED, "copy: wanted contiguous tensors");
    if (from->dtype != to->dtype || from->rank != to->rank)
        return fail(error, VKS_INVALID, "copy: wanted equal dtypes");
    for (i = 0; i < from->rank; ++i)
        if (from->dim[i] != to->dim[i]) return fail(error, VKS_INVALID, "copy: wanted equal dims");
    memmove(to->buffer->data + to->offset, from->buffer->data + from->offset, bytes);
    return VKS_OK;
}

static vks_status launch(vks_stream* stream, vks_kernel* kernel, const vks_tensor* args, uint64_t count,
                         const vks_tensor* scratch, vks_error* error) {
    const vks_tensor *x = &args[0], *w = kernel->bound ? &kernel->arg[1] : &args[1], *y = &args[count - 1];
    const unsigned char *in, *weight;
    unsigned char* out;
    int64_t t, c;
    (void)stream;
    (void)scratch;
    if (count != (kernel->bound ? 2u : 3u)) return fail(error, VKS_INVALID, "launch: wanted every argument once");
    if (!bytes_of(x) || !bytes_of(w) || !bytes_of(y))
        return fail(error, VKS_INVALID, "launch: wanted tensors in buffers");
    in = x->buffer->data + x->offset;
    weight = w->buffer->data + w->offset;
    out = y->buffer->data + y->offset;
    for (t = 0; t < x->dim[0]; ++t) {
        const int64_t columns = x->dim[1], first = t * columns;
        double sum = 0;
        float inverse;
        for (c = 0; c < columns; ++c) sum += (double)load(x->dtype, in, first + c) * load(x->dtype, in, first + c);
        inverse = (float)(1 / sqrt(sum / (double)columns + kernel->eps));
        for (c = 0; c < columns; ++c)
            store(y->dtype, out, first + c,
                  load(x->dtype, in, first + c) * inverse * (load(w->dtype, weight, c) + kernel->offset));
    }
    return VKS_OK;
}

static vks_status wait(vks_stream* stream, vks_fence* fence, uint64_t value, vks_error* error) {
    (void)stream;
    /* Work runs at once: what this waits for must have been submitted. */
    return fence->value >= value ? VKS_OK : fail(error, VKS_UNSUPPORTED, "wait: wanted a value already submitted");
}

static vks_status submit(vks_stream* stream, vks_fence* fence, uint64_t value, vks_error* error) {
    (void)stream;
    if (value < fence->value) return fail(error, VKS_INVALID, "fence: wanted a value that grows");
    fence->value = value;
    return VKS_OK;
}

static vks_status fence_create(vks_device* device, vks_fence** out, vks_error* error) {
    (void)device;
    *out = calloc(1, sizeof **out);
    return *out ? VKS_OK : fail(error, VKS_NO_MEMORY, "out of host memory");
}

static vks_status fence_await(vks_fence* fence, uint64_t value, uint64_t ns, vks_error* error) {
    (void)ns;
    return fence->value >= value ? VKS_OK : fail(error, VKS_TIMEOUT, "fence: nothing submitted will reach this value");
}

static void fence_destroy(vks_fence* fence) {
    free(fence);
}

static const vks_device_api device_api = {sizeof(vks_device_api),
                                          info,
                                          buffer_create,
                                          buffer_destroy,
                                          buffer_map,
                                          query,
                                          packed_bytes,
                                          prepare,
                                          kernel_destroy,
                                          stream_create,
                                          stream_destroy,
                                          copy,
                                          launch,
                                          wait,
                                          submit,
                                          fence_create,
                                          fence_await,
                                          fence_destroy};

static vks_status enumerate(uint32_t index, vks_info* out, vks_error* error) {
    return index == 0 ? info(NULL, out, error) : fail(error, VKS_UNSUPPORTED, "cnorm: there is one device");
}

static vks_status open_device(const vks_host* host, uint32_t index, const char* options, vks_device** out,
                              vks_error* error) {
    (void)host;
    (void)options;
    if (index != 0) return fail(error, VKS_UNSUPPORTED, "cnorm: there is one device");
    *out = calloc(1, sizeof **out);
    return *out ? VKS_OK : fail(error, VKS_NO_MEMORY, "out of host memory");
}

static void close_device(vks_device* device) {
    free(device);
}

static const void* extension(const char* id) {
    (void)id;
    return NULL;
}

static const char* const ops[] = {"rms_norm/1", "rms_norm/2", NULL};

static const vks_plugin plugin = {sizeof(vks_plugin), VKS_ABI_MAJOR, VKS_ABI_MINOR, "cnorm",      "1",      ops,
                                  &device_api,        enumerate,     open_device,   close_device, extension};

static const vks_plugin* negotiate(uint32_t major, uint32_t minor, vks_error* error) {
    (void)minor;
    if (major == VKS_ABI_MAJOR) return &plugin;
    fail(error, VKS_UNSUPPORTED, "cnorm speaks version 1 of the interface");
    return NULL;
}

const vks_entry vks_plugin_entry = {sizeof(vks_entry), VKS_ABI_MAGIC, VKS_ABI_MAJOR, 0, VKS_ABI_MINOR, 0, negotiate};
