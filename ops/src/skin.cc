// The vertices of a rigged surface, moved by bones (linear blend skinning) and seen by a camera, and the hull around it.
#include "ag.h"

namespace ag {
namespace AG_TARGET {
namespace {

constexpr int NUMBERS = 8, COLOURS = 4, BONES = 3, MATRIX = 12;
constexpr float SHORTEST = 1e-12f;  // of a normal

struct Skin {
    float *out;
    const float *positions, *normals;
    const int64_t *bones;
    const float *weights, *colours, *widths, *matrices, *focal;
    int64_t vertices, of_bones;
    ag_skin_options options;

    // What lies at `place`, as picture `n` shows it.
    AG_HD void show(float *at, const float *place, float cosine, const float *colour, int64_t n) const {
        const float depth = most(place[2], options.nearest);
        for (int i = 0; i < 2; i++) at[i] = (0.5f + focal[n] * place[i] / depth) * options.samples - 0.5f;
        at[2] = place[2] > options.nearest ? place[2] : -INFINITY;
        at[3] = cosine;
        for (int i = 0; i < COLOURS; i++) at[4 + i] = colour[i];
    }

    AG_HD void vertex(int64_t n, int64_t v) const {
        const float *const all = matrices + n * of_bones * MATRIX;
        float m[MATRIX];
        for (int k = 0; k < BONES; k++) {
            const float *const bone = all + bones[v * BONES + k] * MATRIX;
            const float weight = weights[v * BONES + k];
            for (int i = 0; i < MATRIX; i++) m[i] = k == 0 ? bone[i] * weight : m[i] + bone[i] * weight;
        }
        const float *const p = positions + (n * vertices + v) * 3, *const d = normals + v * 3;
        float place[3], normal[3];
        for (int i = 0; i < 3; i++) {
            const float *const row = m + 4 * i;
            place[i] = row[0] * p[0] + row[1] * p[1] + row[2] * p[2] + row[3];
            normal[i] = row[0] * d[0] + row[1] * d[1] + row[2] * d[2];
        }
        const float length = square_root(normal[0] * normal[0] + normal[1] * normal[1] + normal[2] * normal[2]);
        for (int i = 0; i < 3; i++) normal[i] /= most(length, SHORTEST);
        const float *const light = options.light;
        const float cosine = normal[0] * light[0] + normal[1] * light[1] + normal[2] * light[2];
        float *const at = out + (2 * n * vertices + v) * NUMBERS;
        show(at, place, cosine, colours + v * COLOURS, n);
        const float metre = square_root(all[0] * all[0] + all[4] * all[4] + all[8] * all[8]);
        const float off = most(widths[v] * metre, place[2] * (1.0f / (focal[n] * options.samples) * options.least));
        for (int i = 0; i < 3; i++) place[i] += normal[i] * off;
        show(at + vertices * NUMBERS, place, 0.0f, colours + (vertices + v) * COLOURS, n);
    }
};

}  // namespace

int32_t skin(const ag_tensor *t, int64_t count, const ag_skin_options *options, const ag_place *place) {
    if (count != 9) return AG_BAD_COUNT;
    const int64_t pictures = t[0].size[0], vertices = t[0].size[2], bones = t[7].size[1];
    const int64_t shapes[9][4] = {{pictures, 2, vertices, NUMBERS}, {pictures, vertices, 3, 0}, {vertices, 3, 0, 0},
                                  {vertices, BONES, 0, 0}, {vertices, BONES, 0, 0}, {2, vertices, COLOURS, 0},
                                  {vertices, 0, 0, 0}, {pictures, bones, 3, 4}, {pictures, 0, 0, 0}};
    const int32_t dims[] = {4, 3, 2, 2, 2, 3, 1, 4, 1};
    for (int i = 0; i < 9; i++) {
        if (t[i].dtype != (i == 3 ? AG_INT64 : AG_FLOAT32)) return fault(AG_BAD_DTYPE, i);
        if (t[i].ndim != dims[i]) return fault(AG_BAD_SHAPE, i);
        for (int d = 0; d < dims[i]; d++) {
            if (t[i].size[d] != shapes[i][d]) return fault(AG_BAD_SHAPE, i);
        }
        if (!is_dense(t[i])) return fault(AG_BAD_STRIDE, i);
    }
    Skin p;
    p.out = data<float>(t[0]), p.positions = data<const float>(t[1]), p.normals = data<const float>(t[2]);
    p.bones = data<const int64_t>(t[3]), p.weights = data<const float>(t[4]), p.colours = data<const float>(t[5]);
    p.widths = data<const float>(t[6]), p.matrices = data<const float>(t[7]), p.focal = data<const float>(t[8]);
    p.vertices = vertices, p.of_bones = bones, p.options = *options;
#if defined(__CUDACC__)
    return each(*place, pictures, vertices, AG_LAMBDA(int64_t n, int64_t v) { p.vertex(n, v); });
#else
    for (int64_t i = 0; i < vertices * BONES; i++) {
        if (p.bones[i] < 0 || p.bones[i] >= bones) return fault(AG_BAD_SHAPE, 3);
    }
    // As many bands of vertices as there are threads to a picture.
    const int64_t bands = (threads_for(*place, pictures * vertices) + pictures - 1) / most<int64_t>(pictures, 1);
    return each_row(*place, pictures * bands, [=](int64_t i) {
        const int64_t band = i % bands;
        for (int64_t v = band * vertices / bands; v < (band + 1) * vertices / bands; v++) p.vertex(i / bands, v);
    });
#endif
}

}  // namespace AG_TARGET
}  // namespace ag
