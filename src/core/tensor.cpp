// Tensor: allocation, host copies and views. The element of index i lies at data + (offset + i).
#include "sinew/tensor.h"

#include <cstring>

#include "core/dispatch.h"
#include "cuda/device.h"
#include "ops/copy.h"
#include "ops/fill.h"

namespace sinew {
namespace {

template <class T>
constexpr DType dtype_of();
template <>
constexpr DType dtype_of<float>() {
  return DType::f32;
}
template <>
constexpr DType dtype_of<double>() {
  return DType::f64;
}
template <>
constexpr DType dtype_of<int32_t>() {
  return DType::i32;
}
template <>
constexpr DType dtype_of<uint8_t>() {
  return DType::u8;
}

void require_not_recording(const char* what) {
  if (context().recorder)
    throw Error(std::string(what) + ": host access while a step is being recorded");
}

template <class T>
void copy_to(Tensor& t, const std::vector<T>& values) {
  require_not_recording("tensor");
  if (static_cast<int64_t>(values.size()) != t.numel())
    throw Error("tensor: " + std::to_string(values.size()) + " values for shape " +
                t.shape().str());
  if (t.dtype() != dtype_of<T>())
    throw Error(std::string("tensor: values are ") + name(dtype_of<T>()) + ", tensor is " +
                name(t.dtype()));
  if (values.empty()) return;
  const size_t bytes = values.size() * sizeof(T);
  if (t.device() == Device::cuda)
    cuda::upload(cuda_executor(), TensorAccess::data(t), values.data(), bytes);
  else
    std::memcpy(TensorAccess::data(t), values.data(), bytes);
}

template <class T>
void copy_from(const Tensor& t, T* to) {
  require_not_recording("host");
  require_defined("host", t);
  if (t.dtype() != dtype_of<T>())
    throw Error(std::string("host: asked for ") + name(dtype_of<T>()) + ", tensor is " +
                name(t.dtype()));
  const size_t bytes = static_cast<size_t>(t.numel()) * sizeof(T);
  if (bytes == 0) return;
  if (t.device() == Device::cuda)
    cuda::download(cuda_executor(), to, TensorAccess::data(t), bytes);
  else
    std::memcpy(to, TensorAccess::data(t), bytes);
}

void fill_with(const char* op, const Tensor& t, double value) {
  if ((t.dtype() == DType::i32 && !(value >= INT32_MIN && value <= INT32_MAX)) ||
      (t.dtype() == DType::u8 && !(value >= 0 && value <= 255)))
    throw Error(std::string(op) + ": value does not fit " + name(t.dtype()) + " (" +
                std::to_string(value) + ")");
  const FillArgs args{t.dtype(), pointer(t), t.numel(), value};
  on(t, [=](auto& device) { fill(device, args); });
}

template <class T>
Tensor make(const std::vector<T>& values, const Shape& shape) {
  Tensor t(shape, dtype_of<T>());
  copy_to(t, values);
  return t;
}

}  // namespace

Tensor::Tensor(const Shape& shape, DType dtype)
    : numel_(shape.numel()), shape_(shape), dtype_(dtype) {
  if (numel_ > (int64_t{1} << 46))  // more than any machine holds
    throw Error("tensor: too many elements (" + shape.str() + ")");
  buffer_ = std::make_shared<Buffer>(context().pool, static_cast<size_t>(numel_ * size_of(dtype)));
}

Tensor Tensor::zeros(const Shape& shape, DType dtype) { return full(shape, 0.0, dtype); }

Tensor Tensor::full(const Shape& shape, double value, DType dtype) {
  Tensor t(shape, dtype);
  fill_with("full", t, value);
  return t;
}

Tensor Tensor::scalar(double value, DType dtype) { return full({}, value, dtype); }

Tensor Tensor::from(const std::vector<float>& v, const Shape& shape) { return make(v, shape); }
Tensor Tensor::from(const std::vector<double>& v, const Shape& shape) { return make(v, shape); }
Tensor Tensor::from(const std::vector<int32_t>& v, const Shape& shape) { return make(v, shape); }
Tensor Tensor::from(const std::vector<uint8_t>& v, const Shape& shape) { return make(v, shape); }

Device Tensor::device() const { return buffer_ ? buffer_->pool->device() : Device::cpu; }

template <class T>
std::vector<T> Tensor::host() const {
  std::vector<T> out(static_cast<size_t>(numel_));
  copy_from(*this, out.data());
  return out;
}

template <class T>
T Tensor::item() const {
  if (numel_ != 1) throw Error("item: tensor has not one element " + shape_.str());
  T out{};
  copy_from(*this, &out);
  return out;
}

template std::vector<float> Tensor::host() const;
template std::vector<double> Tensor::host() const;
template std::vector<int32_t> Tensor::host() const;
template std::vector<uint8_t> Tensor::host() const;
template float Tensor::item() const;
template double Tensor::item() const;
template int32_t Tensor::item() const;
template uint8_t Tensor::item() const;

std::vector<double> Tensor::values() const {
  const auto widen = [](const auto& v) { return std::vector<double>(v.begin(), v.end()); };
  switch (dtype_) {
    case DType::f32: return widen(host<float>());
    case DType::f64: return host<double>();
    case DType::i32: return widen(host<int32_t>());
    case DType::u8: return widen(host<uint8_t>());
    case DType::bf16: break;
  }
  throw Error("values: cast bf16 to f32 first");
}

double Tensor::value() const {
  if (numel_ != 1) throw Error("value: tensor has not one element " + shape_.str());
  switch (dtype_) {
    case DType::f32: return item<float>();
    case DType::f64: return item<double>();
    case DType::i32: return item<int32_t>();
    case DType::u8: return item<uint8_t>();
    case DType::bf16: break;
  }
  return values()[0];
}

void Tensor::assign(const std::vector<float>& values) {
  require_defined("assign", *this);
  copy_to(*this, values);
}

void Tensor::assign(const std::vector<double>& values) {
  require_defined("assign", *this);
  copy_to(*this, values);
}

void Tensor::assign(double value) {
  require_not_recording("tensor");
  require_defined("assign", *this);
  fill_with("assign", *this, value);
}

void Tensor::assign(const Tensor& values) {
  require_defined("assign", *this);
  require_defined("assign", values);
  if (!(values.shape_ == shape_) || values.dtype_ != dtype_)
    throw Error(std::string("assign: got ") + name(values.dtype_) + " " + values.shape_.str() +
                " for " + name(dtype_) + " " + shape_.str());
  const CopyArgs args = contiguous_copy(size_of(dtype_), pointer(values), pointer(*this), numel_);
  on(*this, [=](auto& device) { copy(device, args); });
}

Tensor Tensor::to(Device device) const {
  require_not_recording("to");
  require_defined("to", *this);
  if (device == this->device()) return detach();
  const size_t bytes = static_cast<size_t>(numel_ * size_of(dtype_));
  Tensor out = detach();
  out.offset_ = 0;
  out.buffer_ = std::make_shared<Buffer>(pool_of(device), bytes);
  if (bytes == 0) return out;
  if (device == Device::cuda)
    cuda::upload(cuda_executor(), TensorAccess::data(out), TensorAccess::data(*this), bytes);
  else
    cuda::download(cuda_executor(), TensorAccess::data(out), TensorAccess::data(*this), bytes);
  return out;
}

Tensor Tensor::view(int64_t offset, const Shape& shape) const {
  require_defined("view", *this);
  if (offset < 0 || shape.numel() > numel_ || offset > numel_ - shape.numel())
    throw Error("view: elements " + std::to_string(offset) + " on, shape " + shape.str() +
                ", are not inside " + shape_.str());
  Tensor out = detach();
  out.offset_ = offset_ + offset;
  out.shape_ = shape;
  out.numel_ = shape.numel();
  return out;
}

Tensor Tensor::view(const Shape& shape) const {
  if (shape.numel() != numel_)
    throw Error("view: " + shape_.str() + " has not as many elements as " + shape.str());
  return view(0, shape);
}

Tensor Tensor::rows(int64_t first, int64_t count) const {
  if (rank() < 1 || first < 0 || count < 0 || first > shape_[0] - count)
    throw Error("rows: " + std::to_string(count) + " rows from " + std::to_string(first) +
                " are not inside " + shape_.str());
  const int64_t row = shape_[0] == 0 ? 0 : numel_ / shape_[0];
  return view(first * row, shape_.with(0, count));
}

Tensor Tensor::detach() const {
  Tensor out = *this;
  out.node_ = -1;
  out.tape_ = 0;
  return out;
}

bool Tensor::same_storage(const Tensor& other) const {
  return buffer_ == other.buffer_ && offset_ == other.offset_;
}

}  // namespace sinew
