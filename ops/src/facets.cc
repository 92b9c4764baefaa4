// Triangles in two tones as shade layers: the nearest one at each sample, its colours and light there, and pixels averaged
// from samples.
#include "ag.h"

namespace ag {
namespace AG_TARGET {
namespace {

// Of a vertex: x, y, depth, light, shade, red, green, blue; of a facet: part, dark, gain and offset of its light, sides.
constexpr int NUMBERS = 8, DEPTH = 2, LIGHT = 3, SHADE = 4, COLOURS = 4;
constexpr int PART = 0, DARK = 1, GAIN = 2, OFFSET = 3, SIDES = 4, KINDS = 5;
constexpr int PARTS = 6, LAYERS = 10;
constexpr int64_t NOTHING = INT64_C(0x7fffffffffffffff);
constexpr float NEARBY = 1.0f / 1024.0f;  // samples, so that none falls between two triangles with a common edge
constexpr float THIRD = 1.0f / 3.0f;
constexpr float FLATTEST = 1e-6f;         // twice the area, in samples, below which a triangle covers nothing

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

// The vertices of a picture, and the facets between them.
struct Mesh {
    const float *vertices;
    const int64_t *corners;
    const float *kinds;

    AG_HD const float *corner(int64_t facet, int i) const { return vertices + corners[3 * facet + i] * NUMBERS; }
};

// The part of a picture that is drawn, in samples.
struct Window {
    int64_t left, top, width, height;
};

AG_INLINE float area_of(const float *a, const float *b, const float *c) {
    return (b[0] - a[0]) * (c[1] - b[1]) - (b[1] - a[1]) * (c[0] - b[0]);
}

// A triangle's middle, and of each edge its line: l dx + m dy is 1 on it and 0 in the middle.
struct Outline {
    float x, y, lines[6];
};

AG_INLINE Outline outline_of(const float *a, const float *b, const float *c) {
    const float per_area = 1.0f / area_of(a, b, c) * 3.0f;
    const float *const ends[] = {a, b, c, a};
    Outline o;
    o.x = (a[0] + b[0] + c[0]) * THIRD, o.y = (a[1] + b[1] + c[1]) * THIRD;
    for (int i = 0; i < 3; i++) {
        o.lines[2 * i] = (ends[i + 1][1] - ends[i][1]) * per_area;
        o.lines[2 * i + 1] = -((ends[i + 1][0] - ends[i][0]) * per_area);
    }
    return o;
}

// How one of a vertex's numbers goes over a triangle: at the middle, and its change by a sample to the right and down. A
// corner's barycentric coordinate is (1 - line) / 3 by the line of the edge that it does not lie on.
struct Plane {
    float middle, by_x, by_y;

