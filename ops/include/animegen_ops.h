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

#define AG_ABI_VERSION 1
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

#if defined(__cplusplus)
}
#endif
#endif
