// Triangles in two tones as shade layers: the nearest one at each sample, its colours and light there, and pixels averaged
// from samples.
#include "ag.h"

namespace ag {
namespace AG_TARGET {
namespace {

// x, y; three lines; depth, light, shade, red, green, blue at (x, y), their change to the right, and down; dark, part.
constexpr int LINES = 2, VALUES = 8, BY_X = 14, BY_Y = 20, DARK = 26, PART = 27, FIELDS = 28;
constexpr int DEPTH = 0, LIGHT = 1, SHADE = 2, RED = 3, PARTS = 6, LAYERS = 10;
constexpr int64_t NOTHING = INT64_C(0x7fffffffffffffff);
constexpr float NEARBY = 1.0f / 1024.0f;  // samples, so that none falls between two triangles with a common edge

// A key has 32 bits for the number of a facet, and a float counts to 2^24.
constexpr int64_t MOST_FACETS = INT64_C(1) << 32, MOST_SIDE = 1 << 24, MOST_SCALE = 64;

AG_INLINE int64_t key_of(float depth, int64_t facet) {
    uint32_t bits;
#if defined(__CUDACC__)
    memcpy(&bits, &depth, sizeof bits);
#else
    __builtin_memcpy(&bits, &depth, sizeof bits);
#endif
    return static_cast<int64_t>(static_cast<uint64_t>(bits) << 32 | static_cast<uint32_t>(facet));
}

AG_INLINE void lower(int64_t *place, int64_t key) {
#if defined(__CUDA_ARCH__)
    atomicMin(reinterpret_cast<unsigned long long *>(place), static_cast<unsigned long long>(key));
#else
    if (key < *place) *place = key;
#endif
}

AG_INLINE float at(const float *f, int value, float dx, float dy) {
    return f[VALUES + value] + f[BY_X + value] * dx + f[BY_Y + value] * dy;
}

// The whole numbers from the first at or above `low` to the last at or below `high`, inside of 0 .. size - 1, and a bit
// more: clamped takes NaN for its lower bound, so from or to NaN there are none.
AG_INLINE int64_t first_at(float low, int64_t size) {
    return static_cast<int64_t>(clamped(low + 0.999f, 0.0f, static_cast<float>(size)));
}
AG_INLINE int64_t last_at(float high, int64_t size) {
    return static_cast<int64_t>(clamped(high + 1.001f, 0.0f, static_cast<float>(size))) - 1;
}

// Lowers the keys of the samples from .. to of a row that lie on a triangle: those on its side of all lines, which are at
// most `limit` there.
AG_INLINE void draw_row(const float *f, const float *limit, int64_t facet, float dy, int64_t *keys, int64_t from, int64_t to) {
    const float *const l = f + LINES;
    for (int64_t column = from; column <= to; column++) {
        const float dx = static_cast<float>(column) - f[0];
        const float first = l[0] * dx + l[1] * dy, second = l[2] * dx + l[3] * dy, third = l[4] * dx + l[5] * dy;
        if (!((first <= limit[0]) & (second <= limit[1]) & (third <= limit[2]))) continue;
        const float depth = at(f, DEPTH, dx, dy);
        if (depth > 0.0f && depth < INFINITY) lower(keys + column, key_of(depth, facet));
    }
}

#if defined(__AVX2__) && !defined(__CUDACC__)
constexpr int64_t BLOCK = 16;

// The same without a branch, for g++ to vectorise: so many samples at once, of which those beyond from .. to stay as they
// are. The row has at least as many.
AG_INLINE void draw_blocks(const float *f, const float *limit, int64_t facet, float dy, int64_t *keys, int64_t from, int64_t to,
                           int64_t width) {
    const float *const l = f + LINES;
    for (int64_t column = from; column <= to; column += BLOCK) {
        const int64_t begin = least(column, width - BLOCK);
        const int32_t low = static_cast<int32_t>(from - begin), high = static_cast<int32_t>(to - begin);
        int64_t *const here = keys + begin;
        for (int32_t k = 0; k < BLOCK; k++) {
            const float dx = static_cast<float>(begin) + static_cast<float>(k) - f[0];
            const float first = l[0] * dx + l[1] * dy, second = l[2] * dx + l[3] * dy, third = l[4] * dx + l[5] * dy;
            const float depth = at(f, DEPTH, dx, dy);
            const bool inside = (first <= limit[0]) & (second <= limit[1]) & (third <= limit[2]);
            const bool drawn = inside & (depth > 0.0f) & (depth < INFINITY) & (k >= low) & (k <= high);
            const int64_t key = drawn ? key_of(depth, facet) : NOTHING;
            here[k] = least(here[k], key);
        }
    }
}
#endif

// Lowers the keys of the samples in rows top .. bottom - 1 that lie on a triangle.
AG_INLINE void draw(const float *f, int64_t facet, int64_t *keys, int64_t height, int64_t width, int64_t top, int64_t bottom) {
    const float *const l = f + LINES;
    // Corners are where two lines meet: with the lines' sum 0, each is the other two's cross product away.
    const float area = l[0] * l[3] - l[1] * l[2];
    const bool drawn = area * area > 0.0f && area * area < INFINITY;
    if (!drawn) return;
    const float per_area = 1.0f / area;
    float left = 0.0f, right = 0.0f, upper = 0.0f, lowest = 0.0f;
    for (int i = 0; i < 3; i++) {
        const float *const a = l + 2 * i, *const b = l + 2 * ((i + 1) % 3);
        const float x = (b[1] - a[1]) * per_area, y = (a[0] - b[0]) * per_area;
        left = least(left, x), right = most(right, x), upper = least(upper, y), lowest = most(lowest, y);
    }
    const int64_t from = first_at(f[0] + left, width), to = last_at(f[0] + right, width);
    const int64_t low = most(first_at(f[1] + upper, height), top), high = least(last_at(f[1] + lowest, height), bottom - 1);
    if (from > to || low > high) return;
    float limit[3];
    for (int i = 0; i < 3; i++) {
        const float by_x = l[2 * i], by_y = l[2 * i + 1];
        limit[i] = 1.0f + (most(by_x, -by_x) + most(by_y, -by_y)) * NEARBY;
    }
    for (int64_t row = low; row <= high; row++) {
        const float dy = static_cast<float>(row) - f[1];
        int64_t *const own = keys + row * width;
#if defined(__AVX2__) && !defined(__CUDACC__)
        if (width >= BLOCK) {
            draw_blocks(f, limit, facet, dy, own, from, to, width);
            continue;
        }
#endif
        draw_row(f, limit, facet, dy, own, from, to);
    }
}

AG_INLINE int32_t level(float value) { return static_cast<int32_t>(clamped(value, 0.0f, 255.0f) + 0.5f); }

// The mean of what the samples of one pixel show.
AG_INLINE void average(uint8_t *out, const int64_t *keys, int64_t row, int64_t column, int64_t width, int64_t scale,
                       const float *fields) {
    int32_t sums[LAYERS] = {};
    for (int64_t i = 0; i < scale; i++) {
        for (int64_t j = 0; j < scale; j++) {
            const int64_t y = row * scale + i, x = column * scale + j, key = keys[y * width + x];
            if (key == NOTHING) continue;
            const float *const f = fields + (key & INT64_C(0xffffffff)) * FIELDS;
            const float dx = static_cast<float>(x) - f[0], dy = static_cast<float>(y) - f[1];
            const float light = f[DARK] + (1.0f - f[DARK]) * clamped(at(f, LIGHT, dx, dy), 0.0f, 1.0f);
            sums[0] += 255;
            if (f[PART] >= 0.0f && f[PART] < PARTS) {
                sums[1 + static_cast<int>(f[PART])] += level(light * at(f, SHADE, dx, dy));
            }
            for (int c = 0; c < 3; c++) sums[1 + PARTS + c] += level(light * at(f, RED + c, dx, dy));
        }
    }
    const int32_t samples = static_cast<int32_t>(scale * scale);
    for (int layer = 0; layer < LAYERS; layer++) out[layer] = static_cast<uint8_t>((sums[layer] + samples / 2) / samples);
}

}  // namespace

int32_t facets(const ag_tensor *t, int64_t count, const ag_facets_options *options, const ag_place *place) {
    if (count != 3) return AG_BAD_COUNT;
    const int32_t dtypes[] = {AG_UINT8, AG_INT64, AG_FLOAT32}, dims[] = {4, 3, 3};
    for (int i = 0; i < 3; i++) {
        if (t[i].dtype != dtypes[i]) return fault(AG_BAD_DTYPE, i);
        if (t[i].ndim != dims[i] || t[i].size[0] != t[0].size[0]) return fault(AG_BAD_SHAPE, i);
        int64_t dense = 1;
        for (int d = t[i].ndim - 1; d >= 0 && elements(t[i]) > 0; d--) {
            if (t[i].size[d] > 1 && t[i].stride[d] != dense) return fault(AG_BAD_STRIDE, i);
            dense *= t[i].size[d];
        }
    }
    const int64_t scale = options->scale, height = t[1].size[1], width = t[1].size[2], rows = t[0].size[1];
    const int64_t columns = t[0].size[2], number = t[2].size[1], pictures = t[0].size[0];
    if (scale < 1 || scale > MOST_SCALE) return fault(AG_BAD_OPTION, 0);
    if (t[0].size[3] != LAYERS) return fault(AG_BAD_SHAPE, 0);
    if (height != rows * scale || width != columns * scale || most(height, width) > MOST_SIDE) return fault(AG_BAD_SHAPE, 1);
    if (t[2].size[2] != FIELDS || number > MOST_FACETS) return fault(AG_BAD_SHAPE, 2);
    uint8_t *const out = data<uint8_t>(t[0]);
    int64_t *const keys = data<int64_t>(t[1]);
    const float *const fields = data<const float>(t[2]);
#if defined(__CUDACC__)
    int32_t status = each(*place, pictures, height * width, AG_LAMBDA(int64_t n, int64_t i) { keys[n * height * width + i] = NOTHING; });
    if (status != AG_OK) return status;
    status = each(*place, pictures, number, AG_LAMBDA(int64_t n, int64_t facet) {
        draw(fields + (n * number + facet) * FIELDS, facet, keys + n * height * width, height, width, 0, height);
    });
    if (status != AG_OK) return status;
    return each(*place, pictures * rows, columns, AG_LAMBDA(int64_t i, int64_t column) {
        const int64_t n = i / rows;
        average(out + (i * columns + column) * LAYERS, keys + n * height * width, i % rows, column, width, scale,
                fields + n * number * FIELDS);
    });
#else
    // Each band of rows by itself: a thread draws all triangles, but only where they reach into its band.
    const int64_t bands = threads_for(*place, rows);
    return each_row(*place, pictures * bands, [=](int64_t i) {
        const int64_t n = i / bands, band = i % bands, top = band * rows / bands, bottom = (band + 1) * rows / bands;
        int64_t *const own = keys + n * height * width;
        const float *const mine = fields + n * number * FIELDS;
        for (int64_t k = top * scale * width; k < bottom * scale * width; k++) own[k] = NOTHING;
        for (int64_t facet = 0; facet < number; facet++) {
            draw(mine + facet * FIELDS, facet, own, height, width, top * scale, bottom * scale);
        }
        for (int64_t row = top; row < bottom; row++) {
            for (int64_t column = 0; column < columns; column++) {
                average(out + ((n * rows + row) * columns + column) * LAYERS, own, row, column, width, scale, mine);
            }
        }
    });
#endif
}

}  // namespace AG_TARGET
}  // namespace ag
