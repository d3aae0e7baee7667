// Reading and writing SSH's wire encoding (RFC 4251 section 5). Internal to core/: ssh_key.cc and sshsig.cc.
#pragma once

#include <cstdint>
#include <string_view>

#include "core/values/bytes.h"

namespace hallpass {

// Reads from borrowed bytes and copies nothing. After the first read past the end or against the encoding every read
// gives empty or zero and ok() is false, so that a format is read as a list of its fields and checked once.
class WireReader {
 public:
  explicit WireReader(ByteView bytes) : rest_(bytes) {}

  ByteView raw(std::size_t count) {
    if (count > rest_.size()) return fail();
    const ByteView taken = rest_.first(count);
    rest_ = rest_.subspan(count);
    return taken;
  }
  std::uint8_t u8() {
    const ByteView b = raw(1);
    return b.empty() ? std::uint8_t{0} : b[0];
  }
  std::uint32_t u32() {
    const ByteView b = raw(4);
    return b.empty() ? 0 : std::uint32_t{b[0]} << 24 | std::uint32_t{b[1]} << 16 | std::uint32_t{b[2]} << 8 | b[3];
  }
  ByteView string() { return raw(u32()); }
  std::string_view text() { return as_text(string()); }
  // A positive number in its shortest form, without the sign byte; at most max_bytes of it.
  ByteView positive_mpint(std::size_t max_bytes) {
    ByteView b = string();
    if (b.empty() || (b[0] & 0x80) != 0) return fail();
    if (b[0] == 0) {
      if (b.size() == 1 || (b[1] & 0x80) == 0) return fail();
      b = b.subspan(1);
    }
    return b.size() <= max_bytes ? b : fail();
  }

  bool ok() const { return ok_; }
  // Everything was read, and well.
  bool done() const { return ok_ && rest_.empty(); }

 private:
  ByteView fail() {
    ok_ = false;
    rest_ = {};
    return {};
  }

  ByteView rest_;
  bool ok_ = true;
};

inline void wire_put_raw(Bytes& out, ByteView bytes) {
  out.insert(out.end(), bytes.begin(), bytes.end());
}
inline void wire_put_u32(Bytes& out, std::uint32_t value) {
  for (const int shift : {24, 16, 8, 0}) out.push_back(static_cast<std::uint8_t>(value >> shift));
}
inline void wire_put_string(Bytes& out, ByteView bytes) {
  wire_put_u32(out, static_cast<std::uint32_t>(bytes.size()));
  wire_put_raw(out, bytes);
}
inline void wire_put_string(Bytes& out, std::string_view text) {
  wire_put_string(out, as_bytes(text));
}

}  // namespace hallpass
