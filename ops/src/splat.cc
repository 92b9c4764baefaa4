// Discs as a camera sees them, the nearest one at each sample, and pictures averaged from samples.
#include "ag.h"

namespace ag {
namespace AG_TARGET {
namespace {

constexpr int FIELDS = 13;
constexpr int64_t NOTHING = INT64_C(0x7fffffffffffffff);

// A key has 32 bits for the number of a disc, a float counts to 2^24, and so many samples add up in 32 bits.
constexpr int64_t MOST_DISCS = INT64_C(1) << 32, MOST_SIDE = 1 << 24, MOST_SCALE = 1 << 12;

AG_INLINE int64_t key_of(float depth, int64_t disc) {
    uint32_t bits;
#if defined(__CUDACC__)
    memcpy(&bits, &depth, sizeof bits);
#else
    __builtin_memcpy(&bits, &depth, sizeof bits);
#endif
    return static_cast<int64_t>(static_cast<uint64_t>(bits) << 32 | static_cast<uint32_t>(disc));
}

AG_INLINE void lower(int64_t *place, int64_t key) {
#if defined(__CUDA_ARCH__)
    atomicMin(reinterpret_cast<unsigned long long *>(place), static_cast<unsigned long long>(key));
#else
    if (key < *place) *place = key;
#endif
}

// The whole numbers from the first at or above `low` to the last at or below `high`, inside of 0 .. size - 1: clamped
// takes NaN for its lower bound, so from or to NaN there are none.
AG_INLINE int64_t first_at(float low, int64_t size) {
    return static_cast<int64_t>(clamped(low + 0.999999f, 0.0f, static_cast<float>(size)));
}
AG_INLINE int64_t last_at(float high, int64_t size) {
    return static_cast<int64_t>(clamped(high + 1.0f, 0.0f, static_cast<float>(size))) - 1;
}

// Lowers the keys of the samples in rows top .. bottom - 1 that lie on a disc.
AG_INLINE void draw(const float *d, int64_t disc, int64_t *keys, int64_t height, int64_t width, int64_t top, int64_t bottom) {
    const float x = d[0], y = d[1], depth = d[2], by_x = d[3], by_y = d[4], a = d[5], b = d[6], c = d[7], bulge = d[8];
    const float cut_x = d[9], cut_y = d[10], other_x = d[11], other_y = d[12];
    const float determinant = a * c - b * b;
    if (!(depth > 0.0f) || !(determinant > 0.0f)) return;
    const float reach_x = square_root(c / determinant), reach_y = square_root(a / determinant);
    const int64_t left = first_at(x - reach_x, width), right = last_at(x + reach_x, width);
    const int64_t low = most(first_at(y - reach_y, height), top), high = least(last_at(y + reach_y, height), bottom - 1);
    for (int64_t row = low; row <= high; row++) {
        const float dy = static_cast<float>(row) - y;
        for (int64_t column = left; column <= right; column++) {
            const float dx = static_cast<float>(column) - x;
            const float from_centre = a * dx * dx + 2.0f * b * dx * dy + c * dy * dy;
            const float z = depth + by_x * dx + by_y * dy + bulge * from_centre;
            const bool inside = cut_x * dx + cut_y * dy <= 1.0f && other_x * dx + other_y * dy <= 1.0f;
            if (from_centre <= 1.0f && inside && z > 0.0f) lower(keys + row * width + column, key_of(z, disc));
        }
    }
}

// The mean of the values of what the samples of one pixel show.
AG_INLINE void average(uint8_t *out, const int64_t *keys, int64_t width, int64_t scale, const uint8_t *values, int64_t layers) {
    const uint32_t samples = static_cast<uint32_t>(scale * scale);
    bool any = false;
    for (int64_t i = 0; i < scale; i++) {
        for (int64_t j = 0; j < scale; j++) any = any || keys[i * width + j] != NOTHING;
    }
    for (int64_t layer = 0; layer < layers; layer++) {
        uint32_t sum = 0;
        for (int64_t i = 0; any && i < scale; i++) {
            for (int64_t j = 0; j < scale; j++) {
                const int64_t key = keys[i * width + j];
                if (key != NOTHING) sum += values[(key & 0xffffffff) * layers + layer];
            }
        }
        out[layer] = static_cast<uint8_t>((sum + samples / 2) / samples);
    }
}

}  // namespace

int32_t splat(const ag_tensor *t, int64_t count, const ag_splat_options *options, const ag_place *place) {
    if (count != 4) return AG_BAD_COUNT;
    const int32_t dtypes[] = {AG_UINT8, AG_INT64, AG_FLOAT32, AG_UINT8}, dims[] = {4, 3, 3, 3};
    for (int i = 0; i < 4; i++) {
        if (t[i].dtype != dtypes[i]) return fault(AG_BAD_DTYPE, i);
        if (t[i].ndim != dims[i] || t[i].size[0] != t[0].size[0]) return fault(AG_BAD_SHAPE, i);
        int64_t dense = 1;
        for (int d = t[i].ndim - 1; d >= 0 && elements(t[i]) > 0; d--) {
            if (t[i].size[d] > 1 && t[i].stride[d] != dense) return fault(AG_BAD_STRIDE, i);
            dense *= t[i].size[d];
        }
    }
    const int64_t scale = options->scale, height = t[1].size[1], width = t[1].size[2], rows = t[0].size[1];
    const int64_t columns = t[0].size[2], layers = t[0].size[3], discs = t[2].size[1], pictures = t[0].size[0];
    if (scale < 1 || scale > MOST_SCALE) return fault(AG_BAD_OPTION, 0);
    if (height != rows * scale || width != columns * scale || most(height, width) > MOST_SIDE) return fault(AG_BAD_SHAPE, 1);
    if (t[2].size[2] != FIELDS || discs > MOST_DISCS) return fault(AG_BAD_SHAPE, 2);
    if (t[3].size[1] != discs || t[3].size[2] != layers) return fault(AG_BAD_SHAPE, 3);
    uint8_t *const out = data<uint8_t>(t[0]);
    int64_t *const keys = data<int64_t>(t[1]);
    const float *const fields = data<const float>(t[2]);
    const uint8_t *const values = data<const uint8_t>(t[3]);
#if defined(__CUDACC__)
    int32_t status = each(*place, pictures, height * width, AG_LAMBDA(int64_t n, int64_t i) { keys[n * height * width + i] = NOTHING; });
    if (status != AG_OK) return status;
    status = each(*place, pictures, discs, AG_LAMBDA(int64_t n, int64_t disc) {
        draw(fields + (n * discs + disc) * FIELDS, disc, keys + n * height * width, height, width, 0, height);
    });
    if (status != AG_OK) return status;
    return each(*place, pictures * rows, columns, AG_LAMBDA(int64_t i, int64_t column) {
        const int64_t n = i / rows;
        average(out + (i * columns + column) * layers, keys + i * scale * width + column * scale, width, scale,
                values + n * discs * layers, layers);
    });
#else
    // Each band of rows by itself: a thread draws all discs, but only where they reach into its band.
    const int64_t bands = threads_for(*place, rows);
    return each_row(*place, pictures * bands, [=](int64_t i) {
        const int64_t n = i / bands, band = i % bands, top = band * rows / bands, bottom = (band + 1) * rows / bands;
        int64_t *const own = keys + n * height * width;
        for (int64_t k = top * scale * width; k < bottom * scale * width; k++) own[k] = NOTHING;
        for (int64_t disc = 0; disc < discs; disc++) {
            draw(fields + (n * discs + disc) * FIELDS, disc, own, height, width, top * scale, bottom * scale);
        }
        for (int64_t row = top; row < bottom; row++) {
            for (int64_t column = 0; column < columns; column++) {
                average(out + ((n * rows + row) * columns + column) * layers, own + (row * width + column) * scale, width,
                        scale, values + n * discs * layers, layers);
            }
        }
    });
#endif
}

}  // namespace AG_TARGET
}  // namespace ag
