// Limbs of poses as maps: around the segment between two points a Gaussian, the place along it, the distance to its side
// and its depth.
#include "activation.h"

namespace ag {
namespace AG_TARGET {
namespace {

constexpr double FAINT = 25.0;  // a Gaussian below exp(-25) is drawn as 0

template <class A> struct Limb {
    A x, y, unit_x, unit_y, length, weight, z, rise;
    bool seen;
};

template <class T, class A> struct Limbs {
    T *out;
    const A *xy, *score, *z;
    const int64_t *edges;
    int64_t batch, count, points, side, out_stride[4], xy_stride[3], score_stride[2], z_stride[2], edges_stride[2];
    A sigma, reach, depth_gain, shortest;

    AG_METHOD Limb<A> limb(int64_t n, int64_t e) const {
        const int64_t first = edges[e * edges_stride[0]], second = edges[e * edges_stride[0] + edges_stride[1]];
        if (first < 0 || first >= points || second < 0 || second >= points) return {};
        const A *const start = xy + n * xy_stride[0] + first * xy_stride[1];
        const A *const end = xy + n * xy_stride[0] + second * xy_stride[1];
        const A dx = end[0] - start[0], dy = end[xy_stride[2]] - start[xy_stride[2]];
        const A distance = square_root(dx * dx + dy * dy), length = most(distance, shortest);
        const bool directionless = distance < shortest;
        const A *const scores = score + n * score_stride[0];
        const A weight = least(scores[first * score_stride[1]], scores[second * score_stride[1]]);
        const A near = z[n * z_stride[0] + first * z_stride[1]], far = z[n * z_stride[0] + second * z_stride[1]];
        return {start[0], start[xy_stride[2]],
                directionless ? A(1) : dx / length, directionless ? A(0) : dy / length, length, weight, near, far - near,
                weight != A(0)};
    }

    AG_METHOD A centre(int64_t i) const { return (A(i) + A(0.5)) / A(side); }

    AG_METHOD void draw(const Limb<A> &l, int64_t n, int64_t e, int64_t row, int64_t column) const {
        const A dx = centre(column) - l.x, dy = centre(row) - l.y;
        const A along = dx * l.unit_x + dy * l.unit_y, across = dy * l.unit_x - dx * l.unit_y;
        const A beyond = along - clamped(along, A(0), l.length);
        const A exponent = (across * across + beyond * beyond) / (A(2) * sigma * sigma);
        const bool faint = !l.seen || exponent > A(FAINT);
        const A near = faint ? A(0) : exponential(-exponent) * l.weight;
        const A place = clamped(along / l.length, A(0), A(1));
        const A aside = clamped(across / (reach * sigma), A(-1), A(1));
        T *const at = out + n * out_stride[0] + 4 * e * out_stride[1] + row * out_stride[2] + column * out_stride[3];
        store(at, near);
        store(at + out_stride[1], faint ? A(0) : near * (A(2) * place - A(1)));
        store(at + 2 * out_stride[1], faint ? A(0) : near * aside);
        store(at + 3 * out_stride[1], faint ? A(0) : near * (l.z + l.rise * place) * depth_gain);
    }

#if !defined(__CUDACC__)
    // A row of every limb: nothing, but for the columns that a limb comes near.
    void row(int64_t n, int64_t y) const {
        for (int64_t c = 0; c < 4 * count; c++) {
            T *const at = out + n * out_stride[0] + c * out_stride[1] + y * out_stride[2];
            for (int64_t x = 0; x < side; x++) store(at + x * out_stride[3], A(0));
        }
        const A reached = sigma * square_root(A(2.0 * FAINT));
        for (int64_t e = 0; e < count; e++) {
            const Limb<A> l = limb(n, e);
            const A end_x = l.x + l.unit_x * l.length, end_y = l.y + l.unit_y * l.length;
            if (!l.seen || centre(y) < least(l.y, end_y) - reached || centre(y) > most(l.y, end_y) + reached) continue;
            const A low = (least(l.x, end_x) - reached) * A(side), high = (most(l.x, end_x) + reached) * A(side);
            const int64_t first = static_cast<int64_t>(clamped(low, A(0), A(side)));
            const int64_t last = static_cast<int64_t>(clamped(high + A(1), A(0), A(side)));
            for (int64_t x = first; x < last; x++) draw(l, n, e, y, x);
        }
    }
#endif
};

template <class T, class A> int32_t compute(const ag_tensor *t, const ag_limb_maps_options &options, const ag_place &place) {
    Limbs<T, A> p{};
    p.out = data<T>(t[0]), p.xy = data<const A>(t[1]), p.score = data<const A>(t[2]), p.z = data<const A>(t[3]);
    p.edges = data<const int64_t>(t[4]);
    p.batch = t[1].size[0], p.points = t[1].size[1], p.count = t[4].size[0], p.side = t[0].size[2];
    for (int d = 0; d < 4; d++) p.out_stride[d] = t[0].stride[d];
    for (int d = 0; d < 3; d++) p.xy_stride[d] = t[1].stride[d];
    for (int d = 0; d < 2; d++) p.score_stride[d] = t[2].stride[d], p.z_stride[d] = t[3].stride[d], p.edges_stride[d] = t[4].stride[d];
    p.sigma = A(options.sigma), p.reach = A(options.reach), p.depth_gain = A(options.depth_gain), p.shortest = A(options.shortest);
#if defined(__CUDACC__)
    const int64_t side = p.side, limbs = p.count;
    return each(place, p.batch * limbs, side * side, AG_LAMBDA(int64_t i, int64_t cell) {
        const int64_t n = i / limbs, e = i % limbs;
        p.draw(p.limb(n, e), n, e, cell / side, cell % side);
    });
#else
    for (int64_t e = 0; e < p.count; e++) {
        for (int64_t end = 0; end < 2; end++) {
            const int64_t point = p.edges[e * p.edges_stride[0] + end * p.edges_stride[1]];
            if (point < 0 || point >= p.points) return fault(AG_BAD_SHAPE, 4);
        }
    }
    return each_row(place, p.batch * p.side, [&](int64_t i) { p.row(i / p.side, i % p.side); });
#endif
}

}  // namespace

int32_t limb_maps(const ag_tensor *t, int64_t count, const ag_limb_maps_options *options, const ag_place *place) {
    if (count != 5) return AG_BAD_COUNT;
    const int32_t wide = t[0].dtype == AG_FLOAT64 ? AG_FLOAT64 : AG_FLOAT32;
    for (int i = 1; i < 5; i++) {
        if (t[i].dtype != (i < 4 ? wide : AG_INT64)) return fault(AG_BAD_DTYPE, i);
        if (t[i].ndim != (i == 1 ? 3 : 2) || t[i].size[t[i].ndim - 1] != (i == 1 || i == 4 ? 2 : t[1].size[1])) {
            return fault(AG_BAD_SHAPE, i);
        }
        if (i < 4 && t[i].size[0] != t[0].size[0]) return fault(AG_BAD_SHAPE, i);
    }
    if (t[0].ndim != 4 || t[0].size[1] != 4 * t[4].size[0] || t[0].size[2] != t[0].size[3]) return fault(AG_BAD_SHAPE, 0);
    if (!(options->sigma > 0)) return fault(AG_BAD_OPTION, 0);
    switch (t[0].dtype) {
    case AG_FLOAT32: return compute<float, float>(t, *options, *place);
#if defined(AG_HAS_DOUBLE)
    case AG_FLOAT64: return compute<double, double>(t, *options, *place);
#endif
    case AG_BFLOAT16: return compute<bfloat16, float>(t, *options, *place);
#if defined(__CUDACC__)
    case AG_FLOAT16: return compute<float16, float>(t, *options, *place);
#endif
    default: return fault(AG_BAD_DTYPE, 0);
    }
}

}  // namespace AG_TARGET
}  // namespace ag