    AG_HD float at(float dx, float dy) const { return middle + by_x * dx + by_y * dy; }
};

AG_INLINE Plane plane_of(const Outline &o, float a, float b, float c) {
    float thirds[6];
    for (int i = 0; i < 6; i++) thirds[i] = o.lines[i] * -THIRD;
    return {(a + b + c) * THIRD, a * thirds[2] + b * thirds[4] + c * thirds[0], a * thirds[3] + b * thirds[5] + c * thirds[1]};
}

// The whole numbers from the first at or above `low` to the last at or below `high`, among begin .. end - 1, and a bit
// more.
AG_INLINE int64_t first_at(float low, int64_t begin, int64_t end) {
    return static_cast<int64_t>(clamped(low + 0.999f, static_cast<float>(begin), static_cast<float>(end)));
}
AG_INLINE int64_t last_at(float high, int64_t begin, int64_t end) {
    return static_cast<int64_t>(clamped(high + 1.001f, static_cast<float>(begin), static_cast<float>(end))) - 1;
}

// Lowers the keys of the samples from .. to of a row, whose first is `begin`, that lie on a triangle: those on its side of
// all lines, which are at most `limit` there.
AG_INLINE void draw_row(const Outline &o, const Plane &deep, const float *limit, int64_t facet, float dy, int64_t *keys,
                        int64_t begin, int64_t from, int64_t to) {
    const float *const l = o.lines;
    for (int64_t column = from; column <= to; column++) {
        const float dx = static_cast<float>(column) - o.x;
        const float first = l[0] * dx + l[1] * dy, second = l[2] * dx + l[3] * dy, third = l[4] * dx + l[5] * dy;
        if (!((first <= limit[0]) & (second <= limit[1]) & (third <= limit[2]))) continue;
        const float depth = deep.at(dx, dy);
        if (depth > 0.0f && depth < INFINITY) lower(keys + (column - begin), key_of(depth, facet));
    }
}

#if defined(__AVX2__) && !defined(__CUDACC__)
constexpr int64_t BLOCK = 8;

// The same without a branch, for g++ to vectorise: so many samples at once, of which those beyond from .. to stay as they
// are. The row has at least as many.
AG_INLINE void draw_blocks(const Outline &o, const Plane &deep, const float *limit, int64_t facet, float dy, int64_t *keys,
                           int64_t begin, int64_t from, int64_t to, int64_t width) {
    const float *const l = o.lines;
    for (int64_t column = from; column <= to; column += BLOCK) {
        const int64_t start = least(column, begin + width - BLOCK);
        const int32_t low = static_cast<int32_t>(from - start), high = static_cast<int32_t>(to - start);
        int64_t *const here = keys + (start - begin);
        for (int32_t k = 0; k < BLOCK; k++) {
            const float dx = static_cast<float>(start) + static_cast<float>(k) - o.x;
            const float first = l[0] * dx + l[1] * dy, second = l[2] * dx + l[3] * dy, third = l[4] * dx + l[5] * dy;
            const float depth = deep.at(dx, dy);
            const bool inside = (first <= limit[0]) & (second <= limit[1]) & (third <= limit[2]);
            const bool drawn = inside & (depth > 0.0f) & (depth < INFINITY) & (k >= low) & (k <= high);
            const int64_t key = drawn ? key_of(depth, facet) : NOTHING;
            here[k] = least(here[k], key);
        }
    }
}
#endif

// Lowers the keys of the samples in rows top .. bottom - 1 of the picture that lie on a triangle.
AG_INLINE void draw(const Mesh &mesh, int64_t facet, int64_t *keys, const Window &window, int64_t top, int64_t bottom) {
    const float *const a = mesh.corner(facet, 0), *const b = mesh.corner(facet, 1), *const c = mesh.corner(facet, 2);
    const float area = area_of(a, b, c), sides = mesh.kinds[facet * KINDS + SIDES];
    if (!(most(area, -area) > FLATTEST) || area * sides > 0.0f) return;
    if (!((a[DEPTH] > 0.0f) & (b[DEPTH] > 0.0f) & (c[DEPTH] > 0.0f))) return;
    const int64_t low = first_at(least(least(a[1], b[1]), c[1]), top, bottom);
    const int64_t high = last_at(most(most(a[1], b[1]), c[1]), top, bottom);
    const int64_t begin = window.left, end = window.left + window.width;
    const int64_t from = first_at(least(least(a[0], b[0]), c[0]), begin, end);
    const int64_t to = last_at(most(most(a[0], b[0]), c[0]), begin, end);
    if (from > to || low > high) return;
    const Outline o = outline_of(a, b, c);
    const Plane deep = plane_of(o, a[DEPTH], b[DEPTH], c[DEPTH]);
    float limit[3];
    for (int i = 0; i < 3; i++) {
        const float by_x = o.lines[2 * i], by_y = o.lines[2 * i + 1];
        limit[i] = 1.0f + (most(by_x, -by_x) + most(by_y, -by_y)) * NEARBY;
    }
    for (int64_t row = low; row <= high; row++) {
        const float dy = static_cast<float>(row) - o.y;
        int64_t *const own = keys + (row - window.top) * window.width;
#if defined(__AVX2__) && !defined(__CUDACC__)
        if (window.width >= BLOCK) {
            draw_blocks(o, deep, limit, facet, dy, own, begin, from, to, window.width);
            continue;
        }
#endif
        draw_row(o, deep, limit, facet, dy, own, begin, from, to);
    }
}

// What a facet looks like: its light, and its shade, red, green and blue side by side.
struct Look {
    float x, y, dark, part;
    Plane light;
    float middle[COLOURS], by_x[COLOURS], by_y[COLOURS];
};

AG_INLINE Look look_of(const Mesh &mesh, int64_t facet) {
    const float *const a = mesh.corner(facet, 0), *const b = mesh.corner(facet, 1), *const c = mesh.corner(facet, 2);
    const float *const kind = mesh.kinds + facet * KINDS;
    const Outline o = outline_of(a, b, c);
    Look look;
    look.x = o.x, look.y = o.y, look.dark = kind[DARK], look.part = kind[PART];
    // From behind normals count as turned round.
    const float gain = area_of(a, b, c) > 0.0f ? -kind[GAIN] : kind[GAIN];
    const Plane light = plane_of(o, a[LIGHT], b[LIGHT], c[LIGHT]);
    look.light = {light.middle * gain + kind[OFFSET], light.by_x * gain, light.by_y * gain};
    for (int i = 0; i < COLOURS; i++) {
        const Plane colour = plane_of(o, a[SHADE + i], b[SHADE + i], c[SHADE + i]);
        look.middle[i] = colour.middle, look.by_x[i] = colour.by_x, look.by_y[i] = colour.by_y;
    }
    return look;
}

AG_INLINE int32_t level(float value) { return static_cast<int32_t>(clamped(value, 0.0f, 255.0f) + 0.5f); }

// What was shown last: samples that lie side by side mostly show one facet.
struct Shown {
    int64_t facet;
    Look look;
};

// The mean of what the samples of one pixel show, whose first is at (x, y).
AG_INLINE void average(uint8_t *out, const int64_t *keys, const Mesh &mesh, const Window &window, int64_t x, int64_t y,
                       int64_t scale, Shown &shown) {
    int32_t sums[LAYERS] = {}, colours[COLOURS] = {};
    for (int64_t row = y; row < y + scale; row++) {
        for (int64_t column = x; column < x + scale; column++) {
            const int64_t key = keys[(row - window.top) * window.width + column - window.left];
            if (key == NOTHING) continue;
            const int64_t facet = key & INT64_C(0xffffffff);
            if (facet != shown.facet) shown.facet = facet, shown.look = look_of(mesh, facet);
            const Look &look = shown.look;
            const float dx = static_cast<float>(column) - look.x, dy = static_cast<float>(row) - look.y;
            const float light = look.dark + (1.0f - look.dark) * clamped(look.light.at(dx, dy), 0.0f, 1.0f);
            int32_t levels[COLOURS];
            for (int i = 0; i < COLOURS; i++) levels[i] = level(light * (look.middle[i] + look.by_x[i] * dx + look.by_y[i] * dy));
            for (int i = 0; i < COLOURS; i++) colours[i] += levels[i];
            if (look.part >= 0.0f && look.part < PARTS) sums[1 + static_cast<int>(look.part)] += levels[0];
            sums[0] += 255;
        }
    }
    for (int i = 1; i < COLOURS; i++) sums[PARTS + i] = colours[i];
    const int32_t samples = static_cast<int32_t>(scale * scale);
    for (int layer = 0; layer < LAYERS; layer++) out[layer] = static_cast<uint8_t>((sums[layer] + samples / 2) / samples);
}

}  // namespace

int32_t facets(const ag_tensor *t, int64_t count, const ag_facets_options *options, const ag_place *place) {
    if (count != 5) return AG_BAD_COUNT;
    const int32_t dtypes[] = {AG_UINT8, AG_INT64, AG_FLOAT32, AG_INT64, AG_FLOAT32}, dims[] = {4, 3, 3, 2, 2};
    for (int i = 0; i < 5; i++) {
        if (t[i].dtype != dtypes[i]) return fault(AG_BAD_DTYPE, i);
        if (t[i].ndim != dims[i] || (i < 3 && t[i].size[0] != t[0].size[0])) return fault(AG_BAD_SHAPE, i);
        if (!is_dense(t[i])) return fault(AG_BAD_STRIDE, i);
    }
    const int64_t scale = options->scale, rows = t[0].size[1], columns = t[0].size[2], pictures = t[0].size[0];
    const int64_t points = t[2].size[1], number = t[3].size[0];
    if (scale < 1 || scale > MOST_SCALE) return fault(AG_BAD_OPTION, 0);
    const Window window = {options->left * scale, options->top * scale, columns * scale, rows * scale};
    if (options->left < 0 || window.left + window.width > MOST_SIDE) return fault(AG_BAD_OPTION, 1);
    if (options->top < 0 || window.top + window.height > MOST_SIDE) return fault(AG_BAD_OPTION, 2);
    if (t[0].size[3] != LAYERS) return fault(AG_BAD_SHAPE, 0);
    if (t[1].size[1] != window.height || t[1].size[2] != window.width) return fault(AG_BAD_SHAPE, 1);
    if (t[2].size[2] != NUMBERS) return fault(AG_BAD_SHAPE, 2);
    if (t[3].size[1] != 3 || number > MOST_FACETS) return fault(AG_BAD_SHAPE, 3);
    if (t[4].size[0] != number || t[4].size[1] != KINDS) return fault(AG_BAD_SHAPE, 4);
    uint8_t *const out = data<uint8_t>(t[0]);
    int64_t *const keys = data<int64_t>(t[1]);
    const Mesh mesh = {data<const float>(t[2]), data<const int64_t>(t[3]), data<const float>(t[4])};
#if defined(__CUDACC__)
    int32_t status = each(*place, elements(t[1]) > 0, elements(t[1]), AG_LAMBDA(int64_t, int64_t i) { keys[i] = NOTHING; });
    if (status != AG_OK) return status;
    status = each(*place, pictures, number, AG_LAMBDA(int64_t n, int64_t facet) {
        const Mesh own = {mesh.vertices + n * points * NUMBERS, mesh.corners, mesh.kinds};
        draw(own, facet, keys + n * window.height * window.width, window, window.top, window.top + window.height);
    });
    if (status != AG_OK) return status;
    return each(*place, pictures * rows, columns, AG_LAMBDA(int64_t i, int64_t column) {
        const int64_t n = i / rows;
        const Mesh own = {mesh.vertices + n * points * NUMBERS, mesh.corners, mesh.kinds};
        Shown shown = {-1, {}};
        average(out + (i * columns + column) * LAYERS, keys + n * window.height * window.width, own, window,
                window.left + column * scale, window.top + i % rows * scale, scale, shown);
    });
#else
    for (int64_t i = 0; i < 3 * number; i++) {
        if (mesh.corners[i] < 0 || mesh.corners[i] >= points) return fault(AG_BAD_SHAPE, 3);
    }
    // Where there are more threads than pictures, each draws all triangles into a band of rows.
    const int64_t bands = (threads_for(*place, pictures * rows) + pictures - 1) / most<int64_t>(pictures, 1);
    return each_row(*place, pictures * bands, [=](int64_t i) {
        const int64_t n = i / bands, band = i % bands, from = band * rows / bands, to = (band + 1) * rows / bands;
        const int64_t top = window.top + from * scale, bottom = window.top + to * scale;
        int64_t *const own = keys + n * window.height * window.width;
        const Mesh here = {mesh.vertices + n * points * NUMBERS, mesh.corners, mesh.kinds};
        for (int64_t k = from * scale * window.width; k < to * scale * window.width; k++) own[k] = NOTHING;
        for (int64_t facet = 0; facet < number; facet++) draw(here, facet, own, window, top, bottom);
        Shown shown = {-1, {}};
        for (int64_t row = from; row < to; row++) {
            uint8_t *const pixels = out + (n * rows + row) * columns * LAYERS;
            for (int64_t column = 0; column < columns; column++) {
                average(pixels + column * LAYERS, own, here, window, window.left + column * scale, window.top + row * scale,
                        scale, shown);
            }
        }
    });
#endif
}

}  // namespace AG_TARGET
}  // namespace ag
