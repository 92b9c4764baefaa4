// What all surfaces share. Colours are sRGB.

layout(std140, binding = 0) uniform Frame {
    mat4 clip_from_world;
    vec3 to_light;         // in the world
    float outline_pixels;  // clip-space height of the thinnest outline, per unit of w
};

layout(std140, binding = 1) uniform Material {
    vec4 lit;
    vec3 shade;
    float cutoff;
    vec3 emissive;
    float shift;
    vec3 outline;
    float outline_width;   // metres, where the outline texture is 1
    vec4 lit_uv;           // scale, offset
    vec4 shade_uv;
    vec4 emissive_uv;
    vec4 outline_uv;
    vec3 first_parts;      // 1 where the material belongs to hair, skin, eyes
    float toony;
    vec3 second_parts;     // upper, lower, shoes
    float dark;            // light in the shade, as a share of a lit value
    float outline_mix;     // how much of the surface's colour an outline takes on
};

// A normal's direction; files also hold normals of no length, which have none.
vec3 unit(vec3 normal) {
    return normal * inversesqrt(max(dot(normal, normal), 1e-20));
}
