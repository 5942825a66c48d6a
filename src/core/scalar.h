// Scalar functions, each as f, its derivative d and second derivative dd, written once for every
// executor: V is a SIMD vector on the CPU and a float or double on the GPU. To add one: a struct
// here, a line in the list, a line in sinew/ops.h. Kernel, backward, second backward, tests and
// bench iterate over the list.
#pragma once
#include <cmath>

#include "core/hd.h"

namespace sinew {

struct ScalarArgs {
  double a = 0, b = 0;
};

// `select(condition, a, b)` for plain numbers; SIMD vectors bring their own.
SINEW_HD float select(bool condition, float a, float b) { return condition ? a : b; }
SINEW_HD double select(bool condition, double a, double b) { return condition ? a : b; }

using std::abs, std::cos, std::erf, std::exp, std::log, std::log1p, std::pow, std::sin, std::sqrt,
    std::tanh;

#define SINEW_FN     \
  template <class V> \
  static SINEW_HD V

struct Neg {
  SINEW_FN f(V x, ScalarArgs) { return -x; }
  SINEW_FN d(V, ScalarArgs) { return V(-1); }
  SINEW_FN dd(V, ScalarArgs) { return V(0); }
};
struct Abs {
  SINEW_FN f(V x, ScalarArgs) { return abs(x); }
  SINEW_FN d(V x, ScalarArgs) { return select(x > V(0), V(1), select(x < V(0), V(-1), V(0))); }
  SINEW_FN dd(V, ScalarArgs) { return V(0); }
};
struct Exp {
  SINEW_FN f(V x, ScalarArgs) { return exp(x); }
  SINEW_FN d(V x, ScalarArgs) { return exp(x); }
  SINEW_FN dd(V x, ScalarArgs) { return exp(x); }
};
struct Log {
  SINEW_FN f(V x, ScalarArgs) { return log(x); }
  SINEW_FN d(V x, ScalarArgs) { return V(1) / x; }
  SINEW_FN dd(V x, ScalarArgs) { return V(-1) / (x * x); }
};
struct Sqrt {
  SINEW_FN f(V x, ScalarArgs) { return sqrt(x); }
  SINEW_FN d(V x, ScalarArgs) { return V(0.5) / sqrt(x); }
  SINEW_FN dd(V x, ScalarArgs) { return V(-0.25) / (x * sqrt(x)); }
};
struct Square {
  SINEW_FN f(V x, ScalarArgs) { return x * x; }
  SINEW_FN d(V x, ScalarArgs) { return x + x; }
  SINEW_FN dd(V, ScalarArgs) { return V(2); }
};
struct Sin {
  SINEW_FN f(V x, ScalarArgs) { return sin(x); }
  SINEW_FN d(V x, ScalarArgs) { return cos(x); }
  SINEW_FN dd(V x, ScalarArgs) { return -sin(x); }
};
struct Cos {
  SINEW_FN f(V x, ScalarArgs) { return cos(x); }
  SINEW_FN d(V x, ScalarArgs) { return -sin(x); }
  SINEW_FN dd(V x, ScalarArgs) { return -cos(x); }
};
struct Tanh {
  SINEW_FN f(V x, ScalarArgs) { return tanh(x); }
  SINEW_FN d(V x, ScalarArgs) {
    const V t = tanh(x);
    return V(1) - t * t;
  }
  SINEW_FN dd(V x, ScalarArgs) {
    const V t = tanh(x);
    return V(-2) * t * (V(1) - t * t);
  }
};
struct Relu {
  SINEW_FN f(V x, ScalarArgs) { return select(x <= V(0), V(0), x); }  // NaN stays NaN
  SINEW_FN d(V x, ScalarArgs) { return select(x > V(0), V(1), V(0)); }
  SINEW_FN dd(V, ScalarArgs) { return V(0); }
};
struct Gelu {  // x Phi(x); Phi' = phi, phi' = -x phi
  SINEW_FN cdf(V x) { return V(0.5) * (V(1) + erf(x * V(0.7071067811865475244))); }
  SINEW_FN pdf(V x) { return V(0.3989422804014326779) * exp(V(-0.5) * x * x); }
  SINEW_FN f(V x, ScalarArgs) { return x * cdf(x); }
  SINEW_FN d(V x, ScalarArgs) { return cdf(x) + x * pdf(x); }
  SINEW_FN dd(V x, ScalarArgs) { return (V(2) - x * x) * pdf(x); }
};
struct Sigmoid {
  SINEW_FN f(V x, ScalarArgs) { return V(1) / (V(1) + exp(-x)); }
  SINEW_FN d(V x, ScalarArgs) {
    const V s = V(1) / (V(1) + exp(-x));
    return s * (V(1) - s);
  }
  SINEW_FN dd(V x, ScalarArgs) {
    const V s = V(1) / (V(1) + exp(-x));
    return s * (V(1) - s) * (V(1) - s - s);
  }
};
struct Softplus {  // the identity above 20, as in PyTorch
  SINEW_FN f(V x, ScalarArgs) { return select(x > V(20), x, log1p(exp(x))); }
  SINEW_FN d(V x, ScalarArgs a) { return select(x > V(20), V(1), Sigmoid::f(x, a)); }
  SINEW_FN dd(V x, ScalarArgs a) { return select(x > V(20), V(0), Sigmoid::d(x, a)); }
};
struct Affine {  // a x + b
  SINEW_FN f(V x, ScalarArgs s) { return V(s.a) * x + V(s.b); }
  SINEW_FN d(V, ScalarArgs s) { return V(s.a); }
  SINEW_FN dd(V, ScalarArgs) { return V(0); }
};
struct Power {  // x^a; x^0 = 1 for every x, and a zero factor makes a derivative 0
  SINEW_FN times(double factor, V x, double exponent) {
    if (factor == 0 || exponent == 0) return V(factor);
    return V(factor) * pow(x, V(exponent));
  }
  SINEW_FN f(V x, ScalarArgs s) { return times(1, x, s.a); }
  SINEW_FN d(V x, ScalarArgs s) { return times(s.a, x, s.a - 1); }
  SINEW_FN dd(V x, ScalarArgs s) { return times(s.a * (s.a - 1), x, s.a - 2); }
};
struct Clamp {  // to [a, b]; derivative 1 on the closed interval; NaN stays NaN
  SINEW_FN f(V x, ScalarArgs s) {
    return select(x < V(s.a), V(s.a), select(x > V(s.b), V(s.b), x));
  }
  SINEW_FN d(V x, ScalarArgs s) { return select(x < V(s.a), V(0), select(x > V(s.b), V(0), V(1))); }
  SINEW_FN dd(V, ScalarArgs) { return V(0); }
};

#undef SINEW_FN

// X(name in ops.h, struct): the functions of x alone, then those with two constants.
#define SINEW_UNARY_PLAIN(X)                                                            \
  X(neg, Neg)                                                                           \
  X(abs, Abs)                                                                           \
  X(exp, Exp)                                                                           \
  X(log, Log)                                                                           \
  X(sqrt, Sqrt)                                                                         \
  X(square, Square)                                                                     \
  X(sin, Sin) X(cos, Cos) X(tanh, Tanh) X(relu, Relu) X(gelu, Gelu) X(sigmoid, Sigmoid) \
      X(softplus, Softplus)
#define SINEW_UNARY_WITH_CONSTANTS(X) X(affine, Affine) X(pow, Power) X(clamp, Clamp)
#define SINEW_UNARY(X) SINEW_UNARY_PLAIN(X) SINEW_UNARY_WITH_CONSTANTS(X)

#define SINEW_ENUMERATE(name, Struct) Struct,
enum class UnaryOp : unsigned char { SINEW_UNARY(SINEW_ENUMERATE) };
#undef SINEW_ENUMERATE

}  // namespace sinew
