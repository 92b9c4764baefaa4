// The faster form of the filter, on the CPU: rows whose neighbours lie side by side.
//
// The rows that an output row needs are summed into a buffer that stays in the cache, then the columns of that buffer,
// each time in vectors. The sums are those of Fir::sum() in another order.
#pragma once

#include "fir.h"

namespace ag {
namespace AG_TARGET {

constexpr int64_t BLOCK = 8192;  // numbers of a row at hand: with their sums they fill a first-level cache
constexpr int32_t MOST_TAPS = 64;

// out += sum of N rows times their weights; `fresh`: out has held nothing.
template <int N, class T, class A> AG_INLINE void add_rows(A *__restrict out, const T *const *rows, const A *weights, int64_t n, bool fresh) {
    const T *row[N];
    A weight[N];
    for (int i = 0; i < N; i++) row[i] = rows[i], weight[i] = weights[i];
    for (int64_t j = 0; j < n; j++) {
        A sum = fresh ? A(0) : out[j];
#pragma GCC unroll 4
        for (int i = 0; i < N; i++) sum = mad(weight[i], A(load(row[i] + j)), sum);
        out[j] = sum;
    }
}

template <class T, class A> static void weighted_sum(A *out, const T *const *rows, const A *weights, int count, int64_t n, bool fresh) {
    if (count == 0 && fresh) __builtin_memset(out, 0, static_cast<size_t>(n) * sizeof(A));
    while (count > 0) {
        const int taken = least(count, 4);
        switch (taken) {
        case 1: add_rows<1>(out, rows, weights, n, fresh); break;
        case 2: add_rows<2>(out, rows, weights, n, fresh); break;
        case 3: add_rows<3>(out, rows, weights, n, fresh); break;
        default: add_rows<4>(out, rows, weights, n, fresh);
        }
        rows += taken, weights += taken, count -= taken, fresh = false;
    }
}

// Every `stride`-th number of a row of n, from the first, from the second and so on: the next `length` places of `phases`.
template <class A> AG_INLINE void split_by(A *__restrict phases, const A *row, int64_t n, int64_t stride, int64_t length) {
    for (int64_t phase = 0; phase < stride; phase++) {
        A *__restrict const to = phases + phase * length;
        for (int64_t i = 0; i < (n - phase + stride - 1) / stride; i++) to[i] = row[i * stride + phase];
    }
}

template <class A> static void split(A *phases, const A *row, int64_t n, int64_t stride, int64_t length) {
    if (stride == 2) {
        split_by(phases, row, n, 2, length);  // a loop of its own: constant strides become vectors
    } else {
        split_by(phases, row, n, stride, length);
    }
}

static inline int32_t common_factor(int32_t a, int32_t b) {
    while (b) {
        const int32_t rest = a % b;
        a = b, b = rest;
    }
    return a;
}

template <class A> struct FilteredRow {
    const Fir &fir;
    int64_t inner;    // numbers side by side in a pixel
    int64_t columns;  // of output, that go through the buffer at a time

    FilteredRow(const Fir &f, int64_t numbers) : fir(f), inner(numbers) {
        const int64_t pixels = BLOCK / inner;
        columns = least(pixels, (pixels - fir.across.taps - fir.across.down - 1) * fir.across.up / fir.across.down);
    }

    static bool fits(const Fir &fir, int64_t inner) {
        if (fir.across.up > fir.across.taps || fir.down.up > fir.down.taps) return false;
        if (fir.across.taps > MOST_TAPS || fir.down.taps > MOST_TAPS || fir.across.down > MOST_TAPS) return false;
        return (fir.across.taps + 1 + 2 * fir.across.down) * inner <= BLOCK;
    }

    // `count` outputs, at most `columns`, of row y from column x on. `buffer` and `result` hold BLOCK numbers each.
    template <class T>
    AG_CALLED void operator()(A *result, A *buffer, const T *plane, int64_t row_stride, int32_t y, int64_t x, int64_t count) const {
        int32_t tap, ky;
        const int64_t first = fir.across.first(static_cast<int32_t>(x), tap);
        const int64_t last = fir.across.first(static_cast<int32_t>(x + count - 1), tap);
        const int64_t width = last + most((fir.across.taps - tap + fir.across.up - 1) / fir.across.up, 1) - first;
        if (fir.taps == nullptr && fir.across.up == 1 && fir.across.down == 1) {
            gather(result, plane, row_stride, y, -1, first, width);
        } else if (fir.separable) {
            gather(buffer, plane, row_stride, y, -1, first, width);
            across(result, buffer, width, 0, x, count, first, true);
        } else {
            fir.down.first(y, ky);
            for (bool fresh = true; ky < fir.down.taps; ky += fir.down.up, fresh = false) {
                gather(buffer, plane, row_stride, y, ky, first, width);
                across(result, buffer, width, ky, x, count, first, fresh);
            }
        }
    }

  private:
    // Rows summed with the weights of the taps that meet them (or that of tap `only` as it is), columns first ..
    // first + width; 0 outside.
    template <class T> void gather(A *sums, const T *plane, int64_t row_stride, int32_t y, int32_t only, int64_t first, int64_t width) const {
        const T *rows[MOST_TAPS];
        A weights[MOST_TAPS];
        int count = 0;
        const int64_t begin = most<int64_t>(first, 0), end = least<int64_t>(first + width, fir.across.in);
        int32_t ky;
        int32_t row = fir.down.first(y, ky);
        for (; ky < fir.down.taps; ky += fir.down.up, row++) {
            if (row < 0 || row >= fir.down.in || (only >= 0 && ky != only)) continue;
            rows[count] = plane + row * row_stride + begin * inner;
            weights[count++] = fir.separable ? A(fir.tap(fir.down, ky)) : A(1);
        }
        const int64_t before = clamped<int64_t>(begin - first, 0, width), seen = most<int64_t>(end - begin, 0);
        for (int64_t j = 0; j < before * inner; j++) sums[j] = A(0);
        if (seen > 0) weighted_sum(sums + before * inner, rows, weights, count, seen * inner, true);
        for (int64_t j = (before + seen) * inner; j < width * inner; j++) sums[j] = A(0);
    }

    // Columns of the buffer, `width` from `first` on, summed into `count` outputs from column x on. Outputs that the same
    // taps make lie `every` apart, and their columns `stride`; these are brought side by side where pixels are single
    // numbers (the polyphase form).
    void across(A *result, const A *buffer, int64_t width, int32_t ky, int64_t x, int64_t count, int64_t first, bool fresh) const {
        const int32_t common = common_factor(fir.across.up, fir.across.down);
        const int64_t every = fir.across.up / common, stride = fir.across.down / common, length = (width + stride - 1) / stride;
        const bool apart = inner == 1 && stride > 1;
        alignas(64) A phases[BLOCK], sums[BLOCK];
        if (apart) split(phases, buffer, width, stride, length);
        for (int64_t run = 0; run < least(every, count); run++) {
            const A *columns_at[MOST_TAPS];
            A weights[MOST_TAPS];
            int taken = 0;
            int32_t kx;
            int64_t column = fir.across.first(static_cast<int32_t>(x + run), kx) - first;
            for (; kx < fir.across.taps; kx += fir.across.up, column++) {
                columns_at[taken] = apart ? phases + column % stride * length + column / stride : buffer + column * inner;
                weights[taken++] = A(fir.separable ? fir.tap(fir.across, kx) : fir.tap(ky, kx));
            }
            const int64_t outputs = (count - run + every - 1) / every;
            if (every == 1 && (apart || stride == 1)) {
                weighted_sum(result, columns_at, weights, taken, outputs * inner, fresh);
            } else if (inner == 1) {
                weighted_sum(sums, columns_at, weights, taken, outputs, true);
                for (int64_t i = 0; i < outputs; i++) {
                    A &to = result[run + i * every];
                    to = fresh ? sums[i] : to + sums[i];
                }
            } else {
                for (int64_t i = 0; i < outputs; i++) {
                    weighted_sum(result + (run + i * every) * inner, columns_at, weights, taken, inner, fresh);
                    for (int k = 0; k < taken; k++) columns_at[k] += stride * inner;
                }
            }
        }
    }
};

}  // namespace AG_TARGET
}  // namespace ag
