// Moves the vertices of an avatar with its joints, once per picture, into a buffer that all passes draw from.

layout(std430, binding = 0) readonly buffer Joints {
    vec4 rows[];  // three rows of each joint's matrix
};

in vec3 bind_position;
in vec3 bind_normal;
in uvec4 joints;
in vec4 weights;

out vec3 position;
out vec3 normal;

void main() {
    vec4 x = vec4(0.0), y = vec4(0.0), z = vec4(0.0);
    for (int i = 0; i < 4; i++) {
        uint row = joints[i] * 3u;
        x += weights[i] * rows[row];
        y += weights[i] * rows[row + 1u];
        z += weights[i] * rows[row + 2u];
    }
    vec4 point = vec4(bind_position, 1.0);
    position = vec3(dot(x, point), dot(y, point), dot(z, point));
    normal = vec3(dot(x.xyz, bind_normal), dot(y.xyz, bind_normal), dot(z.xyz, bind_normal));
}
