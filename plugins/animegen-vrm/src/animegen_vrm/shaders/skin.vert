// Moves the vertices of an avatar with its joints, once per picture, into a buffer that all passes draw from.

// Joints lie in a texture: drivers fetch its texels for many vertices at a time, Mesa's in software those of a storage
// buffer one by one, which takes six times as long.
uniform sampler2D joint_matrices;  // three texels for each joint, its matrix's rows; JOINTS_A_ROW joints side by side

in vec3 bind_position;
in vec3 bind_normal;
in uvec4 joints;
in vec4 weights;

out vec3 position;
out vec3 normal;

void main() {
    vec4 x = vec4(0.0), y = vec4(0.0), z = vec4(0.0);
    for (int i = 0; i < 4; i++) {
        ivec2 first = ivec2(3u * (joints[i] % JOINTS_A_ROW), joints[i] / JOINTS_A_ROW);
        x += weights[i] * texelFetch(joint_matrices, first, 0);
        y += weights[i] * texelFetch(joint_matrices, first + ivec2(1, 0), 0);
        z += weights[i] * texelFetch(joint_matrices, first + ivec2(2, 0), 0);
    }
    vec4 point = vec4(bind_position, 1.0);
    position = vec3(dot(x, point), dot(y, point), dot(z, point));
    normal = vec3(dot(x.xyz, bind_normal), dot(y.xyz, bind_normal), dot(z.xyz, bind_normal));
}
