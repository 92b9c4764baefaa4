// Gradients of bias_act: of its result, and of its gradient.
#include "activation.h"

namespace ag {
namespace AG_TARGET {
namespace {

template <class T> struct Grid {
    T *data;
    int64_t stride[4];

    AG_METHOD T *at(int64_t n, int64_t c, int64_t y, int64_t x) const {
        return data + n * stride[0] + c * stride[1] + y * stride[2] + x * stride[3];
    }
};

template <class T> Grid<T> grid(const ag_tensor &t) {
    Grid<T> g{data<T>(t), {}};
    for (int d = 0; d < t.ndim; d++) g.stride[d] = t.size[d] == 1 ? 0 : t.stride[d];
    return g;
}

template <class T, class A> struct Gradient {
    Grid<T> out;
    Grid<const T> x, dy, ddx, noise;
    const T *bias;
    int64_t bias_stride;
    Activation<A> activation;

    AG_CALLED void one(int64_t n, int64_t c, int64_t row, int64_t column) const {
        A u = A(load(x.at(n, c, row, column)));
        if (noise.data) u += A(load(noise.at(n, 0, row, column)));
        if (bias) u += A(load(bias + c * bias_stride));
        const A given = A(load(dy.at(n, c, row, column)));
        const A result = ddx.data ? given * A(load(ddx.at(n, c, row, column))) * activation.curvature(u)
                                  : given * activation.slope(u);
        store(out.at(n, c, row, column), result);
    }
};

#if !defined(__CUDACC__)
// The faster form, on the CPU: runs of numbers that lie side by side in every tensor, the channels of a pixel or the
// pixels of a row.
template <class T, class A> struct Runs {
    static constexpr int64_t MOST = 4096;  // numbers in a run

    const Gradient<T, A> &g;
    int64_t channels, height, width;
    bool inside;  // the channels of a pixel

    Runs(const Gradient<T, A> &gradient, const int64_t *size)
        : g(gradient), channels(size[1]), height(size[2]), width(size[3]), inside(size[1] > 1 && dense(1)) {}

    bool dense(int d) const {
        return g.out.stride[d] == 1 && g.x.stride[d] == 1 && g.dy.stride[d] == 1 && (!g.ddx.data || g.ddx.stride[d] == 1);
    }
    bool fit() const { return (inside || dense(3)) && (inside ? channels : width) <= MOST; }
    int64_t rows(int64_t batch) const { return batch * height * (inside ? 1 : channels); }

    // Numbers of the sum x + added + shift.
    template <bool STRAIGHT> void run(T *__restrict out, const T *x, const T *dy, const T *ddx, const A *added, A shift, int64_t n) const {
        const Activation<A> activation = g.activation;
        const A left = activation.left(), level = activation.level();
        if (ddx) {
            for (int64_t j = 0; j < n; j++) {
                const A u = A(load(x + j)) + added[j] + shift;
                store(out + j, A(load(dy + j)) * A(load(ddx + j)) * (STRAIGHT ? A(0) : activation.curvature(u)));
            }
            return;
        }
        for (int64_t j = 0; j < n; j++) {
            const A u = A(load(x + j)) + added[j] + shift;
            store(out + j, A(load(dy + j)) * (STRAIGHT ? activation.straight_slope(u, left, level) : activation.bent_slope(u)));
        }
    }

    template <bool STRAIGHT> void row(int64_t index) const {
        alignas(64) A added[MOST];
        const int64_t y = index % height, plane = inside ? 0 : index / height % channels;
        const int64_t n = index / height / (inside ? 1 : channels);
        for (int64_t j = 0; j < (inside ? channels : width); j++) {
            added[j] = inside ? (g.bias ? A(load(g.bias + j * g.bias_stride)) : A(0))
                              : (g.noise.data ? A(load(g.noise.at(n, 0, y, j))) : A(0));
        }
        for (int64_t x = 0; x < (inside ? width : 1); x++) {
            const T *const shift = inside ? (g.noise.data ? g.noise.at(n, 0, y, x) : nullptr)
                                          : (g.bias ? g.bias + plane * g.bias_stride : nullptr);
            run<STRAIGHT>(g.out.at(n, plane, y, x), g.x.at(n, plane, y, x), g.dy.at(n, plane, y, x),
                          g.ddx.data ? g.ddx.at(n, plane, y, x) : nullptr, added, shift ? A(load(shift)) : A(0),
                          inside ? channels : width);
        }
    }
};
#endif

template <class T, class A> int32_t compute(const ag_tensor *t, const ag_activation &activation, const ag_place &place) {
    Gradient<T, A> g{grid<T>(t[0]), grid<const T>(t[1]), grid<const T>(t[2]), grid<const T>(t[3]), grid<const T>(t[4]),
                     data<const T>(t[5]), t[5].stride[0], activation_of<A>(activation)};
    const int64_t batch = t[1].size[0], channels = t[1].size[1], height = t[1].size[2], width = t[1].size[3];
#if !defined(__CUDACC__)
    const Runs<T, A> runs(g, t[1].size);
    if (runs.fit()) {
        if (g.activation.straight()) return each_row(place, runs.rows(batch), [&](int64_t row) { runs.template row<true>(row); });
        return each_row(place, runs.rows(batch), [&](int64_t row) { runs.template row<false>(row); });
    }
#endif
    if (t[0].stride[1] < t[0].stride[3]) {
        return each(place, batch * height, width * channels, AG_LAMBDA(int64_t row, int64_t column) {
            g.one(row / height, column % channels, row % height, column / channels);
        });
    }
    return each(place, batch * channels, height * width, AG_LAMBDA(int64_t row, int64_t column) {
        g.one(row / channels, row % channels, column / width, column % width);
    });
}

// AG_OK, or what is wrong with the tensor at `which`.
int32_t check(const ag_tensor *t, int which, const int64_t *size, int32_t ndim) {
    if (t[which].dtype != t[1].dtype) return fault(AG_BAD_DTYPE, which);
    if (t[which].ndim != ndim) return fault(AG_BAD_SHAPE, which);
    for (int d = 0; d < ndim; d++) {
        if (t[which].size[d] != size[d]) return fault(AG_BAD_SHAPE, which);
    }
    return AG_OK;
}

}  // namespace

int32_t bias_act_gradient(const ag_tensor *tensors, int64_t count, const ag_bias_act_gradient_options *options,
                          const ag_place *place) {
    if (count != 6) return AG_BAD_COUNT;
    const int64_t *const size = tensors[1].size;
    const int64_t noise[4] = {tensors[4].size[0] == 1 ? 1 : size[0], 1, size[2], size[3]};
    for (int i = 0; i < 6; i++) {
        if (i > 2 && tensors[i].dtype == AG_NONE) continue;
        const int64_t *const wanted = i == 4 ? noise : i == 5 ? size + 1 : size;
        if (const int32_t wrong = check(tensors, i, wanted, i == 5 ? 1 : 4)) return wrong;
    }
    if (!is_activation(options->activation.act)) return fault(AG_BAD_OPTION, 3);
    switch (tensors[1].dtype) {
    case AG_FLOAT32: return compute<float, float>(tensors, options->activation, *place);
#if defined(AG_HAS_DOUBLE)
    case AG_FLOAT64: return compute<double, double>(tensors, options->activation, *place);
#endif
    case AG_BFLOAT16: return compute<bfloat16, float>(tensors, options->activation, *place);
#if defined(__CUDACC__)
    case AG_FLOAT16: return compute<float16, float>(tensors, options->activation, *place);
#endif
    default: return fault(AG_BAD_DTYPE, 1);
    }
}

}  // namespace AG_TARGET
}  // namespace ag
