// Gradient check in f64 by central differences with a random cotangent (a plain sum would hide the
// gradients of softmax and the norms). With second order the gradients themselves are checked.
#pragma once
#include <functional>
#include <vector>

#include "sinew/tensor.h"

namespace sinew::test {

using Function = std::function<Tensor(const std::vector<Tensor>&)>;

// f64 values uniform in [low, high), the same for the same seed.
Tensor random(const Shape& shape, uint32_t seed, double low = -2, double high = 2);
Tensor random_f32(const Shape& shape, uint32_t seed, double low = -2, double high = 2);

// Largest error of the gradients of sum(f(inputs) * cotangent) over all inputs, relative to the
// largest gradient element (or to 1 if that is smaller).
double gradient_error(const Function& f, const std::vector<Tensor>& inputs);
// The same for the function that maps the inputs to those gradients (create_graph).
double second_order_error(const Function& f, const std::vector<Tensor>& inputs);

// max |a - b| / max(1, max |b|); infinite for different shapes.
double difference(const Tensor& a, const Tensor& b);

}  // namespace sinew::test
