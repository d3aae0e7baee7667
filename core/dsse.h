// DSSE v1 envelopes (secure-systems-lab/dsse), in the strict form of docs/formats.md: exactly the members payload,
// payloadType and signatures (each with exactly keyid and sig), standard canonical base64, no repeated or unknown
// member.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/values/bytes.h"
#include "core/values/result.h"

namespace hallpass {

inline constexpr std::size_t kMaxPayloadBytes = std::size_t{32} * 1024;
inline constexpr std::size_t kMaxEnvelopeSignatures = 64;
inline constexpr std::size_t kMaxEnvelopeBytes = std::size_t{64} * 1024 + kMaxEnvelopeSignatures * 24 * 1024;
inline constexpr std::size_t kMaxStatementEnvelopeBytes = std::size_t{96} * 1024;  // one signature

struct EnvelopeSignature {
  std::string keyid;  // a hint, never evidence
  Bytes signature;    // here: a raw SSHSIG blob
};

struct Envelope {
  std::string payload_type;
  Bytes payload;
  std::vector<EnvelopeSignature> signatures;  // 1..kMaxEnvelopeSignatures
};

Result<Envelope> parse_envelope(std::string_view text);
std::string format_envelope(const Envelope& envelope);  // one line, no newline

// "DSSEv1 <len> <type> <len> <body>": the bytes that a signature covers.
Bytes pre_authentication_encoding(std::string_view payload_type, ByteView payload);

}  // namespace hallpass
