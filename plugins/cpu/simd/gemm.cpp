// The driver of the vector variants' matrix products: rounds of prepared rows, then work items over columns.
#include "plugins/cpu/simd/gemm.h"

#include <algorithm>

#include "plugins/cpu/simd/pages.h"
#include "plugins/cpu/sizes.h"

namespace vks::cpu::simd {
namespace {

// Prepared rows of x kept at once: they are read once per panel and should stay in a shared cache.
constexpr int64_t kPreparedBytes = int64_t{16} << 20;
// A decoded panel of w stays in a core's L2 beside the rows streaming past it.
constexpr int64_t kPanelBytes = int64_t{512} << 10;
constexpr int64_t kPanelRows = 64;
// Of w in a work item of `direct`, so that threads finish together. Rows that are summed up together stay so.
constexpr int64_t kChunkBytes = int64_t{8} << 10, kChunkRows = 4;
// Of w at a time for several rows of x, pages and all.
constexpr int64_t kTouchedBytes = int64_t{32} << 10;

// Sizes that follow from the kernels and k alone.
struct Shape {
    int64_t padded, row_bytes, panel;

    Shape(const GemmKernels& g, int64_t k) {
        padded = round_up(k, g.granule);
        row_bytes = round_up(std::max<int64_t>(1, padded) * g.element, 64);
        panel = std::clamp<int64_t>(kPanelBytes / row_bytes / g.w_tile * g.w_tile, g.w_tile, kPanelRows);
    }
    int64_t capacity(const GemmKernels& g, int64_t rows, int64_t products) const {
        const int64_t wanted = round_up(rows + products * (g.x_tile - 1), g.x_tile);
        return std::min(wanted, std::max<int64_t>(g.x_block, kPreparedBytes / row_bytes / g.x_block * g.x_block));
    }
};

// A run of rows of one product in the current round, with the place of its prepared rows, preparing units and items.
struct Segment {
    const Product* product;
    int64_t row, rows, slot;
    int64_t first_unit, first_item;
    bool direct, in_place;
};

struct Scratch {
    std::byte* prepared;  // [capacity] rows
    RowRef* refs;         // [capacity]
    Segment* segments;    // [products]
    std::byte* panels;    // [threads] panels of w
};

constexpr uint64_t align(uint64_t bytes) {
    return (bytes + 63) / 64 * 64;
}

class Round {
public:
    Round(const GemmKernels& g, const Shape& shape, const Scratch& scratch, int64_t capacity, int64_t k, Pool& pool)
        : g_(g), shape_(shape), scratch_(scratch), capacity_(capacity), k_(k), pool_(pool) {}

    // Takes rows of `product` from `row` on; returns how many. 0: the round is full.
    int64_t take(const Product& product, int64_t row);
    void run();

private:
    bool in_place(const Product& p) const;
    std::byte* prepared(int64_t slot) const { return scratch_.prepared + slot * shape_.row_bytes; }
    void count_items();
    template <int64_t Segment::*First>
    const Segment& find(int64_t i) const;
    void prepare(int64_t unit) const;
    void compute(int64_t first, int64_t last, int worker) const;
    void direct(const Segment& s, int64_t first, int64_t last) const;
    void block(const Segment& s, int64_t item, int worker) const;

