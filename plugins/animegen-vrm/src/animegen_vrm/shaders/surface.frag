// MToon's two tones (VRMC_materials_mtoon 1.0), as colours or as shade layers.
//
// Colours are premultiplied sRGB. sRGB is taken as a power of 2.2 both ways, so a texture that is lit by white comes
// out as it lies in the file. Textures are premultiplied too, so that filtering draws no colour from what is clear.

const float GAMMA = 2.2;
const float OUTLINE_SHADE = 0.35;  // an outline, as a share of its part's colour

uniform sampler2D lit_texture;       // PART: what no palette colours, and alpha
uniform sampler2D shade_texture;     // PART: the part's shade in red
uniform sampler2D emissive_texture;

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

vec3 straight(vec4 texel) {
    return texel.rgb / max(texel.a, 1.0 / 255.0);
}

vec3 linear(vec3 colour) {
    return pow(colour, vec3(GAMMA));
}

// How much of a fragment shows; what does not is discarded. A cut edge is a pixel wide.
float coverage(float alpha) {
#if ALPHA_MASK
    float inside = clamp((alpha - cutoff) / max(fwidth(alpha), 1e-3) + 0.5, 0.0, 1.0);
    int samples = int(inside * float(SAMPLES) + 0.5);
    if (samples == 0) discard;
    gl_SampleMask[0] = (1 << samples) - 1;
    return 1.0;
#elif ALPHA_BLEND
    if (alpha < 1.0 / 255.0) discard;
    return alpha;
#else
    return 1.0;
#endif
}

float lit_share() {
    vec3 facing = normalize(gl_FrontFacing ? surface_normal : -surface_normal);
    float shading = dot(facing, to_light) + shift;
    return clamp(shading / max(2.0 - 2.0 * toony, 1e-3) + 0.5, 0.0, 1.0);
}

#if PART
void main() {
    vec4 texel = texture(lit_texture, place(lit_uv));
    float part = texture(shade_texture, place(lit_uv)).r / max(texel.a, 1.0 / 255.0);
    float alpha = coverage(texel.a * lit.a);
#if OUTLINE
    float light = OUTLINE_SHADE;
#else
    float light = mix(dark, 1.0, lit_share());
#endif
    part = min(part, 1.0) * light * alpha;
    out_fixed = vec4(min(straight(texel), 1.0) * light * alpha, alpha);
    out_first_parts = vec4(part * first_parts, alpha);
    out_second_parts = vec4(part * second_parts, alpha);
}
#else
void main() {
    vec4 texel = texture(lit_texture, place(lit_uv));
    float alpha = coverage(texel.a * lit.a);
    vec3 bright = linear(straight(texel)) * lit.rgb;
    vec3 dim = linear(straight(texture(shade_texture, place(shade_uv)))) * shade;
    vec3 glow = linear(straight(texture(emissive_texture, place(emissive_uv)))) * emissive;
    vec3 colour = mix(dim, bright, lit_share()) + glow;
#if OUTLINE
    colour = outline * mix(vec3(1.0), colour, outline_mix);
#endif
    out_fixed = vec4(pow(clamp(colour, 0.0, 1.0), vec3(1.0 / GAMMA)) * alpha, alpha);
#if LAYERS
    out_first_parts = vec4(0.0, 0.0, 0.0, alpha);
    out_second_parts = vec4(0.0, 0.0, 0.0, alpha);
#endif
}
#endif
