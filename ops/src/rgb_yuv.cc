// RGB to 4:2:0 video and back, and from video straight to a network's input.
//
// All in 16-bit integers (the last in exact float32 steps), so that every target and the reference in Python give the
// same bytes. The CPU loops are written for g++ to vectorise: pieces of a row in small arrays on the stack, one simple
// operation a loop, products of which only the high half is kept.
#include "ag.h"

namespace ag {
namespace AG_TARGET {
namespace {

constexpr int64_t MOST_SIDE = INT64_C(1) << 30;
constexpr int64_t MOST_STEP = INT64_C(1) << (32 + 14);  // with sides up to MOST_OUT, no position overflows 64 bits
constexpr int64_t MOST_START = INT64_C(1) << (32 + 29);
constexpr int64_t MOST_OUT = 65536;

AG_INLINE uint16_t high(uint16_t a, uint16_t b) { return static_cast<uint16_t>(static_cast<uint32_t>(a) * b >> 16); }
AG_INLINE int16_t high(int16_t a, int16_t b) { return static_cast<int16_t>(static_cast<int32_t>(a) * b >> 16); }

AG_INLINE uint8_t luma(const ag_rgb_to_yuv_options &o, uint8_t r, uint8_t g, uint8_t b) {
    const uint16_t parts = high(static_cast<uint16_t>(r << 8), o.luma[0]) + high(static_cast<uint16_t>(g << 8), o.luma[1]) +
                           high(static_cast<uint16_t>(b << 8), o.luma[2]);
    return static_cast<uint8_t>(static_cast<uint16_t>(parts + o.luma[3]) >> 8);
}

// Chroma of the sums of four pixels.
AG_INLINE uint8_t chroma_u(const ag_rgb_to_yuv_options &o, uint16_t r, uint16_t g, uint16_t b) {
    const uint16_t parts = o.u[3] + high(static_cast<uint16_t>(b << 6), o.u[2]) -
                           high(static_cast<uint16_t>(r << 6), o.u[0]) - high(static_cast<uint16_t>(g << 6), o.u[1]);
    return static_cast<uint8_t>(parts >> 8);
}
AG_INLINE uint8_t chroma_v(const ag_rgb_to_yuv_options &o, uint16_t r, uint16_t g, uint16_t b) {
    const uint16_t parts = o.v[3] + high(static_cast<uint16_t>(r << 6), o.v[0]) -
                           high(static_cast<uint16_t>(g << 6), o.v[1]) - high(static_cast<uint16_t>(b << 6), o.v[2]);
    return static_cast<uint8_t>(parts >> 8);
}

AG_INLINE uint8_t byte_of(int16_t value) { return static_cast<uint8_t>(value < 0 ? 0 : value > 255 ? 255 : value); }

// u and v: interpolated chroma less 128, times 256.
AG_INLINE void rgb_of(const ag_yuv_to_rgb_options &o, uint8_t y, int16_t u, int16_t v, uint8_t &r, uint8_t &g, uint8_t &b) {
    const int16_t l = static_cast<int16_t>(high(static_cast<uint16_t>(y << 8), static_cast<uint16_t>(o.luma)));
    r = byte_of(static_cast<int16_t>(l + high(v, o.v_to_r) + o.bias[0]) >> 5);
    g = byte_of(static_cast<int16_t>(l + high(u, o.u_to_g) + high(v, o.v_to_g) + o.bias[1]) >> 5);
    b = byte_of(static_cast<int16_t>(l + high(u, o.u_to_b) + o.bias[2]) >> 5);
}

// Interpolated chroma, less 128, times 256, from four times a sample's column and its neighbour's.
AG_INLINE int16_t between(int16_t near, int16_t far) { return static_cast<int16_t>((3 * near + far - 2048) * 16); }

struct Plane {
    const uint8_t *p;
    int64_t row, column, height, width;
};

AG_INLINE Plane plane(const ag_tensor &t) {
    return {data<const uint8_t>(t), t.stride[0], t.stride[1], t.size[0], t.size[1]};
}

struct Tap {
    int64_t low, high;
    int32_t weight;  // of `high`, in 1/128
};

AG_INLINE Tap tap(int64_t position, int64_t size) {
    const int64_t held = clamped<int64_t>(position + (INT64_C(1) << 24), 0, (size - 1) << 32);
    const int64_t low = held >> 32;
    return {low, least(low + 1, size - 1), static_cast<int32_t>(held >> 25 & 127)};
}

AG_INLINE float bilinear(const Plane &s, const Tap &y, const Tap &x) {
    const uint8_t *const top = s.p + y.low * s.row, *const bottom = s.p + y.high * s.row;
    const int32_t left = top[x.low * s.column] * (128 - y.weight) + bottom[x.low * s.column] * y.weight;
    const int32_t right = top[x.high * s.column] * (128 - y.weight) + bottom[x.high * s.column] * y.weight;
    return static_cast<float>(left * (128 - x.weight) + right * x.weight) * (1.0f / 16384.0f);
}

// ag_rgb_to_yuv of the pixels 2 row .. and 2 column .., one by one.
AG_INLINE void block_to_yuv(const ag_rgb_to_yuv_options &o, const ag_tensor *t, int64_t row, int64_t column) {
    const ag_tensor &rgb = t[3];
    const int64_t height = rgb.size[0], width = rgb.size[1];
    uint16_t r = 0, g = 0, b = 0;
    for (int i = 0; i < 2; i++) {
        for (int j = 0; j < 2; j++) {
            const int64_t y = least(2 * row + i, height - 1), x = least(2 * column + j, width - 1);
            const uint8_t *const p = data<const uint8_t>(rgb) + y * rgb.stride[0] + x * 3;
            data<uint8_t>(t[0])[y * t[0].stride[0] + x] = luma(o, p[0], p[1], p[2]);
            r += p[0], g += p[1], b += p[2];
        }
    }
    data<uint8_t>(t[1])[row * t[1].stride[0] + column * t[1].stride[1]] = chroma_u(o, r, g, b);
    data<uint8_t>(t[2])[row * t[2].stride[0] + column * t[2].stride[1]] = chroma_v(o, r, g, b);
}

#if !defined(__CUDACC__)
constexpr int PIECE = 128;  // pixels of a row at once

struct Channels {
    uint8_t r[PIECE], g[PIECE], b[PIECE];
};

AG_INLINE void split(const uint8_t *__restrict rgb, Channels &c) {
    for (int i = 0; i < PIECE; i++) c.r[i] = rgb[3 * i], c.g[i] = rgb[3 * i + 1], c.b[i] = rgb[3 * i + 2];
}

AG_INLINE void luma_of(const ag_rgb_to_yuv_options &o, const Channels &c, uint8_t *__restrict y) {
    for (int i = 0; i < PIECE; i++) y[i] = luma(o, c.r[i], c.g[i], c.b[i]);
}

AG_INLINE void sums_of(const uint8_t *__restrict a, const uint8_t *__restrict b, uint16_t *__restrict sum) {
    for (int k = 0; k < PIECE / 2; k++) sum[k] = a[2 * k] + a[2 * k + 1] + b[2 * k] + b[2 * k + 1];
}

AG_INLINE void put(uint8_t *__restrict to, int64_t step, const uint8_t *__restrict from, int count) {
    if (step == 1) {
        __builtin_memcpy(to, from, count);
    } else {
        for (int k = 0; k < count; k++) to[2 * k] = from[k];
    }
}

// Two rows of pixels, PIECE at a time.
void rows_to_yuv(const ag_rgb_to_yuv_options &options, const ag_tensor *t, int64_t row) {
    const ag_rgb_to_yuv_options o = options;
    const ag_tensor &rgb = t[3];
    const int64_t width = rgb.size[1], first = 2 * row, second = least(first + 1, rgb.size[0] - 1);
    const uint8_t *const in[2] = {data<const uint8_t>(rgb) + first * rgb.stride[0],
                                  data<const uint8_t>(rgb) + second * rgb.stride[0]};
    uint8_t *const y[2] = {data<uint8_t>(t[0]) + first * t[0].stride[0], data<uint8_t>(t[0]) + second * t[0].stride[0]};
    uint8_t *const u = data<uint8_t>(t[1]) + row * t[1].stride[0], *const v = data<uint8_t>(t[2]) + row * t[2].stride[0];
    int64_t x = 0;
    for (; x + PIECE <= width; x += PIECE) {
        Channels a, b;
        uint16_t red[PIECE / 2], green[PIECE / 2], blue[PIECE / 2];
        uint8_t us[PIECE / 2], vs[PIECE / 2];
        split(in[0] + 3 * x, a);
        split(in[1] + 3 * x, b);
        luma_of(o, a, y[0] + x);
        luma_of(o, b, y[1] + x);
        sums_of(a.r, b.r, red);
        sums_of(a.g, b.g, green);
        sums_of(a.b, b.b, blue);
        for (int k = 0; k < PIECE / 2; k++) us[k] = chroma_u(o, red[k], green[k], blue[k]);
        for (int k = 0; k < PIECE / 2; k++) vs[k] = chroma_v(o, red[k], green[k], blue[k]);
        put(u + x / 2 * t[1].stride[1], t[1].stride[1], us, PIECE / 2);
        put(v + x / 2 * t[2].stride[1], t[2].stride[1], vs, PIECE / 2);
    }
    for (int64_t column = x / 2; column < (width + 1) / 2; column++) block_to_yuv(o, t, row, column);
}

// Four times a plane's column between its rows `near` and `far`, for count samples from `begin` on, held to the row.
AG_INLINE void columns_of(const Plane &s, int64_t near, int64_t far, int64_t begin, int count, int16_t *__restrict out) {
    const uint8_t *__restrict a = s.p + near * s.row, *__restrict b = s.p + far * s.row;
    if (begin >= 0 && begin + count <= s.width && s.column == 1) {
        for (int k = 0; k < count; k++) out[k] = static_cast<int16_t>(3 * a[begin + k] + b[begin + k]);
        return;
    }
    for (int k = 0; k < count; k++) {
        const int64_t i = clamped<int64_t>(begin + k, 0, s.width - 1) * s.column;
        out[k] = static_cast<int16_t>(3 * a[i] + b[i]);
    }
}

AG_INLINE void interpolated(const Plane &s, int64_t near, int64_t far, int64_t x, int16_t *__restrict out) {
    int16_t columns[PIECE / 2 + 2];
    columns_of(s, near, far, x / 2 - 1, PIECE / 2 + 2, columns);
    for (int k = 0; k < PIECE / 2; k++) {
        out[2 * k] = between(columns[k + 1], columns[k]);
        out[2 * k + 1] = between(columns[k + 1], columns[k + 2]);
    }
}

void row_to_rgb(const ag_yuv_to_rgb_options &options, const ag_tensor *t, int64_t row) {
    const ag_yuv_to_rgb_options o = options;
    const Plane u = plane(t[2]), v = plane(t[3]);
    const int64_t width = t[0].size[1], near = row / 2;
    const int64_t far = clamped<int64_t>(row % 2 ? near + 1 : near - 1, 0, u.height - 1);
    uint8_t *const out = data<uint8_t>(t[0]) + row * t[0].stride[0];
    const uint8_t *const luma = data<const uint8_t>(t[1]) + row * t[1].stride[0];
    for (int64_t x = 0; x < width; x += PIECE) {
        const int count = static_cast<int>(least<int64_t>(PIECE, width - x));
        int16_t us[PIECE], vs[PIECE];
        uint8_t r[PIECE], g[PIECE], b[PIECE], ys[PIECE];
        interpolated(u, near, far, x, us);
        interpolated(v, near, far, x, vs);
        if (count == PIECE) {
            __builtin_memcpy(ys, luma + x, PIECE);
            for (int i = 0; i < PIECE; i++) rgb_of(o, ys[i], us[i], vs[i], r[i], g[i], b[i]);
            uint8_t *__restrict to = out + 3 * x;
            for (int i = 0; i < PIECE; i++) to[3 * i] = r[i], to[3 * i + 1] = g[i], to[3 * i + 2] = b[i];
        } else {
            for (int i = 0; i < count; i++) {
                uint8_t *const p = out + 3 * (x + i);
                rgb_of(o, luma[x + i], us[i], vs[i], p[0], p[1], p[2]);
            }
        }
    }
}
#endif

int32_t check_rgb(const ag_tensor &t, int which) {
    if (t.dtype != AG_UINT8) return fault(AG_BAD_DTYPE, which);
    if (t.ndim != 3 || t.size[2] != 3) return fault(AG_BAD_SHAPE, which);
    if (t.size[0] < 0 || t.size[0] > MOST_SIDE || t.size[1] < 0 || t.size[1] > MOST_SIDE) return fault(AG_BAD_SHAPE, which);
    return t.stride[2] == 1 && t.stride[1] == 3 ? AG_OK : fault(AG_BAD_STRIDE, which);
}

// AG_OK where three planes, the first of them tensors[which], are those of a picture of height x width.
int32_t check_planes(const ag_tensor *tensors, int which, int64_t height, int64_t width) {
    for (int i = 0; i < 3; i++) {
        const ag_tensor &t = tensors[which + i];
        if (t.dtype != AG_UINT8) return fault(AG_BAD_DTYPE, which + i);
        const int64_t rows = i ? (height + 1) / 2 : height, columns = i ? (width + 1) / 2 : width;
        if (t.ndim != 2 || t.size[0] != rows || t.size[1] != columns) return fault(AG_BAD_SHAPE, which + i);
        if (t.stride[1] != 1 && !(i && t.stride[1] == 2)) return fault(AG_BAD_STRIDE, which + i);
    }
    return AG_OK;
}

struct Tensors {  // by value, so that a kernel has them
    ag_tensor t[4];
};

Tensors four(const ag_tensor *t) { return {{t[0], t[1], t[2], t[3]}}; }

}  // namespace

int32_t rgb_to_yuv(const ag_tensor *tensors, int64_t count, const ag_rgb_to_yuv_options *options, const ag_place *place) {
    if (count != 4) return AG_BAD_COUNT;
    const ag_tensor &rgb = tensors[3];
    if (const int32_t wrong = check_rgb(rgb, 3)) return wrong;
    if (const int32_t wrong = check_planes(tensors, 0, rgb.size[0], rgb.size[1])) return wrong;
    if (rgb.size[0] == 0 || rgb.size[1] == 0) return AG_OK;
    const int64_t rows = (rgb.size[0] + 1) / 2;
#if defined(__CUDACC__)
    const Tensors all = four(tensors);
    const ag_rgb_to_yuv_options o = *options;
    return each(*place, rows, (rgb.size[1] + 1) / 2,
                [=] __device__(int64_t row, int64_t column) { block_to_yuv(o, all.t, row, column); });
#else
    return each_row(*place, rows, [=](int64_t row) { rows_to_yuv(*options, tensors, row); });
#endif
}

int32_t yuv_to_rgb(const ag_tensor *tensors, int64_t count, const ag_yuv_to_rgb_options *options, const ag_place *place) {
    if (count != 4) return AG_BAD_COUNT;
    const ag_tensor &rgb = tensors[0];
    if (const int32_t wrong = check_rgb(rgb, 0)) return wrong;
    if (const int32_t wrong = check_planes(tensors, 1, rgb.size[0], rgb.size[1])) return wrong;
    if (rgb.size[0] == 0 || rgb.size[1] == 0) return AG_OK;
#if defined(__CUDACC__)
    const Tensors all = four(tensors);
    const ag_yuv_to_rgb_options o = *options;
    return each(*place, rgb.size[0], rgb.size[1], [=] __device__(int64_t row, int64_t column) {
        int16_t chroma[2];
        for (int i = 0; i < 2; i++) {
            const Plane s = plane(all.t[2 + i]);
            const int64_t y = row / 2, x = column / 2;
            const int64_t far_y = clamped<int64_t>(row % 2 ? y + 1 : y - 1, 0, s.height - 1);
            const int64_t far_x = clamped<int64_t>(column % 2 ? x + 1 : x - 1, 0, s.width - 1);
            const uint8_t *const a = s.p + y * s.row, *const b = s.p + far_y * s.row;
            chroma[i] = between(static_cast<int16_t>(3 * a[x * s.column] + b[x * s.column]),
                                static_cast<int16_t>(3 * a[far_x * s.column] + b[far_x * s.column]));
        }
        uint8_t *const p = data<uint8_t>(all.t[0]) + row * all.t[0].stride[0] + 3 * column;
        const uint8_t y = data<const uint8_t>(all.t[1])[row * all.t[1].stride[0] + column];
        rgb_of(o, y, chroma[0], chroma[1], p[0], p[1], p[2]);
    });
#else
    return each_row(*place, rgb.size[0], [=](int64_t row) { row_to_rgb(*options, tensors, row); });
#endif
}

int32_t yuv_to_tensor(const ag_tensor *tensors, int64_t count, const ag_yuv_to_tensor_options *options,
                      const ag_place *place) {
    if (count != 4) return AG_BAD_COUNT;
    const ag_tensor &out = tensors[0], &luma = tensors[1];
    if (out.dtype != AG_FLOAT32) return fault(AG_BAD_DTYPE, 0);
    if (out.ndim != 3 || out.size[0] != 3 || out.size[1] > MOST_OUT || out.size[2] > MOST_OUT) return fault(AG_BAD_SHAPE, 0);
    if (luma.ndim != 2 || luma.size[0] < 1 || luma.size[0] > MOST_SIDE || luma.size[1] < 1 || luma.size[1] > MOST_SIDE)
        return fault(AG_BAD_SHAPE, 1);
    if (const int32_t wrong = check_planes(tensors, 1, luma.size[0], luma.size[1])) return wrong;
    for (int i = 0; i < 2; i++) {
        if (options->step[i] <= -MOST_STEP || options->step[i] >= MOST_STEP) return fault(AG_BAD_OPTION, 0);
        if (options->start[i] <= -MOST_START || options->start[i] >= MOST_START) return fault(AG_BAD_OPTION, 1);
    }
    const Tensors all = four(tensors);
    const ag_yuv_to_tensor_options o = *options;
    return each(*place, out.size[1], out.size[2], AG_LAMBDA(int64_t row, int64_t column) {
        const ag_tensor &to = all.t[0];
        const int64_t x = o.step[0] * column + o.start[0], y = o.step[1] * row + o.start[1];
        // the centre of chroma sample k lies between the pixels 2 k and 2 k + 1
        const int64_t chroma_x = (x >> 1) - (INT64_C(1) << 30), chroma_y = (y >> 1) - (INT64_C(1) << 30);
        const Plane luma = plane(all.t[1]), u = plane(all.t[2]), v = plane(all.t[3]);
        const float sy = bilinear(luma, tap(y, luma.height), tap(x, luma.width));
        const Tap rows = tap(chroma_y, u.height), columns = tap(chroma_x, u.width);
        const float su = bilinear(u, rows, columns), sv = bilinear(v, rows, columns);
        for (int c = 0; c < 3; c++) {
            const float *const m = o.matrix[c];
            const float value = m[0] * sy + m[1] * su + m[2] * sv + m[3];
            data<float>(to)[c * to.stride[0] + row * to.stride[1] + column * to.stride[2]] =
                clamped(value, 0.0f, 255.0f) * o.scale[c] + o.shift[c];
        }
    });
}

}  // namespace AG_TARGET
}  // namespace ag
