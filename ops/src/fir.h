// An FIR filter with resampling.
#pragma once

#include "activation.h"

namespace ag {
namespace AG_TARGET {

// One axis of the resampling. Output o lies at `o down - pad` of the upsampled picture; check_axis() holds such places
// within 32 bits.
struct Axis {
    int32_t in, out, taps, up, down, pad;
    int64_t filter_step;

    // The first pixel at or after output o, inside the picture or not, and the tap that meets it.
    AG_METHOD int32_t first(int32_t o, int32_t &tap) const {
        const int32_t base = o * down - pad;
        const int32_t pixel = base > 0 ? (base + up - 1) / up : -(-base / up);
        tap = pixel * up - base;
        return pixel;
    }
};

struct Fir {
    const float *taps;  // null: a single 1
    Axis across, down;
    bool separable, flip;

    AG_METHOD float tap(const Axis &axis, int32_t k) const {
        return taps ? taps[(flip ? k : axis.taps - 1 - k) * axis.filter_step] : 1.0f;
    }
    AG_METHOD float tap(int32_t ky, int32_t kx) const {
        const int64_t row = flip ? ky : down.taps - 1 - ky, column = flip ? kx : across.taps - 1 - kx;
        return taps[row * down.filter_step + column * across.filter_step];
    }

    // Output (y, x) of a plane with these strides of rows and columns, each tap that meets a pixel summed. Index is the
    // type of offsets into the plane.
    template <class Index, class T, class A> AG_METHOD A sum(const T *plane, const int64_t *stride, int32_t y, int32_t x) const {
        int32_t first_ky, first_kx;
        int32_t row = down.first(y, first_ky);
        const int32_t first_column = across.first(x, first_kx);
        A result = A(0);
        for (int32_t ky = first_ky; ky < down.taps; ky += down.up, row++) {
            if (row < 0 || row >= down.in) continue;
            int32_t column = first_column;
            for (int32_t kx = first_kx; kx < across.taps; kx += across.up, column++) {
                if (column < 0 || column >= across.in) continue;
                const A weight = separable ? A(tap(down, ky)) * A(tap(across, kx)) : A(tap(ky, kx));
                const Index offset = static_cast<Index>(row) * static_cast<Index>(stride[0]) +
                                     static_cast<Index>(column) * static_cast<Index>(stride[1]);
                result = mad(weight, A(load(plane + offset)), result);
            }
        }
        return result;
    }
};

static inline Axis axis_of(int64_t in, int64_t out, const ag_tensor &filter, int32_t dim) {
    Axis a{static_cast<int32_t>(in), static_cast<int32_t>(out), 1, 1, 1, 0, 1};
    if (filter.dtype != AG_NONE) a.filter_step = filter.stride[dim], a.taps = static_cast<int32_t>(filter.size[dim]);
    return a;
}

// Whether every place on an axis keeps within 32 bits.
static inline bool check_axis(int64_t in, int64_t out, int64_t up, int64_t down, int64_t pad) {
    constexpr int64_t MOST = INT64_C(1) << 29;
    const bool factors = up >= 1 && up <= 65536 && down >= 1 && down <= 65536 && pad > -MOST && pad < MOST;
    return factors && in < MOST && out < MOST && in * up < MOST && out * down < MOST;
}

// A filter between pictures [B, C, H, W], as yet without resampling.
static inline Fir fir_of(const ag_tensor &filter, const ag_tensor &in, const ag_tensor &out, bool flip) {
    const float *const taps = filter.dtype == AG_NONE ? nullptr : data<const float>(filter);
    return {taps, axis_of(in.size[3], out.size[3], filter, filter.ndim - 1),
            axis_of(in.size[2], out.size[2], filter, 0), filter.ndim != 2, flip};
}

static inline bool has_shape(const ag_tensor &t, int32_t ndim, const int64_t *size) {
    if (t.ndim != ndim) return false;
    for (int d = 0; d < ndim; d++) {
        if (t.size[d] != size[d]) return false;
    }
    return true;
}

// AG_OK, or what is wrong with the tensor at `which`, unless it is absent.
static inline int32_t check(const ag_tensor *tensors, int which, int32_t dtype, int32_t ndim, const int64_t *size) {
    const ag_tensor &t = tensors[which];
    if (t.dtype == AG_NONE) return AG_OK;
    if (t.dtype != dtype) return fault(AG_BAD_DTYPE, which);
    return has_shape(t, ndim, size) ? AG_OK : fault(AG_BAD_SHAPE, which);
}

// The same for a filter.
static inline int32_t check_filter(const ag_tensor *tensors, int which) {
    const ag_tensor &filter = tensors[which];
    if (filter.dtype == AG_NONE) return AG_OK;
    if (filter.dtype != AG_FLOAT32) return fault(AG_BAD_DTYPE, which);
    if (filter.ndim < 1 || filter.ndim > 2) return fault(AG_BAD_SHAPE, which);
    for (int d = 0; d < filter.ndim; d++) {
        if (filter.size[d] < 1 || filter.size[d] > 65536) return fault(AG_BAD_SHAPE, which);
    }
    return AG_OK;
}

}  // namespace AG_TARGET
}  // namespace ag
