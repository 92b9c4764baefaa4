/* The C ABI of animegen's native ops.
 *
 * There are two libraries with the same functions: one computes on the CPU, the other on CUDA devices. A function
 * reads an array of tensors, a struct of options and a place; it returns a status and never throws, exits or
 * allocates. It keeps nothing: the caller owns all memory. Outputs must not overlap inputs.
 *
 * Change AG_ABI_VERSION whenever a struct, an enum or the meaning of an argument changes.
 */
#ifndef ANIMEGEN_OPS_H
#define ANIMEGEN_OPS_H

#include <stdint.h>

#if defined(__cplusplus)
extern "C" {
#endif

#define AG_ABI_VERSION 3
#define AG_MAX_DIMS 6

enum ag_dtype { AG_NONE = 0, AG_UINT8 = 1, AG_FLOAT32 = 2, AG_FLOAT16 = 3, AG_BFLOAT16 = 4, AG_FLOAT64 = 5, AG_INT64 = 6 };

/* Sizes and strides count elements. A tensor that an op may do without is given with dtype AG_NONE. */
typedef struct ag_tensor {
    void *data;
    int32_t dtype;
    int32_t ndim;
    int64_t size[AG_MAX_DIMS];
    int64_t stride[AG_MAX_DIMS];
} ag_tensor;

/* Where to compute. CPU: device -1, threads 1 or more (0: as many as OpenMP would take), stream NULL.
 * CUDA: the device's ordinal and its stream; the call returns when the work is queued. */
typedef struct ag_place {
    int32_t device;
    int32_t threads;
    void *stream;
} ag_place;

/* A status is AG_OK or a code in the low byte and a detail above it: the position of the tensor that is at fault,
 * or the number of the CUDA error. */
enum ag_status {
    AG_OK = 0,
    AG_BAD_COUNT = 1,  /* the number of tensors */
    AG_BAD_DTYPE = 2,  /* detail: which tensor */
    AG_BAD_SHAPE = 3,  /* detail: which tensor */
    AG_BAD_STRIDE = 4, /* detail: which tensor */
    AG_BAD_OPTION = 5, /* detail: which field of the options, from 0 */
    AG_BAD_DEVICE = 6,
    AG_CUDA_ERROR = 7  /* detail: cudaError_t */
};

#if defined(__GNUC__)
#define AG_EXPORT __attribute__((visibility("default")))
#else
#define AG_EXPORT
#endif

AG_EXPORT int32_t ag_abi_version(void);
/* What a status says, in English; for CUDA errors the runtime's own words. The text is static. */
AG_EXPORT const char *ag_status_text(int32_t status);
/* The SHA-256 of the sources that the library was built from. */
AG_EXPORT const char *ag_source_digest(void);
/* What the library computes with: the instruction set chosen on this CPU ("avx512"), or the CUDA targets ("90 120"). */
AG_EXPORT const char *ag_target(void);

/* composite: affine-warped premultiplied sprites laid over a picture, several in order, in one pass.
 *
 * tensors: picture uint8 [H, W, C], C 3 (RGB) or 4 (premultiplied RGBA), rows of any stride, pixels dense, changed in
 * place; then the sprites, uint8 [h, w, 4] likewise dense in a row. `inverse` holds, for each sprite, six numbers that
 * take a pixel (x, y) of the picture to the sprite, in 2^-32 of a sprite pixel:
 * u = inverse[0] x + inverse[1] y + inverse[2], v likewise from the next three. Steps (0, 1, 3, 4) stay below
 * 2^45 and shifts below 2^61 in size. It points to host memory. No side is longer than 65536.
 */
typedef struct ag_composite_options {
    const int64_t *inverse;
} ag_composite_options;
AG_EXPORT int32_t ag_composite(const ag_tensor *, int64_t, const ag_composite_options *, const ag_place *);

/* rgb_to_yuv: an RGB picture as planes of 4:2:0 video, chroma averaged over 2 x 2 pixels (those that are there).
 *
 * tensors: y uint8 [H, W], u and v uint8 [(H + 1) / 2, (W + 1) / 2], all written; rgb uint8 [H, W, 3]. Rows have any
 * stride; pixels of y and rgb are dense, those of u and v lie 1 apart, or 2 (NV12: both in one plane).
 * With >> rounding down, and R, G, B the channels, in chroma the sums of four pixels times 64:
 *   y = ((256 R luma[0] >> 16) + (256 G luma[1] >> 16) + (256 B luma[2] >> 16) + luma[3]) >> 8
 *   u = (u[3] + (B u[2] >> 16) - (R u[0] >> 16) - (G u[1] >> 16)) >> 8
 *   v = (v[3] + (R v[0] >> 16) - (G v[1] >> 16) - (B v[2] >> 16)) >> 8
 * all in 16 bits without sign.
 */
typedef struct ag_rgb_to_yuv_options {
    uint16_t luma[4], u[4], v[4];
} ag_rgb_to_yuv_options;
AG_EXPORT int32_t ag_rgb_to_yuv(const ag_tensor *, int64_t, const ag_rgb_to_yuv_options *, const ag_place *);

/* yuv_to_rgb: the way back; chroma is interpolated between the centres of its 2 x 2 pixels.
 *
 * tensors: rgb, written; y, u, v, as above. With U and V the interpolated chroma less 128, times 256:
 *   L = 256 y luma >> 16
 *   r = (L + (V v_to_r >> 16) + bias[0]) >> 5
 *   g = (L + (U u_to_g >> 16) + (V v_to_g >> 16) + bias[1]) >> 5
 *   b = (L + (U u_to_b >> 16) + bias[2]) >> 5
 * clamped to 0 .. 255; luma below 2^14, every bias below 2^12 in size.
 */
typedef struct ag_yuv_to_rgb_options {
    int16_t luma, v_to_r, u_to_g, v_to_g, u_to_b, bias[3];
} ag_yuv_to_rgb_options;
AG_EXPORT int32_t ag_yuv_to_rgb(const ag_tensor *, int64_t, const ag_yuv_to_rgb_options *, const ag_place *);

/* yuv_to_tensor: a rectangle of a 4:2:0 picture, resized bilinearly and normalised, as a network takes it.
 *
 * tensors: out float32 [3, h, w] of any strides, written; y, u, v as above. Output column i samples the picture at
 * x = step[0] i + start[0], row j at y = step[1] j + start[1], in 2^-32 pixels, held inside the picture; weights
 * are in 1/128. Steps stay below 2^46 and starts below 2^61 in size. Then, in float32 and from left to right,
 *   out = clamp(matrix[c][0] y + matrix[c][1] u + matrix[c][2] v + matrix[c][3], 0, 255) scale[c] + shift[c]
 */
typedef struct ag_yuv_to_tensor_options {
    int64_t step[2], start[2];
    float matrix[3][4], scale[3], shift[3];
} ag_yuv_to_tensor_options;
AG_EXPORT int32_t ag_yuv_to_tensor(const ag_tensor *, int64_t, const ag_yuv_to_tensor_options *, const ag_place *);

/* An activation, y = clamp(gain * act(u)). alpha is the slope of lrelu below 0; a clamp below 0 is none. */
enum ag_act {
    AG_LINEAR = 0,
    AG_RELU = 1,
    AG_LRELU = 2,
    AG_TANH = 3,
    AG_SIGMOID = 4,
    AG_ELU = 5,
    AG_SELU = 6,
    AG_SOFTPLUS = 7,
    AG_SWISH = 8
};
typedef struct ag_activation {
    double alpha, gain, clamp;
    int32_t act;
} ag_activation;

/* fir_bias_act: resampling with an FIR filter and what follows it in a layer, in one pass:
 *
 *   t = fir_gain * sum over ky, kx of g[ky, kx] x[(Y down_y - pad_y + ky) / up_y, (X down_x - pad_x + kx) / up_x]
 *   out = clamp(gain * act(t demodulation + noise + bias)) modulation
 *
 * where only whole positions inside x count, and g is the filter, reversed unless `flip`.
 * tensors: out [B, C, H', W']; x [B, C, H, W] of the same dtype; filter float32 [n] (along both axes) or [ny, nx];
 * demodulation [B, C]; noise [1 or B, 1, H', W']; bias [C]; modulation [B, C]. Those after x may be absent. Noise and
 * bias have the dtype of x; demodulation and modulation are float32, float64 with x float64. Any strides.
 */
typedef struct ag_fir_bias_act_options {
    ag_activation activation;
    double fir_gain;
    int32_t up_x, up_y, down_x, down_y, pad_x, pad_y, flip;
} ag_fir_bias_act_options;
AG_EXPORT int32_t ag_fir_bias_act(const ag_tensor *, int64_t, const ag_fir_bias_act_options *, const ag_place *);

/* bias_act_gradient: with u = x + noise + bias and y(u) the activation,
 *   out = dy y'(u), or where ddx is given out = dy ddx y''(u).
 *
 * tensors: out, x, dy, all [B, C, H, W] of one dtype; ddx likewise, or absent; noise and bias as in fir_bias_act.
 */
typedef struct ag_bias_act_gradient_options {
    ag_activation activation;
} ag_bias_act_gradient_options;
AG_EXPORT int32_t ag_bias_act_gradient(const ag_tensor *, int64_t, const ag_bias_act_gradient_options *,
                                       const ag_place *);

/* to_rgb_skip: colours of features, added to the upsampled picture of half the side.
 *
 *   out[o] = clamp(sum over c of weight[o, c] x[c] + bias[o]) + upsampled(skip)[o]
 *
 * tensors: out [B, O, H, W]; x [B, C, H, W]; weight [B, O, C]; bias [O]; skip [B, O, H / 2, W / 2]; filter as in
 * fir_bias_act, of the upsampling by 2 with gain 4 and (n + 1) / 2 pixels of padding in front. The last three may be
 * absent. All but x and the filter are float32, float64 with x float64. A clamp below 0 is none.
 */
typedef struct ag_to_rgb_skip_options {
    double clamp;
} ag_to_rgb_skip_options;
AG_EXPORT int32_t ag_to_rgb_skip(const ag_tensor *, int64_t, const ag_to_rgb_skip_options *, const ag_place *);

/* limb_maps: of each limb its Gaussian g, and g times the place along it, the distance to its side, and its depth.
 *
 * tensors: out [B, 4 E, S, S]; xy [B, K, 2], score [B, K] and z [B, K] float32, float64 with out float64; edges int64
 * [E, 2]. Lengths are in sides of the picture. `reach`: the distance in sigmas that counts as 1 to a limb's side;
 * limbs shorter than `shortest` are drawn as lying along x.
 */
typedef struct ag_limb_maps_options {
    double sigma, reach, depth_gain, shortest;
} ag_limb_maps_options;
AG_EXPORT int32_t ag_limb_maps(const ag_tensor *, int64_t, const ag_limb_maps_options *, const ag_place *);

/* skin: the vertices of a rigged surface as a camera sees them, for facets, and those of the hull around it.
 *
 * tensors: out float32 [N, 2, V, 8], written; positions float32 [N, V, 3]; normals float32 [V, 3]; bones int64 [V, 3]
 * (rows of matrices; on a GPU nobody looks whether they are) and weights float32 [V, 3]; colours float32 [2, V, 4];
 * widths float32 [V]; matrices float32 [N, B, 3, 4]; focal float32 [N]. All are dense. A vertex is moved by the sum of its
 * bones' matrices times weights, and its normal turned by it and made as long as 1 (no longer where it is below 1e-12).
 * Of a place (x, y, z), z away from the camera, `out` has (0.5 + focal x / z) samples - 0.5, y likewise and z, with
 * `nearest` for a lesser z and then a depth of minus infinity; the cosine of the normal and `light`; and the colours. The
 * hull lies farther along the normal by the vertex's width times the length of the first column of the first matrix, but by
 * at least `least` samples as seen from z: z least / (focal samples). Its cosine is 0.
 */
typedef struct ag_skin_options {
    float light[3], samples, nearest, least;
} ag_skin_options;
AG_EXPORT int32_t ag_skin(const ag_tensor *, int64_t, const ag_skin_options *, const ag_place *);

/* facets: triangles in two tones as shade layers, the nearest one at each sample, averaged over the samples of a pixel.
 *
 * tensors: out uint8 [N, H, W, 10], written; keys int64 [N, H scale, W scale], written; vertices float32 [N, V, 8]; corners
 * int64 [F, 3], rows of vertices (on a GPU nobody looks whether they are); kinds float32 [F, 5]. All are dense. Vertices are
 * x and y in samples (which lie at whole numbers), depth, light, shade, red, green and blue. Kinds are part, dark, gain and
 * offset of the light, and sides: with it above 0 a facet is seen where its corners turn anticlockwise on the picture, below
 * 0 where they turn clockwise, at 0 from both sides. out and keys are a window of the picture, whose first pixel is (left,
 * top) of it.
 *
 * A facet with corners a, b and c and twice the area A = (bx - ax) (cy - by) - (by - ay) (cx - bx) is seen where |A| is above
 * 1e-6 and all depths are above 0. With (x, y) the mean of its corners, dx and dy the distances of a sample from there, and
 * for the edges ab, bc and ca l = (by - ay) 3 / A, m = -(bx - ax) 3 / A and so on, it covers the samples where
 * l dx + m dy <= 1 + (|l| + |m|) / 1024 for all three, within 0.001 of its corners' box. Numbers of vertices are linear over
 * it; light is times gain (-gain for one that turns clockwise), plus offset. A key is the bits of the least depth above 0 at a
 * sample, times 2^32, plus the number of its facet (the lower one of equals), and 2^63 - 1 where there is none. A sample
 * shows, rounded, alpha 255, in the layer of the part (0 to 5; none for others) the shade and in the last three red, green
 * and blue, times dark + (1 - dark) light, light held in 0 .. 1 and all in 0 .. 255; NaN counts as 0. A pixel is the rounded
 * mean of its scale * scale samples; those without a facet count as 0. scale is at most 64, and a picture has at most 2^24
 * samples a side.
 */
typedef struct ag_facets_options {
    int32_t scale, left, top;
} ag_facets_options;
AG_EXPORT int32_t ag_facets(const ag_tensor *, int64_t, const ag_facets_options *, const ag_place *);

#if defined(__cplusplus)
}
#endif
#endif
