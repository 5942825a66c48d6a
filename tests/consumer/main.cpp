// A program outside the tree: built by .ci/run against the installed copy through pkg-config and
// against the Meson subproject. L = sum(x w), so dL/dw is the sum of x over its rows.
#include <sinew/sinew.h>

#include <cstdio>

int main() {
  using sinew::Tensor;
  const Tensor x = Tensor::from(std::vector<float>{1, 2, 3, 4, 5, 6}, {2, 3});
  Tensor w = Tensor::from(std::vector<float>{1, -1, 2}, {3, 1});
  sinew::Tape tape;
  tape.watch(w);
  const Tensor loss = sinew::sum(sinew::matmul(x, w));
  const std::vector<float> dw = tape.gradients(loss, {w})[0].host<float>();
  const bool ok = loss.item<float>() == 16 && dw == std::vector<float>{5, 7, 9};
  std::printf("consumer: loss %g, dw %g %g %g: %s\n", loss.value(), dw[0], dw[1], dw[2],
              ok ? "ok" : "wrong");
  return ok ? 0 : 1;
}
