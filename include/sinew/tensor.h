// Tensor: a contiguous row-major block of one element type on one device.
//
// A Tensor is a handle: copies share the storage, and ops never change their inputs. Views,
// `reshape` and ops that have nothing to do (a cast to the same type, say) share storage too. A
// default-constructed tensor is undefined (no storage) and stands for "absent", as in a layer
// without bias.
#pragma once
#include <cstdint>
#include <memory>
#include <vector>

#include "sinew/device.h"
#include "sinew/dtype.h"
#include "sinew/shape.h"

namespace sinew {

struct Buffer;

class Tensor {
 public:
  Tensor() = default;
  explicit Tensor(const Shape& shape, DType dtype = DType::f32);  // uninitialised

  static Tensor zeros(const Shape& shape, DType dtype = DType::f32);
  static Tensor full(const Shape& shape, double value, DType dtype = DType::f32);
  static Tensor scalar(double value, DType dtype = DType::f32);  // rank 0
  // Copies host values; throws if their number differs from shape.numel().
  static Tensor from(const std::vector<float>& values, const Shape& shape);
  static Tensor from(const std::vector<double>& values, const Shape& shape);
  static Tensor from(const std::vector<int32_t>& values, const Shape& shape);
  static Tensor from(const std::vector<uint8_t>& values, const Shape& shape);

  bool defined() const { return buffer_ != nullptr; }
  const Shape& shape() const { return shape_; }
  int rank() const { return shape_.rank(); }
  int64_t dim(int axis) const { return shape_.dim(axis); }  // negative axes count from the end
  int64_t numel() const { return numel_; }
  DType dtype() const { return dtype_; }
  Device device() const;

  // Copies to the host. T must be the element type: float f32, double f64, int32_t i32, uint8_t u8.
  // They throw while a Step records, because a replay could not repeat them.
  template <class T>
  std::vector<T> host() const;
  template <class T>
  T item() const;                      // the only element
  double value() const;                // the only element of any type but bf16, as double
  std::vector<double> values() const;  // all elements of any type but bf16, as double
  // Overwrites the elements with host values of the same type and number, in place.
  void assign(const std::vector<float>& values);
  void assign(const std::vector<double>& values);
  void assign(double value);          // to every element, as full()
  void assign(const Tensor& values);  // same shape and dtype; copies on the device

  // The same values on that device: a copy through the host, or this tensor if it lies there. Not
  // recorded on a tape; throws while a Step records.
  Tensor to(Device device) const;

  // Rows [first, first + count) of the leading axis, sharing storage. Not recorded on a tape.
  Tensor rows(int64_t first, int64_t count) const;
  // The same elements under another shape, sharing storage. Not recorded (ops.h `reshape` is).
  Tensor view(const Shape& shape) const;
  Tensor view(int64_t offset, const Shape& shape) const;  // elements from `offset` on
  // The same storage, unknown to any tape.
  Tensor detach() const;
  // True if both handles show the same first element of the same storage.
  bool same_storage(const Tensor& other) const;

 private:
  friend class Tape;
  friend struct TensorAccess;
  std::shared_ptr<Buffer> buffer_;
  int64_t offset_ = 0;  // in elements
  int64_t numel_ = 0;
  Shape shape_;
  DType dtype_ = DType::f32;
  int32_t node_ = -1;  // number of this value on the tape `tape_`
  uint64_t tape_ = 0;
};

}  // namespace sinew
