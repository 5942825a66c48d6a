// The stand-in for cuBLASLt: what NVIDIA's would refuse or get wrong must fail.
#include "cuda/emulate/cublaslt.h"

#include <doctest/doctest.h>

#include "cuda/device_array.h"

using namespace sinew;
using namespace sinew::test;

namespace {

// y (3, 5) = x (3, 80) w (80, 5), column-major, f32. Members are changed before the calls.
struct Product {
  lt::Functions f = emulate::cublaslt();
  std::vector<lt::Layout> layouts;  // all that were made
  lt::Handle handle = nullptr;
  lt::Desc desc = nullptr;
  lt::Layout x = layout(lt::Type::f32, 3, 80, 3), w = layout(lt::Type::f32, 80, 5, 80),
             y = layout(lt::Type::f32, 3, 5, 3), c = y;
  lt::Preference preference = nullptr;
  lt::Heuristic chosen{};
  int found = 0;
  DeviceArray<float> xs{std::vector<float>(241, 0.5f)}, ws{std::vector<float>(400, 2)},
      ys{std::vector<float>(15)}, biases{std::vector<float>{1, 2, 3, 4}};
  DeviceArray<char> workspace{4096};
  const float* from = xs.data();
  float* to = ys.data();
  float alpha = 1, beta = 0;
  size_t workspace_bytes = 4096;

  Product() {
    f.create(&handle);
    f.desc_create(&desc, lt::Compute::f32, lt::Type::f32);
    f.preference_create(&preference);
    prefer(lt::PreferenceAttribute::workspace_bytes, uint64_t{4096});
  }
  ~Product() {
    for (lt::Layout one : layouts) f.layout_destroy(one);
    f.desc_destroy(desc);
    f.preference_destroy(preference);
  }
  Product(const Product&) = delete;
  Product& operator=(const Product&) = delete;

  lt::Layout layout(lt::Type type, uint64_t rows, uint64_t columns, int64_t stride) {
    lt::Layout made = nullptr;
    f.layout_create(&made, type, rows, columns, stride);
    layouts.push_back(made);
    return made;
  }
  template <class T>
  lt::Status set(lt::DescAttribute attribute, T value) {
    return f.desc_set(desc, attribute, &value, sizeof value);
  }
  template <class T>
  lt::Status prefer(lt::PreferenceAttribute attribute, T value) {
    return f.preference_set(preference, attribute, &value, sizeof value);
  }
  lt::Status choose() {
    return f.heuristic(handle, desc, x, w, c, y, preference, 1, &chosen, &found);
  }
  lt::Status multiply(cudaStream_t stream = nullptr) {
    return f.matmul(handle, desc, &alpha, from, x, ws.data(), w, &beta, to, c, to, y,
                    &chosen.algorithm, workspace.data(), workspace_bytes, stream);
  }
};

void refused(lt::Status status, const char* why) {
  CHECK(status != lt::Status::success);
  CHECK(emulate::cublaslt_refusal() == why);
}

}  // namespace

TEST_CASE("emulated cuBLASLt: a product, a bias, a transpose") {
  Product p;
  REQUIRE(p.choose() == lt::Status::success);
  CHECK(p.found == 1);
  CHECK(p.chosen.workspace_bytes == 4096);
  CHECK(p.multiply() == lt::Status::success);
  CHECK(p.ys.host() == std::vector<float>(15, 80));
  CHECK(static_cast<unsigned char>(p.workspace.host()[4095]) == 0xff);

  p.set(lt::DescAttribute::epilogue, lt::Epilogue::bias);
  refused(p.multiply(), "a bias epilogue without a bias");
  p.set(lt::DescAttribute::bias, static_cast<const void*>(p.biases.data()));
  refused(p.multiply(), "an algorithm of another problem");
  REQUIRE(p.choose() == lt::Status::success);
  CHECK(p.multiply() == lt::Status::success);
  CHECK(p.ys.host()[4] == 82);  // row 1 of column 1

  p.set(lt::DescAttribute::transpose_a, lt::Operation::transpose);
  refused(p.choose(), "inner sizes differ");
  p.x = p.layout(lt::Type::f32, 80, 3, 80);
  REQUIRE(p.choose() == lt::Status::success);
  CHECK(p.multiply() == lt::Status::success);
  CHECK(p.ys.host()[4] == 82);
}

