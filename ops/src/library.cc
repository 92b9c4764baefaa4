// What a library tells of itself, and its functions: on the CPU each calls the op as compiled for the instructions that
// this machine has.
#include "animegen_ops.h"

#if defined(__CUDACC__)
#include <cuda_runtime_api.h>
#else
#include <stdlib.h>
#include <string.h>
#endif

namespace ag {
#define AG_OP(name)                                  \
    namespace baseline { decltype(::ag_##name) name; } \
    namespace avx2 { decltype(::ag_##name) name; }     \
    namespace avx512 { decltype(::ag_##name) name; }   \
    namespace cuda { decltype(::ag_##name) name; }
#include "ops.def"
#undef AG_OP

#if !defined(__CUDACC__)
enum Level { BASELINE, AVX2, AVX512 };

// The highest level that this CPU has, or the lower one that ANIMEGEN_OPS_LEVEL names: so tests reach them all.
static Level level_of_this_cpu() {
#if defined(AG_X86_LEVELS)
    const char *most = getenv("ANIMEGEN_OPS_LEVEL");
    if (most && strcmp(most, "baseline") == 0) return BASELINE;
    const bool capped = most && strcmp(most, "avx2") == 0;
    __builtin_cpu_init();
    const bool v3 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi2") &&
                    __builtin_cpu_supports("f16c");
    const bool v4 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                    __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
                    __builtin_cpu_supports("avx512vl");
    return v3 && v4 && !capped ? AVX512 : v3 ? AVX2 : BASELINE;
#else
    return BASELINE;
#endif
}

static const Level level = level_of_this_cpu();

template <class F>
static F *chosen([[maybe_unused]] bool fast, F *baseline, [[maybe_unused]] F *avx2, [[maybe_unused]] F *avx512) {
#if defined(AG_X86_LEVELS)
    if (fast) return level == AVX512 ? avx512 : level == AVX2 ? avx2 : baseline;
#endif
    return baseline;
}
#endif
}  // namespace ag

extern "C" {

int32_t ag_abi_version(void) { return AG_ABI_VERSION; }

const char *ag_source_digest(void) { return AG_SOURCE_DIGEST; }

const char *ag_target(void) {
#if defined(__CUDACC__)
    return AG_CUDA_TARGETS;
#else
    return ag::level == ag::AVX512 ? "avx512" : ag::level == ag::AVX2 ? "avx2" : "baseline";
#endif
}

const char *ag_status_text(int32_t status) {
    switch (status & 0xff) {
    case AG_OK: return "done";
    case AG_BAD_COUNT: return "the number of tensors is wrong";
    case AG_BAD_DTYPE: return "the dtype does not fit";
    case AG_BAD_SHAPE: return "the shape does not fit";
    case AG_BAD_STRIDE: return "the strides do not fit";
    case AG_BAD_OPTION: return "an option is out of range";
    case AG_BAD_DEVICE: return "the device does not fit the library";
#if defined(__CUDACC__)
    case AG_CUDA_ERROR: return cudaGetErrorString(static_cast<cudaError_t>(status >> 8));
#endif
    default: return "unknown status";
    }
}

#if defined(__CUDACC__)
#define AG_PLACE_FITS(place) ((place)->device >= 0)
#define AG_CHOSEN(name) ag::cuda::name
#elif defined(AG_X86_LEVELS)
#define AG_PLACE_FITS(place) ((place)->device == -1)
#define AG_CHOSEN(name) \
    ag::chosen(count > 0 && tensors[0].dtype != AG_FLOAT64, ag::baseline::name, ag::avx2::name, ag::avx512::name)
#else
#define AG_PLACE_FITS(place) ((place)->device == -1)
#define AG_CHOSEN(name) ag::baseline::name
#endif

#define AG_OP(name)                                                                                    \
    int32_t ag_##name(const ag_tensor *tensors, int64_t count, const ag_##name##_options *options,     \
                      const ag_place *place) {                                                         \
        return AG_PLACE_FITS(place) ? AG_CHOSEN(name)(tensors, count, options, place) : AG_BAD_DEVICE; \
    }
#include "ops.def"
#undef AG_OP
}
