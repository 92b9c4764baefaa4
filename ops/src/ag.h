// What every op is written with.
//
// An op is one source file. It is compiled once for each CPU level (baseline, avx2, avx512) by g++ and once by nvcc, and
// defines its functions in the namespace ag::AG_TARGET, with the types of their namesakes in animegen_ops.h. The linker
// keeps one copy of an inline function or template whatever it was compiled for, so nothing here or in an op may stand
// outside that namespace, and the templates of the standard library are not used.
//
// float64 serves checks of gradients, not speed: on the CPU only the baseline has it (AG_HAS_DOUBLE), and library.cc
// sends a float64 result there.
#pragma once

#include <stddef.h>

#include "animegen_ops.h"

#if defined(__CUDACC__)
#define AG_HAS_DOUBLE
#define AG_TARGET cuda
#define AG_HD __host__ __device__
#define AG_LAMBDA [=] __device__
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#else
#if !defined(AG_TARGET)
#error "AG_TARGET names the CPU level"
#endif
#define AG_HD
#define AG_LAMBDA [=]
#include <omp.h>
// What the ops use of <math.h>, which in C++ is 20,000 lines and a fifth of the time that the library takes to build.
#define INFINITY __builtin_inff()
extern "C" {
float expf(float);
double exp(double);
float expm1f(float);
double expm1(double);
float log1pf(float);
double log1p(double);
float tanhf(float);
double tanh(double);
float sqrtf(float);
double sqrt(double);
float fmaf(float, float, float);
}
#endif
#define AG_INLINE static inline __attribute__((always_inline)) AG_HD

