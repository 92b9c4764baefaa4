// Sprites over a picture: bilinear samples of each, laid over what is there.
//
// Positions are integers in 2^-32 of a pixel, weights are in 1/128, and everything is rounded at the same two places,
// so that every target and the reference in Python give the same bytes.
#include "ag.h"

#if defined(__SSE2__) && !defined(__CUDACC__)
#include <emmintrin.h>
#endif

namespace ag {
namespace AG_TARGET {
namespace {

constexpr int64_t MOST_SIDE = 65536;                     // of a picture or sprite, in pixels
constexpr int64_t MOST_STEP = INT64_C(1) << (32 + 13);   // sprite pixels a picture pixel, in 2^-32
constexpr int64_t MOST_SHIFT = INT64_C(1) << (32 + 29);  // within these, no position overflows 64 bits
constexpr int64_t ONE = INT64_C(1) << 32;
constexpr int64_t HALF_WEIGHT = INT64_C(1) << 24;
constexpr int SPRITES_AT_ONCE = 16;
[[maybe_unused]] constexpr int PIXELS_AT_ONCE = 64;

struct Sprite {
    const uint8_t *pixels;
    int64_t stride, height, width;
    int64_t inverse[6];
};

struct Sprites {
    Sprite sprite[SPRITES_AT_ONCE];
    int count;
};

// One channel of a picture after a sprite's: what shows through, rounded, and the sprite's own light.
AG_INLINE uint8_t over(uint8_t below, uint8_t keep, uint8_t colour) {
    const uint32_t product = static_cast<uint32_t>(below) * keep + 128;
    const uint32_t sum = ((product + (product >> 8)) >> 8) + colour;
    return static_cast<uint8_t>(sum < 255 ? sum : 255);
}

// The four channels at (u, v), in bytes of the result; outside the sprite is nothing.
AG_INLINE uint32_t sample(const Sprite &s, int64_t u, int64_t v) {
    const int64_t column = u >> 32, row = v >> 32;
    const int32_t fx = static_cast<int32_t>(u >> 25 & 127), fy = static_cast<int32_t>(v >> 25 & 127);
    const uint8_t *p = s.pixels + row * s.stride + column * 4;
    const bool left = column >= 0 && column < s.width, right = column >= -1 && column < s.width - 1;
    const bool top = row >= 0 && row < s.height, bottom = row >= -1 && row < s.height - 1;
    uint32_t result = 0;
    for (int c = 0; c < 4; c++) {
        const int32_t a = (top && left ? p[c] * (128 - fy) : 0) + (bottom && left ? p[s.stride + c] * fy : 0);
        const int32_t b = (top && right ? p[4 + c] * (128 - fy) : 0) + (bottom && right ? p[s.stride + 4 + c] * fy : 0);
        result |= static_cast<uint32_t>((a * (128 - fx) + b * fx + 8192) >> 14) << 8 * c;
    }
    return result;
}

#if defined(__CUDACC__)
template <int C> int32_t lay(const ag_tensor &picture, const Sprites &sprites, const ag_place &place) {
    uint8_t *const pixels = data<uint8_t>(picture);
    const int64_t stride = picture.stride[0];
    return each(place, picture.size[0], picture.size[1], [=] __device__(int64_t y, int64_t x) {
        uint8_t *const target = pixels + y * stride + x * C;
        for (int i = 0; i < sprites.count; i++) {
            const Sprite &s = sprites.sprite[i];
            const int64_t u = s.inverse[0] * x + s.inverse[1] * y + s.inverse[2] + HALF_WEIGHT;
            const int64_t v = s.inverse[3] * x + s.inverse[4] * y + s.inverse[5] + HALF_WEIGHT;
            if (u < -ONE || u >= s.width * ONE || v < -ONE || v >= s.height * ONE) continue;
            const uint32_t colour = sample(s, u, v);
            const uint8_t keep = static_cast<uint8_t>(255 - (colour >> 24));
            for (int c = 0; c < C; c++) target[c] = over(target[c], keep, static_cast<uint8_t>(colour >> 8 * c));
        }
    });
}
#else
struct Span {
    int64_t begin, end;
};

AG_INLINE int64_t floor_div(int64_t a, int64_t b) { return a / b - (a % b != 0 && (a < 0) != (b < 0)); }

// The x of `within` where low <= step x + base < high.
AG_INLINE Span narrowed(Span within, int64_t step, int64_t base, int64_t low, int64_t high) {
    if (step == 0) return low <= base && base < high ? within : Span{0, 0};
    const int64_t first = step > 0 ? -floor_div(base - low, step) : floor_div(base - high, -step) + 1;
    const int64_t last = step > 0 ? -floor_div(base - high, step) : floor_div(base - low, -step) + 1;
    return {most(within.begin, first), least(within.end, last)};
}

// sample() where all four neighbours are there.
AG_INLINE uint32_t sample_inside(const Sprite &s, int64_t u, int64_t v) {
#if defined(__SSE2__)
    const int32_t fx = static_cast<int32_t>(u >> 25 & 127), fy = static_cast<int32_t>(v >> 25 & 127);
    const uint8_t *p = s.pixels + (v >> 32) * s.stride + (u >> 32) * 4;
    const __m128i zero = _mm_setzero_si128();
    const __m128i above = _mm_unpacklo_epi8(_mm_loadl_epi64(reinterpret_cast<const __m128i *>(p)), zero);
    const __m128i below = _mm_unpacklo_epi8(_mm_loadl_epi64(reinterpret_cast<const __m128i *>(p + s.stride)), zero);
    const __m128i column = _mm_add_epi16(_mm_slli_epi16(above, 7),
                                         _mm_mullo_epi16(_mm_sub_epi16(below, above), _mm_set1_epi16(static_cast<short>(fy))));
    const __m128i pairs = _mm_unpacklo_epi16(column, _mm_srli_si128(column, 8));
    const __m128i sum = _mm_madd_epi16(pairs, _mm_set1_epi32(fx << 16 | (128 - fx)));
    const __m128i rounded = _mm_srli_epi32(_mm_add_epi32(sum, _mm_set1_epi32(8192)), 14);
    const __m128i words = _mm_packs_epi32(rounded, rounded);
    return static_cast<uint32_t>(_mm_cvtsi128_si32(_mm_packus_epi16(words, words)));
#else
    return sample(s, u, v);
#endif
}

template <int C> AG_INLINE void lay_span(uint8_t *row, int64_t y, int64_t width, const Sprite &s) {
    const int64_t du = s.inverse[0], dv = s.inverse[3];
    const int64_t u0 = s.inverse[1] * y + s.inverse[2] + HALF_WEIGHT, v0 = s.inverse[4] * y + s.inverse[5] + HALF_WEIGHT;
    const Span seen = narrowed(narrowed({0, width}, du, u0, -ONE, s.width * ONE), dv, v0, -ONE, s.height * ONE);
    const Span inside = narrowed(narrowed(seen, du, u0, 0, (s.width - 1) * ONE), dv, v0, 0, (s.height - 1) * ONE);
    for (int64_t begin = seen.begin; begin < seen.end; begin += PIXELS_AT_ONCE) {
        const int64_t end = least(begin + PIXELS_AT_ONCE, seen.end);
        // A pixel is written as four bytes; where the picture has three, the next one overwrites the last.
        uint8_t colour[PIXELS_AT_ONCE * C + 4], keep[PIXELS_AT_ONCE * C + 4];
        for (int64_t x = begin; x < end; x++) {
            const int64_t u = du * x + u0, v = dv * x + v0;
            const uint32_t found = x >= inside.begin && x < inside.end ? sample_inside(s, u, v) : sample(s, u, v);
            const uint32_t through = (255 - (found >> 24)) * 0x01010101u;
            __builtin_memcpy(colour + (x - begin) * C, &found, 4);
            __builtin_memcpy(keep + (x - begin) * C, &through, 4);
        }
        uint8_t *const target = row + begin * C;
        const int count = static_cast<int>(end - begin) * C;
        for (int i = 0; i < count; i++) target[i] = over(target[i], keep[i], colour[i]);
    }
}

template <int C> int32_t lay(const ag_tensor &picture, const Sprites &sprites, const ag_place &place) {
    const int64_t width = picture.size[1], stride = picture.stride[0];
    uint8_t *const pixels = data<uint8_t>(picture);
    return each_row(place, picture.size[0], [&](int64_t y) {
        for (int i = 0; i < sprites.count; i++) lay_span<C>(pixels + y * stride, y, width, sprites.sprite[i]);
    });
}
#endif

// AG_OK for a picture whose pixels lie side by side in a row.
int32_t check_picture(const ag_tensor &t, int which, int64_t least_channels) {
    if (t.dtype != AG_UINT8) return fault(AG_BAD_DTYPE, which);
    if (t.ndim != 3 || t.size[2] < least_channels || t.size[2] > 4) return fault(AG_BAD_SHAPE, which);
    if (t.size[0] < 0 || t.size[0] > MOST_SIDE || t.size[1] < 0 || t.size[1] > MOST_SIDE) return fault(AG_BAD_SHAPE, which);
    if (t.stride[2] != 1 || t.stride[1] != t.size[2]) return fault(AG_BAD_STRIDE, which);
    return AG_OK;
}

bool fits(const int64_t *inverse) {
    for (int i = 0; i < 6; i++) {
        const int64_t limit = i % 3 == 2 ? MOST_SHIFT : MOST_STEP;
        if (inverse[i] <= -limit || inverse[i] >= limit) return false;
    }
    return true;
}

}  // namespace

int32_t composite(const ag_tensor *tensors, int64_t count, const ag_composite_options *options, const ag_place *place) {
    if (count < 1) return AG_BAD_COUNT;
    const ag_tensor &picture = tensors[0];
    if (const int32_t wrong = check_picture(picture, 0, 3)) return wrong;
    for (int64_t i = 1; i < count; i++) {
        if (const int32_t wrong = check_picture(tensors[i], static_cast<int>(i), 4)) return wrong;
        if (!fits(options->inverse + 6 * (i - 1))) return fault(AG_BAD_OPTION, 0);
    }
    for (int64_t first = 1; first < count; first += SPRITES_AT_ONCE) {
        Sprites sprites;
        sprites.count = static_cast<int>(least<int64_t>(SPRITES_AT_ONCE, count - first));
        for (int i = 0; i < sprites.count; i++) {
            const ag_tensor &t = tensors[first + i];
            Sprite &s = sprites.sprite[i];
            s = {data<const uint8_t>(t), t.stride[0], t.size[0], t.size[1], {}};
            for (int k = 0; k < 6; k++) s.inverse[k] = options->inverse[6 * (first - 1 + i) + k];
        }
        const int32_t status = picture.size[2] == 3 ? lay<3>(picture, sprites, *place) : lay<4>(picture, sprites, *place);
        if (status) return status;
    }
    return AG_OK;
}

}  // namespace AG_TARGET
}  // namespace ag
