// Shapes, element types and broadcasting.
// broadcast: out[d] = max(a[d], b[d]) where a[d] == b[d] or one of them is 1, aligned at the end.
#include "sinew/shape.h"

#include "sinew/dtype.h"
#include "sinew/error.h"

namespace sinew {

int64_t size_of(DType dtype) {
  switch (dtype) {
    case DType::f32: return 4;
    case DType::f64: return 8;
    case DType::bf16: return 2;
    case DType::i32: return 4;
    case DType::u8: return 1;
  }
  return 0;
}

const char* name(DType dtype) {
  switch (dtype) {
    case DType::f32: return "f32";
    case DType::f64: return "f64";
    case DType::bf16: return "bf16";
    case DType::i32: return "i32";
    case DType::u8: return "u8";
  }
  return "?";
}

bool is_floating(DType dtype) {
  return dtype == DType::f32 || dtype == DType::f64 || dtype == DType::bf16;
}

template <class Iterator>
void Shape::assign(Iterator first, Iterator last) {
  if (last - first > max_rank)
    throw Error("shape: rank above 8 (" + std::to_string(last - first) + ")");
  int64_t numel = 1;
  for (; first != last; ++first) {
    if (*first < 0) throw Error("shape: negative size (" + std::to_string(*first) + ")");
    sizes_[static_cast<size_t>(rank_++)] = *first;
    // Zeros do not hide an overflow: sizes are multiplied in other groupings too.
    if (*first > 0 && __builtin_mul_overflow(numel, *first, &numel))
      throw Error("shape: too many elements");
  }
}

Shape::Shape(std::initializer_list<int64_t> sizes) { assign(sizes.begin(), sizes.end()); }
Shape::Shape(const std::vector<int64_t>& sizes) { assign(sizes.begin(), sizes.end()); }

int64_t Shape::numel() const {
  int64_t n = 1;
  for (int64_t size : *this) n *= size;
  return n;
}

int Shape::axis(int axis) const {
  const int positive = axis < 0 ? axis + rank_ : axis;
  if (positive < 0 || positive >= rank_)
    throw Error("shape: axis out of range (axis " + std::to_string(axis) + " of " + str() + ")");
  return positive;
}

int64_t Shape::dim(int a) const { return sizes_[static_cast<size_t>(axis(a))]; }

Shape Shape::with(int a, int64_t size) const {
  std::array<int64_t, max_rank> sizes = sizes_;
  sizes[static_cast<size_t>(axis(a))] = size;
  Shape out;
  out.assign(sizes.data(), sizes.data() + rank_);
  return out;
}

Shape Shape::without(int a) const {
  std::vector<int64_t> sizes(begin(), end());
  sizes.erase(sizes.begin() + axis(a));
  return Shape(sizes);
}

std::string Shape::str() const {
  std::string out = "[";
  for (int i = 0; i < rank_; ++i) out += (i ? ", " : "") + std::to_string((*this)[i]);
  return out + "]";
}

bool Shape::operator==(const Shape& other) const {
  if (rank_ != other.rank_) return false;
  for (int i = 0; i < rank_; ++i)
    if ((*this)[i] != other[i]) return false;
  return true;
}

Shape broadcast(const char* op, const Shape& a, const Shape& b) {
  if (a == b) return a;
  const int rank = a.rank() > b.rank() ? a.rank() : b.rank();
  std::vector<int64_t> out(static_cast<size_t>(rank));
  for (int i = 0; i < rank; ++i) {
    const int ia = i - (rank - a.rank()), ib = i - (rank - b.rank());
    const int64_t sa = ia < 0 ? 1 : a[ia], sb = ib < 0 ? 1 : b[ib];
    if (sa != sb && sa != 1 && sb != 1)
      throw Error(std::string(op) + ": shapes do not broadcast: " + a.str() + " and " + b.str());
    out[static_cast<size_t>(i)] = sa == 1 ? sb : sa;
  }
  return Shape(out);
}

}  // namespace sinew