namespace ag {
#define AG_OP(name)                    \
    namespace AG_TARGET {              \
    decltype(::ag_##name) name;        \
    }
#include "ops.def"
#undef AG_OP

namespace AG_TARGET {

AG_INLINE int32_t fault(int32_t code, int64_t detail) { return code | static_cast<int32_t>(detail << 8); }

template <class T> AG_INLINE T least(T a, T b) { return b < a ? b : a; }
template <class T> AG_INLINE T most(T a, T b) { return a < b ? b : a; }
template <class T> AG_INLINE T clamped(T value, T low, T high) { return most(low, least(value, high)); }

// a * b + c. Nothing is contracted behind our back (-ffp-contract=off, -fmad=false): this is the way to ask for it.
AG_INLINE float mad(float a, float b, float c) {
#if defined(__CUDA_ARCH__) || defined(__FMA__) || defined(__ARM_FEATURE_FMA)
    return fmaf(a, b, c);
#else
    return a * b + c;
#endif
}

AG_INLINE float square_root(float a) { return sqrtf(a); }
AG_INLINE double square_root(double a) { return sqrt(a); }

// bfloat16 and float16 as they lie in memory; load() and store() go through float, rounding to nearest even.
#if defined(__CUDACC__)
using bfloat16 = __nv_bfloat16;
using float16 = __half;
AG_INLINE float load(const bfloat16 *p) { return __bfloat162float(*p); }
AG_INLINE float load(const float16 *p) { return __half2float(*p); }
AG_INLINE void store(bfloat16 *p, float value) { *p = __float2bfloat16_rn(value); }
AG_INLINE void store(float16 *p, float value) { *p = __float2half_rn(value); }
#else
struct bfloat16 {
    uint16_t bits;
};
AG_INLINE float load(const bfloat16 *p) {
    const uint32_t bits = static_cast<uint32_t>(p->bits) << 16;
    float value;
    __builtin_memcpy(&value, &bits, sizeof value);
    return value;
}
AG_INLINE void store(bfloat16 *p, float value) {
    uint32_t bits;
    __builtin_memcpy(&bits, &value, sizeof bits);
    const uint32_t rounded = (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
    p->bits = static_cast<uint16_t>(value != value ? bits >> 16 | 0x40 : rounded);
}
#endif
AG_INLINE float load(const float *p) { return *p; }
AG_INLINE double load(const double *p) { return *p; }
AG_INLINE void store(float *p, float value) { *p = value; }
AG_INLINE void store(double *p, double value) { *p = value; }

template <class T> AG_INLINE T *data(const ag_tensor &t) { return static_cast<T *>(t.data); }

static inline int64_t elements(const ag_tensor &t) {
    int64_t count = 1;
    for (int d = 0; d < t.ndim; d++) count *= t.size[d];
    return count;
}

// Whether elements lie side by side, the last dimension first.
static inline bool is_dense(const ag_tensor &t) {
    int64_t apart = 1;
    for (int d = t.ndim - 1; d >= 0 && elements(t) > 0; d--) {
        if (t.size[d] > 1 && t.stride[d] != apart) return false;
        apart *= t.size[d];
    }
    return true;
}

// Whether every element lies less than 2^31 elements from the first, so that 32-bit offsets do.
static inline bool fits_32_bits(const ag_tensor &t) {
    int64_t last = 0;
    for (int d = 0; d < t.ndim; d++) last += (t.size[d] - 1) * (t.stride[d] < 0 ? -t.stride[d] : t.stride[d]);
    return last < INT64_C(0x7fffffff);
}

#if defined(__CUDACC__)
// Makes a device current for as long as it lives.
class DeviceGuard {
  public:
    explicit DeviceGuard(int device) {
        if (cudaGetDevice(&before_) == cudaSuccess && before_ != device) changed_ = cudaSetDevice(device) == cudaSuccess;
    }
    ~DeviceGuard() {
        if (changed_) cudaSetDevice(before_);
    }
    DeviceGuard(const DeviceGuard &) = delete;
    DeviceGuard &operator=(const DeviceGuard &) = delete;

  private:
    int before_ = 0;
    bool changed_ = false;
};

// The status of the launch that was just made.
static inline int32_t launched() {
    const cudaError_t error = cudaGetLastError();
    return error == cudaSuccess ? AG_OK : fault(AG_CUDA_ERROR, error);
}

// Four blocks of 256 threads at once leave 64 registers to each: asked for nothing, ptxas is content with 40 for sm_100,
// and spills.
template <class F> __global__ void __launch_bounds__(256, 4) each_kernel(int64_t rows, int64_t columns, F body) {
    const int64_t column = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
    if (column >= columns) return;
    for (int64_t row = blockIdx.y; row < rows; row += gridDim.y) body(row, column);
}

// body(row, column) for every element of a grid: on a GPU a thread each; on the CPU rows in threads.
template <class F> int32_t each(const ag_place &place, int64_t rows, int64_t columns, F body) {
    if (rows <= 0 || columns <= 0) return AG_OK;
    const DeviceGuard guard(place.device);
    const int64_t blocks = (columns + 255) / 256;
    if (blocks > INT64_C(0x7fffffff)) return fault(AG_BAD_SHAPE, 0);
    const dim3 grid(static_cast<unsigned>(blocks), static_cast<unsigned>(least<int64_t>(rows, 65535)));
    each_kernel<<<grid, 256, 0, static_cast<cudaStream_t>(place.stream)>>>(rows, columns, body);
    return launched();
}
#else
static inline int threads_for(const ag_place &place, int64_t rows) {
    const int64_t wanted = place.threads > 0 ? place.threads : omp_get_max_threads();
    return static_cast<int>(clamped<int64_t>(wanted, 1, rows > 1 ? rows : 1));
}

// body(row) for every row, in the threads of the place.
template <class F> int32_t each_row(const ag_place &place, int64_t rows, F body) {
    const int threads = threads_for(place, rows);
    if (threads == 1) {  // no team of threads, so that many threads of the caller can be here at once
        for (int64_t row = 0; row < rows; row++) body(row);
        return AG_OK;
    }
#pragma omp parallel for num_threads(threads) schedule(static)
    for (int64_t row = 0; row < rows; row++) body(row);
    return AG_OK;
}

template <class F> int32_t each(const ag_place &place, int64_t rows, int64_t columns, F body) {
    return each_row(place, rows, [=](int64_t row) {
        for (int64_t column = 0; column < columns; column++) body(row, column);
    });
}
#endif

}  // namespace AG_TARGET
}  // namespace ag
