// Shape of a contiguous row-major tensor: up to 8 sizes, each >= 0. A scalar has rank 0.
#pragma once
#include <array>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <vector>

namespace sinew {

class Shape {
 public:
  static constexpr int max_rank = 8;

  Shape() = default;
  Shape(std::initializer_list<int64_t> sizes);
  explicit Shape(const std::vector<int64_t>& sizes);  // throws if rank > 8, a size < 0, or overflow

  int rank() const { return rank_; }
  int64_t numel() const;  // product of the sizes; 1 for a scalar
  int64_t operator[](int axis) const { return sizes_[static_cast<size_t>(axis)]; }
  int64_t dim(int axis) const;  // checked; negative axes count from the end
  int axis(int axis) const;     // the non-negative axis; throws if out of range
  int64_t last() const { return dim(-1); }
  const int64_t* begin() const { return sizes_.data(); }
  const int64_t* end() const { return sizes_.data() + rank_; }
  Shape with(int axis, int64_t size) const;  // the same shape with one size replaced
  Shape without(int axis) const;             // the same shape with one axis removed
  std::string str() const;                   // "[4, 3]"
  bool operator==(const Shape& other) const;

 private:
  template <class Iterator>
  void assign(Iterator first, Iterator last);
  std::array<int64_t, max_rank> sizes_{};
  int rank_ = 0;
};

// NumPy broadcasting: align at the last axis; sizes must be equal or 1. Throws `op: ...`.
Shape broadcast(const char* op, const Shape& a, const Shape& b);

}  // namespace sinew
