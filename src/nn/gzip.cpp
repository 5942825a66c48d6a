// gzip (RFC 1952), members one after another, through zlib. Two passes: the first counts the
// contents without keeping them, so that memory is taken once and only for what is really there;
// the second keeps them. zlib checks the header, the CRC and the length of each member.
#include <algorithm>
#include <string>

#include "nn/file.h"
#include "sinew/io.h"
#ifdef SINEW_ZLIB
#define ZLIB_CONST
#include <zlib.h>

#include <new>
#endif

namespace sinew {

bool is_gzip(std::string_view bytes) { return bytes.substr(0, 2) == "\x1f\x8b"; }

#ifdef SINEW_ZLIB
namespace {

[[noreturn]] void fail(const std::string& fact) { throw Error("gzip: " + fact); }

class Inflater {
 public:
  explicit Inflater(std::string_view bytes) : rest_(bytes) {
    constexpr int window_bits = 15, gzip_only = 16;
    if (inflateInit2(&stream_, window_bits + gzip_only) != Z_OK) throw std::bad_alloc();
  }
  ~Inflater() { inflateEnd(&stream_); }
  Inflater(const Inflater&) = delete;
  Inflater& operator=(const Inflater&) = delete;

  // The next piece of the contents, valid until the next call; empty at the end.
  std::string_view next() {
    stream_.next_out = reinterpret_cast<Bytef*>(piece_.data());
    stream_.avail_out = static_cast<uInt>(piece_.size());
    while (stream_.avail_out > 0 && !(between_members_ && rest_.empty())) step();
    return std::string_view(piece_).substr(0, piece_.size() - stream_.avail_out);
  }

 private:
  void step() {
    if (between_members_ && !is_gzip(rest_)) fail("other bytes behind the end");
    const size_t given = std::min(rest_.size(), size_t{1} << 30);
    stream_.next_in = reinterpret_cast<const Bytef*>(rest_.data());
    stream_.avail_in = static_cast<uInt>(given);
    const int status = inflate(&stream_, Z_NO_FLUSH);
    rest_.remove_prefix(given - stream_.avail_in);
    if (status == Z_MEM_ERROR) throw std::bad_alloc();
    if (status == Z_BUF_ERROR)
      fail("file ends in the middle");  // it had room, so no input was left
    if (status != Z_OK && status != Z_STREAM_END)
      fail(std::string("file is corrupt (") + stream_.msg + ")");
    between_members_ = status == Z_STREAM_END;
    if (between_members_) inflateReset(&stream_);
  }
  z_stream stream_{};
  std::string_view rest_;
  bool between_members_ = false;
  std::string piece_ = std::string(65536, '\0');
};

}  // namespace

std::string gunzip(std::string_view bytes, uint64_t limit) {
  limit = std::min(limit, memory_of_machine());
  uint64_t size = 0;
  Inflater count(bytes);
  for (size_t piece; (piece = count.next().size()) > 0; size += piece)
    if (piece > limit - size) fail("contents are larger than " + std::to_string(limit) + " bytes");
  std::string out;
  out.reserve(size);
  Inflater keep(bytes);
  while (out.size() < size) out += keep.next();
  return out;
}
#else
std::string gunzip(std::string_view, uint64_t) {
  throw Error("gzip: file is gzip, and this build has no zlib");
}
#endif

}  // namespace sinew