TEST_CASE("emulated cuBLASLt: problems that do not fit") {
  const auto refuses = [](const char* why, auto change) {
    Product p;
    change(p);
    refused(p.choose(), why);
    CHECK(p.found == 0);
  };
  const auto f32 = lt::Type::f32, bf16 = lt::Type::bf16;
  refuses("a leading dimension below the rows", [&](Product& p) { p.x = p.layout(f32, 3, 80, 2); });
  refuses("an empty matrix", [&](Product& p) { p.x = p.layout(f32, 3, 0, 3); });
  refuses("inner sizes differ", [&](Product& p) { p.x = p.layout(f32, 3, 79, 3); });
  refuses("d is not of the product's size",
          [&](Product& p) { p.y = p.c = p.layout(f32, 4, 5, 4); });
  refuses("c and d differ", [&](Product& p) { p.c = p.layout(f32, 3, 5, 4); });
  refuses("types of a and b differ", [&](Product& p) { p.x = p.layout(bf16, 3, 80, 3); });
  refuses("f32 factors give f32", [&](Product& p) { p.y = p.c = p.layout(bf16, 3, 5, 3); });
  refuses("bf16 factors compute in f32", [&](Product& p) {
    p.x = p.layout(bf16, 3, 80, 3);
    p.w = p.layout(bf16, 80, 5, 80);
    p.f.desc_destroy(p.desc);
    p.f.desc_create(&p.desc, lt::Compute::f32_fast_tf32, f32);
  });
  refuses("no algorithm",
          [&](Product& p) { p.prefer(lt::PreferenceAttribute::workspace_bytes, uint64_t{4095}); });
  const auto with_bias = [](Product& p, const float* bias) {
    p.set(lt::DescAttribute::epilogue, lt::Epilogue::bias);
    p.set(lt::DescAttribute::bias, static_cast<const void*>(bias));
  };
  refuses("a bias that is not aligned to 16 bytes",
          [&](Product& p) { with_bias(p, p.biases.data() + 1); });
  refuses("no algorithm", [&](Product& p) {  // one row
    with_bias(p, p.biases.data());
    p.x = p.layout(f32, 1, 80, 1);
    p.y = p.c = p.layout(f32, 1, 5, 1);
  });

  Product p;
  CHECK(p.f.heuristic(p.handle, p.desc, p.x, p.w, p.c, p.y, p.preference, 0, nullptr, &p.found) ==
        lt::Status::invalid_value);
  refused(p.set(lt::DescAttribute::transpose_a, 'T'), "an attribute of the wrong size");
  refused(p.set(static_cast<lt::DescAttribute>(1), 0), "an unknown attribute");
  refused(p.prefer(lt::PreferenceAttribute::workspace_bytes, 1), "an attribute of the wrong size");
  refused(p.prefer(static_cast<lt::PreferenceAttribute>(0), 0), "an unknown preference");
  lt::Desc desc;
  refused(p.f.desc_create(&desc, lt::Compute::f32, lt::Type::bf16), "scale is not f32");
}

TEST_CASE("emulated cuBLASLt: calls that do not fit") {
  const auto refuses = [](const char* why, auto change) {
    Product p;
    REQUIRE(p.choose() == lt::Status::success);
    change(p);
    refused(p.multiply(), why);
    CHECK(p.ys.host() == std::vector<float>(15));
  };
  refuses("an operand is less aligned than promised", [](Product& p) { ++p.from; });
  refuses("an algorithm of another problem",
          [](Product& p) { p.x = p.layout(lt::Type::f32, 3, 80, 4); });
  refuses("the workspace is too small", [](Product& p) { p.workspace_bytes = 4095; });
  refuses("alpha 1 and beta 0 only are emulated", [](Product& p) { p.beta = 1; });
  refuses("d overlaps an operand", [](Product& p) { p.to = p.ws.data(); });
  refuses("d is not in device memory", [](Product& p) {
    alignas(256) static float host[15];
    p.to = host;
  });

  Product p;  // aligned, but beyond the end
  p.prefer(lt::PreferenceAttribute::alignment_a, uint32_t{4});
  REQUIRE(p.choose() == lt::Status::success);
  ++p.from;
  CHECK(p.multiply() == lt::Status::success);
  ++p.from;
  refused(p.multiply(), "a is not in device memory");
}

TEST_CASE("emulated cuBLASLt: recorded products, and memory that is gone at the replay") {
  Product p;
  REQUIRE(p.choose() == lt::Status::success);
  float* y;
  cuda_check(cudaMalloc(&y, 60), "malloc");
  p.to = y;
  cudaStream_t stream;
  cudaGraph_t graph;
  cudaGraphExec_t exec;
  cuda_check(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "stream");
  cuda_check(cudaStreamBeginCapture(stream, cudaStreamCaptureModeRelaxed), "capture");
  CHECK(p.multiply(stream) == lt::Status::success);
  cuda_check(cudaStreamEndCapture(stream, &graph), "end");
  cuda_check(cudaGraphInstantiate(&exec, graph), "instantiate");
  p.ws.set(std::vector<float>(400, 3));
  CHECK(cudaGraphLaunch(exec, stream) == cudaSuccess);
  float first = 0;
  cuda_check(cudaMemcpy(&first, y, 4, cudaMemcpyDeviceToHost), "copy");
  CHECK(first == 120);
  cuda_check(cudaFree(y), "free");
  CHECK(cudaGraphLaunch(exec, stream) == cudaErrorIllegalAddress);
  CHECK(std::string(cudaGetErrorString(cudaErrorIllegalAddress))
            .find("cublasLtMatmul: d is not in device memory") != std::string::npos);
  cudaGetLastError();
  cuda_check(cudaGraphExecDestroy(exec), "destroy");
  cuda_check(cudaGraphDestroy(graph), "destroy");
  cuda_check(cudaStreamDestroy(stream), "stream");
}
