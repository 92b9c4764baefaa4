// MToon's two tones (VRMC_materials_mtoon 1.0), as colours or as shade layers.
//
// Colours are premultiplied sRGB. sRGB is taken as a power of 2.2 both ways, so that a product of colours is the same in
// linear light and here, and only sums need linear light. Textures are premultiplied too, so that filtering draws no
// colour from what is clear. In software a picture's time goes by instructions and texels here, so each material has a
// program without what it does not use.

const float GAMMA = 2.2;
const float OUTLINE_SHADE = 0.4;  // an outline, as a share of its part's colour

#if PART
uniform sampler2D part_texture;      // the part's shade, alpha
uniform sampler2D fixed_texture;     // what no palette colours
#else
uniform sampler2D lit_texture;
uniform sampler2D shade_texture;
uniform sampler2D emissive_texture;
#endif

in vec3 surface_normal;
in vec2 surface_uv;

layout(location = 0) out vec4 out_fixed;
#if LAYERS
layout(location = 1) out vec4 out_first_parts;
layout(location = 2) out vec4 out_second_parts;
#endif

vec2 place(vec4 transform) {
    return surface_uv * transform.xy + transform.zw;
}

float invert(float alpha) {
    return 1.0 / max(alpha, 1.0 / 255.0);
}

// How much of a fragment shows; what does not is discarded.
float coverage(float alpha) {
#if ALPHA_MASK
    if (alpha < cutoff) discard;
    return 1.0;
#elif ALPHA_BLEND
    if (alpha < 1.0 / 255.0) discard;
    return alpha;
#else
    return 1.0;
#endif
}

float lit_share() {
    float shading = dot(unit(surface_normal), to_light);
    shading = (gl_FrontFacing ? shading : -shading) + shift;
    return clamp(shading / max(2.0 - 2.0 * toony, 1e-3) + 0.5, 0.0, 1.0);
}

#if PART
void main() {
    vec2 texel = texture(part_texture, place(lit_uv)).rg;
    float alpha = coverage(texel.g * lit.a);
#if OUTLINE
    float light = OUTLINE_SHADE * alpha;
#else
    float light = mix(dark, 1.0, lit_share()) * alpha;
#endif
    light *= invert(texel.g);
#if FIXED
    out_fixed = vec4(min(texture(fixed_texture, place(lit_uv)).rgb * light, alpha), alpha);
#else
    out_fixed = vec4(0.0, 0.0, 0.0, alpha);
#endif
    float part = min(texel.r * light, alpha);
    out_first_parts = vec4(part * first_parts, alpha);
    out_second_parts = vec4(part * second_parts, alpha);
}
#else
void main() {
    vec4 texel = texture(lit_texture, place(lit_uv));
    float alpha = coverage(texel.a * lit.a);
    texel.rgb *= invert(texel.a);
#if SHADE_TEXTURE
    vec4 dim = texture(shade_texture, place(shade_uv));
    dim.rgb *= invert(dim.a);
#else
    vec4 dim = texel;
#endif
    vec3 colour = mix(dim.rgb * shade, texel.rgb * lit.rgb, lit_share());
#if EMISSIVE
    vec3 glow = texture(emissive_texture, place(emissive_uv)).rgb * emissive;
    colour = pow(pow(colour, vec3(GAMMA)) + pow(glow, vec3(GAMMA)), vec3(1.0 / GAMMA));
#endif
#if OUTLINE
    colour = outline * mix(vec3(1.0), colour, outline_mix);
#endif
    out_fixed = vec4(clamp(colour, 0.0, 1.0) * alpha, alpha);
#if LAYERS
    out_first_parts = vec4(0.0, 0.0, 0.0, alpha);
    out_second_parts = vec4(0.0, 0.0, 0.0, alpha);
#endif
}
#endif