    const GemmKernels& g_;
    const Shape& shape_;
    const Scratch& scratch_;
    const int64_t capacity_, k_;
    Pool& pool_;
    int64_t segments_ = 0, slots_ = 0, units_ = 0, items_ = 0;
    int64_t chunk_ = 0, chunks_ = 0, panels_ = 0, parts_ = 1;
};

// Whether rows of x can be read where they are.
bool Round::in_place(const Product& p) const {
    if (p.x.dtype != g_.in_place || k_ % g_.granule != 0) return false;
    for (int64_t r = 0; r < p.rows; ++r) {
        if (!p.x_row(r).data) return false;
    }
    return true;
}

int64_t Round::take(const Product& p, int64_t row) {
    const bool direct = p.rows <= g_.direct_rows;
    const int64_t tile = direct ? 1 : g_.x_tile, room = (capacity_ - slots_) / tile * tile;
    int64_t rows = p.rows - row;
    if (rows > room) rows = direct ? 0 : room / g_.x_block * g_.x_block;
    if (rows == 0) return 0;
    const bool as_it_is = tile == 1 && in_place(p);
    scratch_.segments[segments_++] = {&p, row, rows, slots_, units_, 0, direct, as_it_is};
    slots_ += round_up(rows, tile);
    if (!direct || !as_it_is) units_ += round_up(rows, tile) / tile;
    return rows;
}

void Round::count_items() {
    const int64_t threads = pool_.threads();
    int64_t blocks = 0;
    for (int64_t i = 0; i < segments_; ++i) blocks += scratch_.segments[i].direct ? 0 : 1;
    const int64_t columns = scratch_.segments[0].product->columns;
    const int64_t w_row =
        std::max<int64_t>(1, shape_.padded * abi::element_bytes(scratch_.segments[0].product->w.dtype));
    chunk_ = std::max(kChunkRows, kChunkBytes / w_row / kChunkRows * kChunkRows);
    chunks_ = (columns + chunk_ - 1) / chunk_;
    panels_ = (columns + shape_.panel - 1) / shape_.panel;
    // With few panels the rows are shared out as well; each part then decodes the panel for itself.
    parts_ = blocks == 0 ? 1 : std::max<int64_t>(1, (4 * threads + blocks * panels_ - 1) / (blocks * panels_));
    items_ = 0;
    for (int64_t i = 0; i < segments_; ++i) {
        Segment& s = scratch_.segments[i];
        s.first_item = items_;
        items_ += s.direct ? chunks_ : panels_ * parts_;
    }
}

// The segment that holds unit or item i: the last one that doesn't start after it.
template <int64_t Segment::*First>
const Segment& Round::find(int64_t i) const {
    return *(std::upper_bound(scratch_.segments, scratch_.segments + segments_, i,
                              [](int64_t value, const Segment& s) { return value < s.*First; }) -
             1);
}

void Round::prepare(int64_t unit) const {
    const Segment& s = find<&Segment::first_unit>(unit);
    const int64_t tile = s.direct ? 1 : g_.x_tile, first = (unit - s.first_unit) * tile;
    RowRef* refs = scratch_.refs + s.slot + first;
    for (int64_t i = 0; i < tile; ++i) {
        refs[i] = first + i < s.rows ? s.product->x_row(s.row + first + i) : RowRef{};
    }
    if (s.in_place) return;
    g_.pack_x(s.product->x.dtype, refs, static_cast<int>(tile), k_, prepared(s.slot + first));
    if (tile == 1) refs->data = prepared(s.slot + first);
}

void Round::direct(const Segment& s, int64_t first, int64_t last) const {
    Direct d;
    d.rows = static_cast<int>(s.rows);
    for (int i = 0; i < d.rows; ++i) {
        const RowRef ref = s.product->x_row(s.row + i);
        d.x[i] = s.in_place ? ref.data : prepared(s.slot + i);
        d.x_scale[i] = ref.scale;
    }
    d.k = k_;
    d.product = s.product;
    d.threads = pool_.threads();
    const Rows& w = s.product->w;
    const int64_t end = std::min(last * chunk_, s.product->columns), row_bytes = w.stride * abi::element_bytes(w.dtype);
    const int64_t step = d.rows == 1 ? end : round_up(kTouchedBytes / std::max<int64_t>(1, row_bytes), kChunkRows);
    for (d.first = first * chunk_; d.first < end; d.first = d.last) {
        d.last = std::min(end, d.first + std::max(kChunkRows, step));
        d.next = {};
        if (d.last < s.product->columns) {
            d.next = w.row(d.last);
        } else if (&s + 1 < scratch_.segments + segments_) {
            d.next = (&s + 1)->product->w.row(0);
        }
        // Measured in a virtual machine (walks through two tables) from 4 KiB pages, one core: 8 rows of x 1.7 times as
        // fast, 4 rows 1.15 times; one row leaves the core time to look ahead by itself.
        if (d.rows > 1) touch_pages(w.row(d.first).data, (d.last - d.first) * row_bytes);
        g_.direct(d);
    }
}

void Round::block(const Segment& s, int64_t item, int worker) const {
    const Product& p = *s.product;
    const int64_t first = item / parts_ * shape_.panel, part = item % parts_;
    const int64_t columns = std::min(shape_.panel, p.columns - first);
    // Whole blocks of rows, shared out evenly.
    const int64_t row_blocks = (s.rows + g_.x_block - 1) / g_.x_block;
    const int64_t from = row_blocks * part / parts_ * g_.x_block;
    const int64_t to = std::min(s.rows, row_blocks * (part + 1) / parts_ * g_.x_block);
    if (from >= to) return;

    std::byte* panel = scratch_.panels + worker * shape_.panel * shape_.row_bytes;
    const int64_t ahead = columns * p.w.stride * abi::element_bytes(p.w.dtype);
    RowRef w_rows[kPanelRows];
    for (int64_t tile = 0; tile < columns; tile += g_.w_tile) {
        for (int64_t i = tile; i < tile + g_.w_tile; ++i) w_rows[i] = i < columns ? p.w.row(first + i) : RowRef{};
        g_.pack_w(w_rows + tile, k_, ahead, panel + tile * shape_.row_bytes);
    }
    // While this panel is multiplied, the next one comes: the same thread's as a rule.
    const bool last = first + columns >= p.columns, more = &s + 1 < scratch_.segments + segments_;
    const RowRef next = last ? more ? (&s + 1)->product->w.row(0) : RowRef{} : p.w.row(first + columns);
    const int64_t lines = next.data ? ahead / 64 : 0, blocks = (to - from + g_.x_block - 1) / g_.x_block;
    const char* at = static_cast<const char*>(next.data);
    const int64_t y_bytes = abi::element_bytes(p.y_dtype);
    for (int64_t row = from; row < to; row += g_.x_block, at += lines / blocks * 64) {
        g_.block({.x = prepared(s.slot + row),
                  .w = panel,
                  .x_rows = scratch_.refs + s.slot + row,
                  .w_rows = w_rows,
                  .x_scaled = p.x.scale != nullptr,
                  .rows = static_cast<int>(std::min<int64_t>(g_.x_block, to - row)),
                  .columns = static_cast<int>(columns),
                  .k = k_,
                  .y = p.y + ((s.row + row) * p.y_stride + first) * y_bytes,
                  .y_stride = p.y_stride,
                  .y_dtype = p.y_dtype,
                  .ahead = at,
                  .lines = lines / blocks});
    }
}

void Round::compute(int64_t first, int64_t last, int worker) const {
    while (first < last) {
        const Segment& s = find<&Segment::first_item>(first);
        const int64_t end = s.direct ? std::min(last, s.first_item + chunks_) : first + 1;
        if (s.direct) {
            direct(s, first - s.first_item, end - s.first_item);
        } else {
            block(s, first - s.first_item, worker);
        }
        first = end;
    }
}

void Round::run() {
    if (segments_ == 0) return;
    count_items();
    // A few rows are prepared sooner than other threads are woken.
    const int64_t grain = std::max<int64_t>(1, int64_t{32768} / std::max<int64_t>(1, shape_.padded));
    if (units_ != 0) {
        pool_.parallel_for(units_, grain, [this](int64_t first, int64_t last, int) {
            for (int64_t i = first; i < last; ++i) prepare(i);
        });
    }
    pool_.parallel_for(items_, 1, [this](int64_t first, int64_t last, int worker) { compute(first, last, worker); });
    segments_ = slots_ = units_ = 0;
}

}  // namespace

RowRef Rows::row(int64_t r) const {
    return {data + r * stride * abi::element_bytes(dtype),
            scale ? scale + (first + r) / rows_per_scale * scale_columns : nullptr};
}

RowRef Product::x_row(int64_t r) const {
    const int64_t from = index ? index[r] : r;
    return from >= 0 && from < x_rows ? x.row(from) : RowRef{};
}

uint64_t gemm_scratch(const GemmKernels& g, int64_t rows, int64_t products, int64_t k, int threads) {
    const Shape shape(g, k);
    const auto capacity = static_cast<uint64_t>(shape.capacity(g, rows, products));
    const auto row_bytes = static_cast<uint64_t>(shape.row_bytes);
    return align(capacity * row_bytes) + align(capacity * sizeof(RowRef)) +
           align(static_cast<uint64_t>(products) * sizeof(Segment)) +
           static_cast<uint64_t>(threads) * static_cast<uint64_t>(shape.panel) * row_bytes;
}

void multiply(const GemmKernels& g, std::span<const Product> products, int64_t k, std::byte* scratch, Pool& pool) {
    int64_t rows = 0;
    for (const Product& p : products) rows += p.rows;
    if (rows == 0 || products[0].columns == 0) return;

    const Shape shape(g, k);
    const int64_t capacity = shape.capacity(g, rows, static_cast<int64_t>(products.size()));
    Scratch s;
    s.prepared = scratch;
    scratch += align(static_cast<uint64_t>(capacity * shape.row_bytes));
    s.refs = reinterpret_cast<RowRef*>(scratch);
    scratch += align(static_cast<uint64_t>(capacity) * sizeof(RowRef));
    s.segments = reinterpret_cast<Segment*>(scratch);
    s.panels = scratch + align(products.size() * sizeof(Segment));

    Round round(g, shape, s, capacity, k, pool);
    for (const Product& p : products) {
        for (int64_t row = 0; row < p.rows;) {
            const int64_t taken = round.take(p, row);
            if (taken == 0) round.run();
            row += taken;
        }
    }
    round.run();
}

}  // namespace vks::cpu::simd
