// Resampling with an FIR filter and what follows it in a layer, in one pass over memory.
//
// Every target has the plain form: each output sums the taps that meet a pixel. On the CPU there is a faster one, rows.h.
#include "activation.h"
#include "fir.h"
#if !defined(__CUDACC__)
#include "rows.h"
#endif

namespace ag {
namespace AG_TARGET {
namespace {

template <class T, class A> struct Pass {
    T *out;
    const T *x, *noise, *bias;
    const A *demodulation, *modulation;
    int64_t batch, channels, out_stride[4], x_stride[4], noise_stride[4];
    int64_t demodulation_stride[2], modulation_stride[2], bias_stride;
    Fir fir;
    Activation<A> activation;
    A gain;
    bool small;  // 32 bits do for offsets into x and out

    AG_METHOD A scale(int64_t n, int64_t c) const {
        const A own = demodulation ? demodulation[n * demodulation_stride[0] + c * demodulation_stride[1]] : A(1);
        return own * gain;
    }
    AG_METHOD A shift(int64_t c) const { return bias ? A(load(bias + c * bias_stride)) : A(0); }
    AG_METHOD A after(int64_t n, int64_t c) const {
        return modulation ? modulation[n * modulation_stride[0] + c * modulation_stride[1]] : A(1);
    }
    AG_METHOD A noise_at(int64_t n, int64_t y, int64_t x) const {
        return noise ? A(load(noise + n * noise_stride[0] + y * noise_stride[2] + x * noise_stride[3])) : A(0);
    }
};

// The plain form. Index is the type of offsets into x and out.
template <class Index, class T, class A> AG_CALLED void one(const Pass<T, A> &p, int64_t n, int64_t c, int32_t y, int32_t x) {
    const A sum = p.fir.template sum<Index, T, A>(p.x + n * p.x_stride[0] + c * p.x_stride[1], p.x_stride + 2, y, x);
    const A u = mad(sum, p.scale(n, c), p.noise_at(n, y, x) + p.shift(c));
    const Index offset = static_cast<Index>(c) * static_cast<Index>(p.out_stride[1]) +
                         static_cast<Index>(y) * static_cast<Index>(p.out_stride[2]) +
                         static_cast<Index>(x) * static_cast<Index>(p.out_stride[3]);
    store(p.out + n * p.out_stride[0] + offset, p.activation.value(u) * p.after(n, c));
}

// A grid whose columns lie side by side in memory: channels fastest where they do in `out`.
template <class Index, class T, class A> int32_t plain(const Pass<T, A> &p, const ag_place &place) {
    const Index height = static_cast<Index>(p.fir.down.out), width = static_cast<Index>(p.fir.across.out);
    const Index channels = static_cast<Index>(p.channels);
    if (p.out_stride[1] < p.out_stride[3]) {
        return each(place, p.batch * p.fir.down.out, p.fir.across.out * p.channels, AG_LAMBDA(int64_t row, int64_t column) {
            const Index r = static_cast<Index>(row), i = static_cast<Index>(column);
            one<Index>(p, r / height, i % channels, static_cast<int32_t>(r % height), static_cast<int32_t>(i / channels));
        });
    }
    const int64_t plane = static_cast<int64_t>(p.fir.down.out) * p.fir.across.out;
    return each(place, p.batch * p.channels, plane, AG_LAMBDA(int64_t row, int64_t column) {
        const Index r = static_cast<Index>(row), i = static_cast<Index>(column);
        one<Index>(p, r / channels, r % channels, static_cast<int32_t>(i / width), static_cast<int32_t>(i % width));
    });
}

#if !defined(__CUDACC__)
constexpr int64_t MOST_CHANNELS = 1024;

// Rows of x as the faster form sees them: channels inside the pixels where they are fastest; else each is a plane of its
// own.
template <class T, class A> struct Rows {
    const Pass<T, A> &p;
    FilteredRow<A> filtered;
    int64_t inner, planes;

    Rows(const Pass<T, A> &pass, bool inside)
        : p(pass), filtered(pass.fir, inside ? pass.channels : 1), inner(filtered.inner), planes(inside ? 1 : pass.channels) {}

    // What follows the filter, for one pixel whose channels lie side by side.
    template <bool STRAIGHT> void finish_pixel(T *__restrict out, const A *t, const A *scale, const A *shift, const A *after, A noise) const {
        const Activation<A> activation = p.activation;
        const A lowest = activation.lowest(), below = activation.below();
        for (int64_t c = 0; c < inner; c++) {
            const A u = mad(t[c], scale[c], shift[c] + noise);
            store(out + c, (STRAIGHT ? activation.straight_value(u, lowest, below) : activation.bent_value(u)) * after[c]);
        }
    }

    // The same for a run of pixels of one channel; `added`: bias and noise.
    template <bool STRAIGHT> void finish_run(T *__restrict out, const A *t, const A *added, A scale, A after, int64_t n) const {
        const Activation<A> activation = p.activation;
        const A lowest = activation.lowest(), below = activation.below();
        for (int64_t j = 0; j < n; j++) {
            const A u = mad(t[j], scale, added[j]);
            store(out + j, (STRAIGHT ? activation.straight_value(u, lowest, below) : activation.bent_value(u)) * after);
        }
    }

    template <bool STRAIGHT> void row(int64_t index) const {
        alignas(64) A sums[BLOCK], result[BLOCK], scale[MOST_CHANNELS], shift[MOST_CHANNELS], after[MOST_CHANNELS];
        const int32_t y = static_cast<int32_t>(index % p.fir.down.out);
        const int64_t plane = index / p.fir.down.out % planes, n = index / p.fir.down.out / planes;
        for (int64_t c = 0; c < inner; c++) {
            scale[c] = p.scale(n, plane + c), shift[c] = p.shift(plane + c), after[c] = p.after(n, plane + c);
        }
        const T *const from = p.x + n * p.x_stride[0] + plane * p.x_stride[1];
        for (int64_t x = 0; x < p.fir.across.out; x += filtered.columns) {
            const int64_t count = least<int64_t>(filtered.columns, p.fir.across.out - x);
            filtered(result, sums, from, p.x_stride[2], y, x, count);
            T *const out = p.out + n * p.out_stride[0] + plane * p.out_stride[1] + y * p.out_stride[2] + x * inner;
            if (inner == 1) {
                for (int64_t i = 0; i < count; i++) sums[i] = shift[0] + p.noise_at(n, y, x + i);
                finish_run<STRAIGHT>(out, result, sums, scale[0], after[0], count);
                continue;
            }
            for (int64_t i = 0; i < count; i++) {
                finish_pixel<STRAIGHT>(out + i * inner, result + i * inner, scale, shift, after, p.noise_at(n, y, x + i));
            }
        }
    }
};
#endif

template <class T, class A> int32_t run(const Pass<T, A> &p, const ag_place &place) {
#if !defined(__CUDACC__)
    if constexpr (sizeof(A) == sizeof(float)) {
        const bool inside = p.x_stride[1] == 1 && p.out_stride[1] == 1 && p.x_stride[3] == p.channels &&
                            p.out_stride[3] == p.channels;
        const bool planar = p.x_stride[3] == 1 && p.out_stride[3] == 1;
        const int64_t inner = inside ? p.channels : 1;
        if ((inside || planar) && inner <= MOST_CHANNELS && FilteredRow<A>::fits(p.fir, inner)) {
            const Rows<T, A> rows(p, inside);
            const int64_t count = p.batch * rows.planes * p.fir.down.out;
            if (p.activation.straight()) return each_row(place, count, [&](int64_t row) { rows.template row<true>(row); });
            return each_row(place, count, [&](int64_t row) { rows.template row<false>(row); });
        }
    }
#endif
#if defined(__CUDACC__)
    if (p.small) return plain<uint32_t>(p, place);
#endif
    return plain<uint64_t>(p, place);
}

void copy_strides(int64_t *to, const ag_tensor &t, int count) {
    // A single row of noise serves the whole batch.
    for (int d = 0; d < count; d++) to[d] = t.size[d] == 1 ? 0 : t.stride[d];
}

template <class T, class A>
int32_t compute(const ag_tensor *tensors, const ag_fir_bias_act_options &o, const ag_place &place) {
    const ag_tensor &out = tensors[0], &x = tensors[1], &filter = tensors[2];
    Pass<T, A> p{};
    p.out = data<T>(out), p.x = data<const T>(x);
    p.batch = x.size[0], p.channels = x.size[1];
    for (int d = 0; d < 4; d++) p.out_stride[d] = out.stride[d], p.x_stride[d] = x.stride[d];
    p.fir = fir_of(filter, x, out, o.flip != 0);
    p.fir.across.up = o.up_x, p.fir.across.down = o.down_x, p.fir.across.pad = o.pad_x;
    p.fir.down.up = o.up_y, p.fir.down.down = o.down_y, p.fir.down.pad = o.pad_y;
    if (tensors[3].dtype) p.demodulation = data<const A>(tensors[3]), copy_strides(p.demodulation_stride, tensors[3], 2);
    if (tensors[4].dtype) p.noise = data<const T>(tensors[4]), copy_strides(p.noise_stride, tensors[4], 4);
    if (tensors[5].dtype) p.bias = data<const T>(tensors[5]), copy_strides(&p.bias_stride, tensors[5], 1);
    if (tensors[6].dtype) p.modulation = data<const A>(tensors[6]), copy_strides(p.modulation_stride, tensors[6], 2);
    p.activation = activation_of<A>(o.activation);
    p.gain = A(o.fir_gain);
    p.small = fits_32_bits(x) && fits_32_bits(out);
    return run(p, place);
}

int32_t check_options(const ag_fir_bias_act_options &o, const ag_tensor &out, const ag_tensor &x) {
    if (!is_activation(o.activation.act)) return fault(AG_BAD_OPTION, 3);
    if (!check_axis(x.size[3], out.size[3], o.up_x, o.down_x, o.pad_x)) return fault(AG_BAD_OPTION, 5);
    if (!check_axis(x.size[2], out.size[2], o.up_y, o.down_y, o.pad_y)) return fault(AG_BAD_OPTION, 6);
    return AG_OK;
}

int32_t check_tensors(const ag_tensor *t) {
    const ag_tensor &out = t[0], &x = t[1];
    if (x.dtype == AG_NONE || out.dtype != x.dtype) return fault(AG_BAD_DTYPE, x.dtype == AG_NONE ? 1 : 0);
    if (x.ndim != 4) return fault(AG_BAD_SHAPE, 1);
    if (out.ndim != 4 || out.size[0] != x.size[0] || out.size[1] != x.size[1]) return fault(AG_BAD_SHAPE, 0);
    if (const int32_t wrong = check_filter(t, 2)) return wrong;
    const int32_t factors = x.dtype == AG_FLOAT64 ? AG_FLOAT64 : AG_FLOAT32;
    const int64_t noise[4] = {t[4].size[0] == 1 ? 1 : x.size[0], 1, out.size[2], out.size[3]};
    if (const int32_t wrong = check(t, 3, factors, 2, x.size)) return wrong;
    if (const int32_t wrong = check(t, 4, x.dtype, 4, noise)) return wrong;
    if (const int32_t wrong = check(t, 5, x.dtype, 1, x.size + 1)) return wrong;
    return check(t, 6, factors, 2, x.size);
}

}  // namespace

int32_t fir_bias_act(const ag_tensor *tensors, int64_t count, const ag_fir_bias_act_options *options, const ag_place *place) {
    if (count != 7) return AG_BAD_COUNT;
    if (const int32_t wrong = check_tensors(tensors)) return wrong;
    if (const int32_t wrong = check_options(*options, tensors[0], tensors[1])) return wrong;
    switch (tensors[1].dtype) {
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
