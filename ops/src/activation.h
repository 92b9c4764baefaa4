// The activations of bias_act: clamp(gain * act(u)), its slope and its curvature.
//
// A is the type that is computed in, float or double.
#pragma once

#include "ag.h"

#define AG_METHOD inline __attribute__((always_inline)) AG_HD
// What calls the C library for every number, or only serves where the faster form does not fit, is itself called on the
// CPU: every copy of it costs the compiler time, and none gains a vector.
#if defined(__CUDACC__)
#define AG_CALLED AG_METHOD
#else
#define AG_CALLED __attribute__((noinline, noclone))
#endif

namespace ag {
namespace AG_TARGET {

AG_INLINE double mad(double a, double b, double c) { return a * b + c; }
AG_INLINE float exponential(float u) { return expf(u); }
AG_INLINE double exponential(double u) { return exp(u); }
AG_INLINE float exponential_less_1(float u) { return expm1f(u); }
AG_INLINE double exponential_less_1(double u) { return expm1(u); }
AG_INLINE float logarithm_of_1_and(float u) { return log1pf(u); }
AG_INLINE double logarithm_of_1_and(double u) { return log1p(u); }
AG_INLINE float hyperbolic_tangent(float u) { return tanhf(u); }
AG_INLINE double hyperbolic_tangent(double u) { return tanh(u); }

template <class A> AG_INLINE A sigmoid(A u) { return A(1) / (A(1) + exponential(-u)); }

template <class A> struct Activation {
    A alpha, gain, clamp;
    int32_t act;

    AG_METHOD A limited(A y) const { return y > clamp ? clamp : y < -clamp ? -clamp : y; }
    AG_METHOD bool limits(A y) const { return y > clamp || y < -clamp; }

    // linear, relu and lrelu: two straight lines that meet at 0.
    AG_METHOD bool straight() const { return act == AG_LINEAR || act == AG_RELU || act == AG_LRELU; }

    // `lowest`: what u counts as where it is less, for relu(-inf) is 0, which no product gives; `below`: the factor below 0.
    AG_METHOD A lowest() const { return act == AG_RELU ? A(0) : A(-INFINITY); }
    AG_METHOD A below() const { return act == AG_LRELU ? alpha : A(1); }
    AG_METHOD A straight_value(A u, A lowest, A below) const { return limited(straight_before_clamp(u, lowest, below)); }

    // `left`: the slope of the line below 0, `level`: what counts as the slope at 0.
    AG_METHOD A left() const { return act == AG_RELU ? A(0) : act == AG_LRELU ? alpha * gain : gain; }
    AG_METHOD A level() const { return act == AG_RELU ? A(0) : gain; }
    AG_METHOD A straight_slope(A u, A left, A level) const {
        const A slope = u < A(0) ? left : u > A(0) ? gain : level;
        return limits(u * slope) ? A(0) : slope;
    }

    AG_CALLED A bent(A u) const {
        const A scale = A(1.0507009873554804934193349852946), rise = A(1.6732632423543772848170429916717);
        switch (act) {
        case AG_TANH: return hyperbolic_tangent(u);
        case AG_SIGMOID: return sigmoid(u);
        case AG_ELU: return u > A(0) ? u : exponential_less_1(u);
        case AG_SELU: return scale * (u > A(0) ? u : rise * exponential_less_1(u));
        case AG_SOFTPLUS: return most(u, A(0)) + logarithm_of_1_and(exponential(u > A(0) ? -u : u));
        default: return u * sigmoid(u);
        }
    }

    AG_METHOD A bent_value(A u) const { return limited(bent(u) * gain); }
    AG_METHOD A value(A u) const { return straight() ? straight_value(u, lowest(), below()) : bent_value(u); }

    AG_METHOD A slope(A u) const { return straight() ? straight_slope(u, left(), level()) : bent_slope(u); }

    AG_CALLED A bent_slope(A u) const {
        if (limits(value_before_clamp(u))) return A(0);
        const A scale = A(1.0507009873554804934193349852946), rise = A(1.6732632423543772848170429916717);
        const A t = act == AG_TANH ? hyperbolic_tangent(u) : sigmoid(u);
        switch (act) {
        case AG_TANH: return gain * (A(1) - t * t);
        case AG_SIGMOID: return gain * t * (A(1) - t);
        case AG_ELU: return u > A(0) ? gain : gain * exponential(u);
        case AG_SELU: return gain * scale * (u > A(0) ? A(1) : rise * exponential(u));
        case AG_SOFTPLUS: return gain * t;
        default: return gain * t * (A(1) + u * (A(1) - t));
        }
    }

    AG_CALLED A curvature(A u) const {
        if (straight() || limits(value_before_clamp(u))) return A(0);
        const A scale = A(1.0507009873554804934193349852946), rise = A(1.6732632423543772848170429916717);
        const A t = act == AG_TANH ? hyperbolic_tangent(u) : sigmoid(u);
        switch (act) {
        case AG_TANH: return gain * A(-2) * t * (A(1) - t * t);
        case AG_SIGMOID: return gain * t * (A(1) - t) * (A(1) - A(2) * t);
        case AG_ELU: return u > A(0) ? A(0) : gain * exponential(u);
        case AG_SELU: return u > A(0) ? A(0) : gain * scale * rise * exponential(u);
        case AG_SOFTPLUS: return gain * t * (A(1) - t);
        default: return gain * t * (A(1) - t) * (A(2) + u * (A(1) - A(2) * t));
        }
    }

  private:
    AG_METHOD A straight_before_clamp(A u, A lowest, A below) const {
        return (u < A(0) ? most(u, lowest) * below : u) * gain;
    }
    AG_METHOD A value_before_clamp(A u) const { return straight() ? straight_before_clamp(u, lowest(), below()) : bent(u) * gain; }
};

template <class A> inline Activation<A> activation_of(const ag_activation &given) {
    const A clamp = given.clamp < 0 ? A(INFINITY) : A(given.clamp);
    return {A(given.alpha), A(given.gain), clamp, given.act};
}

static inline bool is_activation(int32_t act) { return act >= AG_LINEAR && act <= AG_SWISH; }

}  // namespace AG_TARGET
}  // namespace ag
