// Draws skinned vertices: the surface, or with OUTLINE the hull around it.

uniform sampler2D outline_texture;

in vec3 position;
in vec3 normal;
in vec2 uv;

out vec3 surface_normal;
out vec2 surface_uv;

void main() {
    vec4 clip = clip_from_world * vec4(position, 1.0);
#if OUTLINE
    float share = textureLod(outline_texture, uv * outline_uv.xy + outline_uv.zw, 0.0).g;
    float width = max(outline_width, outline_pixels * clip.w) * share;
    clip = clip_from_world * vec4(position + unit(normal) * width, 1.0);
#endif
    gl_Position = clip;
    surface_normal = normal;
    surface_uv = uv;
}
