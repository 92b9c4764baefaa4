// A picture from features, one product of matrices for each pixel, added to the upsampled picture of half the side.
#include "activation.h"
#include "fir.h"
#if !defined(__CUDACC__)
#include "rows.h"
#endif

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

    // `below` of the upsampled picture, whose gain of 4 makes up for the zeros between pixels.
    AG_METHOD void finish(A sum, A below, int64_t n, int64_t o, int64_t y, int64_t column) const {
        const A value = sum + (bias ? bias[o * bias_stride] : A(0));
        const A limited = value > clamp ? clamp : value < -clamp ? -clamp : value;
        out[n * out_stride[0] + o * out_stride[1] + y * out_stride[2] + column * out_stride[3]] = mad(A(4), below, limited);
    }
    AG_METHOD A below(int64_t n, int64_t o, int64_t y, int64_t column) const {
        if (skip == nullptr) return A(0);
        const A *const plane = skip + n * skip_stride[0] + o * skip_stride[1];
        return fir.template sum<int64_t, A, A>(plane, skip_stride + 2, static_cast<int32_t>(y), static_cast<int32_t>(column));
    }

    AG_CALLED void pixel(int64_t n, int64_t y, int64_t column) const {
        const T *const at = x + n * x_stride[0] + y * x_stride[2] + column * x_stride[3];
        for (int64_t o = 0; o < outputs; o++) {
            const A *const row = weight + n * weight_stride[0] + o * weight_stride[1];
            A sum = A(0);
            for (int64_t c = 0; c < inputs; c++) sum = mad(row[c * weight_stride[2]], A(load(at + c * x_stride[1])), sum);
            finish(sum, below(n, o, y, column), n, o, y, column);
        }
    }
};

#if !defined(__CUDACC__)
template <class T, class A> AG_INLINE A product(const A *a, const T *b, int64_t n) {
    A sum = A(0);
#pragma omp simd reduction(+ : sum)
    for (int64_t c = 0; c < n; c++) sum += a[c] * A(load(b + c));
    return sum;
}

// A row whose channels lie side by side, or whose pixels do.
template <class T, class A> void row(const Colours<T, A> &p, int64_t n, int64_t y) {
    alignas(64) A sums[BLOCK], below[BLOCK], buffer[BLOCK];
    const T *const at = p.x + n * p.x_stride[0] + y * p.x_stride[2];
    const bool fast = p.skip && p.skip_stride[3] == 1 && FilteredRow<A>::fits(p.fir, 1);
    const FilteredRow<A> filtered(p.fir, 1);
    const int64_t columns = fast ? filtered.columns : BLOCK;
    for (int64_t o = 0; o < p.outputs; o++) {
        const A *const weight = p.weight + n * p.weight_stride[0] + o * p.weight_stride[1];
        const A *const plane = fast ? p.skip + n * p.skip_stride[0] + o * p.skip_stride[1] : nullptr;
        for (int64_t x = 0; x < p.width; x += columns) {
            const int64_t count = least(columns, p.width - x);
            if (fast) filtered(below, buffer, plane, p.skip_stride[2], static_cast<int32_t>(y), x, count);
            if (p.x_stride[1] == 1) {
                for (int64_t i = 0; i < count; i++) sums[i] = product(weight, at + (x + i) * p.x_stride[3], p.inputs);
            } else {
                __builtin_memset(sums, 0, static_cast<size_t>(count) * sizeof(A));
                for (int64_t c = 0; c < p.inputs; c += 4) {
                    const int taken = static_cast<int>(least<int64_t>(4, p.inputs - c));
                    const T *rows[4] = {};
                    for (int i = 0; i < taken; i++) rows[i] = at + (c + i) * p.x_stride[1] + x;
                    weighted_sum(sums, rows, weight + c, taken, count, false);
                }
            }
            for (int64_t i = 0; i < count; i++) p.finish(sums[i], fast ? below[i] : p.below(n, o, y, x + i), n, o, y, x + i);
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
