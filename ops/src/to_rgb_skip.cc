// A picture from features, one product of matrices for each pixel, added to the upsampled picture of half the side.
#include "activation.h"
#include "fir.h"

namespace ag {
namespace AG_TARGET {
namespace {

template <class T, class A> struct Colours {
    A *out;
    const T *x;
    const A *weight, *bias, *skip;
    int64_t batch, inputs, outputs, height, width;
    int64_t out_stride[4], x_stride[4], weight_stride[3], skip_stride[4], bias_stride;
    Fir fir;
    A clamp;

    AG_METHOD void finish(A sum, int64_t n, int64_t o, int64_t y, int64_t column) const {
        const A value = sum + (bias ? bias[o * bias_stride] : A(0));
        const A limited = value > clamp ? clamp : value < -clamp ? -clamp : value;
        // The filter's gain of 4 makes up for the zeros between pixels.
        const A below = skip ? A(4) * fir.template sum<int64_t, A, A>(skip + n * skip_stride[0] + o * skip_stride[1], skip_stride + 2, static_cast<int32_t>(y), static_cast<int32_t>(column)) : A(0);
        out[n * out_stride[0] + o * out_stride[1] + y * out_stride[2] + column * out_stride[3]] = limited + below;
    }

    AG_METHOD void pixel(int64_t n, int64_t y, int64_t column) const {
        const T *const at = x + n * x_stride[0] + y * x_stride[2] + column * x_stride[3];
        for (int64_t o = 0; o < outputs; o++) {
            const A *const row = weight + n * weight_stride[0] + o * weight_stride[1];
            A sum = A(0);
            for (int64_t c = 0; c < inputs; c++) sum = mad(row[c * weight_stride[2]], A(load(at + c * x_stride[1])), sum);
            finish(sum, n, o, y, column);
        }
    }
};

#if !defined(__CUDACC__)
constexpr int64_t COLUMNS = 1024;

// The product of two rows, in as many sums as a vector has places.
template <class T, class A> AG_INLINE A product(const A *a, const T *b, int64_t n) {
    constexpr int PLACES = 16;
    A sums[PLACES] = {};
    int64_t c = 0;
    for (; c + PLACES <= n; c += PLACES) {
        for (int i = 0; i < PLACES; i++) sums[i] = mad(a[c + i], A(load(b + c + i)), sums[i]);
    }
    for (; c < n; c++) sums[0] = mad(a[c], A(load(b + c)), sums[0]);
    for (int half = PLACES / 2; half > 0; half /= 2) {
        for (int i = 0; i < half; i++) sums[i] += sums[i + half];
    }
    return sums[0];
}

// A row whose channels lie side by side, or whose pixels do.
template <class T, class A> void row(const Colours<T, A> &p, int64_t n, int64_t y) {
    const T *const at = p.x + n * p.x_stride[0] + y * p.x_stride[2];
    for (int64_t o = 0; o < p.outputs; o++) {
        const A *const weight = p.weight + n * p.weight_stride[0] + o * p.weight_stride[1];
        if (p.x_stride[1] == 1) {
            for (int64_t x = 0; x < p.width; x++) p.finish(product(weight, at + x * p.x_stride[3], p.inputs), n, o, y, x);
            continue;
        }
        alignas(64) A sums[COLUMNS];
        for (int64_t x = 0; x < p.width; x += COLUMNS) {
            const int64_t count = least(COLUMNS, p.width - x);
            for (int64_t i = 0; i < count; i++) sums[i] = A(0);
            for (int64_t c = 0; c < p.inputs; c += 4) {
                const int taken = static_cast<int>(least<int64_t>(4, p.inputs - c));
                const T *rows[4] = {};
                for (int i = 0; i < taken; i++) rows[i] = at + (c + i) * p.x_stride[1] + x;
                weighted_sum(sums, rows, weight + c, taken, count, false);
            }
            for (int64_t i = 0; i < count; i++) p.finish(sums[i], n, o, y, x + i);
        }
    }
}
#endif

template <class T, class A> int32_t compute(const ag_tensor *t, const ag_to_rgb_skip_options &options, const ag_place &place) {
    Colours<T, A> p{};
    p.out = data<A>(t[0]), p.x = data<const T>(t[1]), p.weight = data<const A>(t[2]);
    p.bias = data<const A>(t[3]), p.skip = data<const A>(t[4]);
    p.batch = t[1].size[0], p.inputs = t[1].size[1], p.outputs = t[0].size[1];
    p.height = t[1].size[2], p.width = t[1].size[3];
    for (int d = 0; d < 4; d++) p.out_stride[d] = t[0].stride[d], p.x_stride[d] = t[1].stride[d], p.skip_stride[d] = t[4].stride[d];
    for (int d = 0; d < 3; d++) p.weight_stride[d] = t[2].stride[d];
    p.bias_stride = t[3].stride[0];
    p.clamp = options.clamp < 0 ? A(INFINITY) : A(options.clamp);
    p.fir = fir_of(t[5], t[4], t[0], false);
    p.fir.across.up = p.fir.down.up = 2;
    p.fir.across.pad = (p.fir.across.taps + 1) / 2, p.fir.down.pad = (p.fir.down.taps + 1) / 2;
    const int64_t height = p.height;
#if !defined(__CUDACC__)
    if ((p.x_stride[1] == 1 || p.x_stride[3] == 1) && p.weight_stride[2] == 1) {
        return each_row(place, p.batch * height, [&](int64_t i) { row(p, i / height, i % height); });
    }
#endif
    return each(place, p.batch * height, p.width, AG_LAMBDA(int64_t i, int64_t column) { p.pixel(i / height, i % height, column); });
}

}  // namespace

int32_t to_rgb_skip(const ag_tensor *tensors, int64_t count, const ag_to_rgb_skip_options *options, const ag_place *place) {
    if (count != 6) return AG_BAD_COUNT;
    const ag_tensor &x = tensors[1];
    const int32_t wide = x.dtype == AG_FLOAT64 ? AG_FLOAT64 : AG_FLOAT32;
    if (x.dtype == AG_NONE) return fault(AG_BAD_DTYPE, 1);
    if (x.ndim != 4) return fault(AG_BAD_SHAPE, 1);
    const int64_t outputs = tensors[0].size[1];
    const int64_t out[4] = {x.size[0], outputs, x.size[2], x.size[3]}, weight[3] = {x.size[0], outputs, x.size[1]};
    const int64_t skip[4] = {x.size[0], outputs, x.size[2] / 2, x.size[3] / 2};
    if (tensors[0].dtype == AG_NONE) return fault(AG_BAD_DTYPE, 0);
    if (tensors[2].dtype == AG_NONE) return fault(AG_BAD_DTYPE, 2);
    if (const int32_t wrong = check(tensors, 0, wide, 4, out)) return wrong;
    if (const int32_t wrong = check(tensors, 2, wide, 3, weight)) return wrong;
    if (const int32_t wrong = check(tensors, 3, wide, 1, &outputs)) return wrong;
    if (const int32_t wrong = check(tensors, 4, wide, 4, skip)) return wrong;
    if (const int32_t wrong = check_filter(tensors, 5)) return wrong;
    if (!check_axis(skip[3], out[3], 2, 1, 0) || !check_axis(skip[2], out[2], 2, 1, 0)) return fault(AG_BAD_SHAPE, 4);
    switch (x.dtype) {
    case AG_FLOAT32: return compute<float, float>(tensors, *options, *place);
#if defined(AG_HAS_DOUBLE)
    case AG_FLOAT64: return compute<double, double>(tensors, *options, *place);
#endif
    case AG_BFLOAT16: return compute<bfloat16, float>(tensors, *options, *place);
#if defined(__CUDACC__)
    case AG_FLOAT16: return compute<float16, float>(tensors, *options, *place);
#endif
    default: return fault(AG_BAD_DTYPE, 1);
    }
}

}  // namespace AG_TARGET
}  // namespace ag
