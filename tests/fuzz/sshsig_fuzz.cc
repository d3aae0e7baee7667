// Signature blobs, their armor, key blobs and key lines: one value has one encoding, and nothing verifies over a
// message of ours.
#include <cstdint>
#include <cstdlib>

#include "core/ssh_wire.h"
#include "core/sshsig.h"

namespace {

using hallpass::as_bytes;
using hallpass::Bytes;
using hallpass::ByteView;
using hallpass::PublicKey;
using hallpass::Result;
using hallpass::Sshsig;

void require(bool holds) {
  if (!holds) std::abort();
}

Bytes encode(const Sshsig& signature) {
  Bytes field;
  hallpass::wire_put_string(field, signature.algorithm);
  hallpass::wire_put_raw(field, signature.signature);
  Bytes out;
  hallpass::wire_put_raw(out, as_bytes("SSHSIG"));
  hallpass::wire_put_u32(out, 1);
  hallpass::wire_put_string(out, signature.key.blob());
  hallpass::wire_put_string(out, signature.name_space);
  hallpass::wire_put_string(out, "");
  hallpass::wire_put_string(out, signature.hash);
  hallpass::wire_put_string(out, field);
  return out;
}

// A client data that a fuzzer writes could hold any challenge, but no seed has a private key to sign it with.
void check_signature(ByteView blob) {
  const Result<Sshsig> parsed = hallpass::parse_sshsig(blob);
  if (!parsed) return require(!parsed.error().message.empty());
  const Sshsig& signature = parsed.value();
  const Bytes again = encode(signature);
  require(again == Bytes(blob.begin(), blob.end()));
  const std::vector<std::string> origins = {"https://example.org"};
  const auto verified =
      hallpass::verify_sshsig(signature, signature.key, signature.name_space, as_bytes("not signed"), origins);
  require(!verified.has_value());
}

void check_armor(std::string_view text) {
  const Result<Bytes> blob = hallpass::parse_sshsig_armor(text);
  if (!blob) return;
  const Result<Bytes> again = hallpass::parse_sshsig_armor(hallpass::format_sshsig_armor(blob.value()));
  require(again && again.value() == blob.value());
  check_signature(blob.value());
}

void check_key(const Result<PublicKey>& key) {
  if (!key) return require(!key.error().message.empty());
  const Result<PublicKey> by_blob = PublicKey::from_blob(key.value().blob());
  const Result<PublicKey> by_line = PublicKey::from_line(key.value().line());
  require(by_blob && by_blob.value() == key.value());
  require(by_line && by_line.value() == key.value());
  require(by_line.value().fingerprint() == key.value().fingerprint() && key.value().fingerprint().size() == 50);
  require(key.value().evp() != nullptr);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const ByteView bytes(data, size);
  const std::string_view text = hallpass::as_text(bytes);
  check_signature(bytes);
  check_armor(text);
  const Result<PublicKey> blob_key = PublicKey::from_blob(bytes);
  require(!blob_key || blob_key.value().blob() == Bytes(bytes.begin(), bytes.end()));
  check_key(blob_key);
  const Result<PublicKey> line_key = PublicKey::from_line(text);
  require(!line_key || text.substr(0, line_key.value().line().size()) == line_key.value().line());
  check_key(line_key);
  return 0;
}
