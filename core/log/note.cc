#include "core/log/note.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <set>

#include "core/hash.h"
#include "core/values/text.h"

namespace hallpass {
namespace {

constexpr std::string_view kDash = "\xE2\x80\x94 ";  // U+2014 and a space
constexpr std::string_view kPrivatePrefix = "PRIVATE+KEY+";
constexpr std::size_t kKeyBytes = 32;
constexpr std::size_t kIdBytes = 4;
constexpr std::size_t kSignatureBytes = 64;
constexpr std::size_t kTimeBytes = 8;
constexpr std::size_t kMaxKeyNameBytes = 255;
constexpr std::uint64_t kLastTime = 253402300799;  // 9999-12-31T23:59:59Z: what format_time can write

using Pkey = std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)>;
using Context = std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)>;

// Of Unicode's white space all that is not a control character, in UTF-8.
bool has_space(std::string_view name) {
  static constexpr std::string_view kWide[] = {
      "\xC2\x85",     "\xC2\xA0",     "\xE1\x9A\x80", "\xE2\x80\x80", "\xE2\x80\x81", "\xE2\x80\x82", "\xE2\x80\x83",
      "\xE2\x80\x84", "\xE2\x80\x85", "\xE2\x80\x86", "\xE2\x80\x87", "\xE2\x80\x88", "\xE2\x80\x89", "\xE2\x80\x8A",
      "\xE2\x80\xA8", "\xE2\x80\xA9", "\xE2\x80\xAF", "\xE2\x81\x9F", "\xE3\x80\x80"};
  return name.find(' ') != std::string_view::npos || std::any_of(std::begin(kWide), std::end(kWide), [&](auto space) {
           return name.find(space) != std::string_view::npos;
         });
}

bool has_control(std::string_view text, bool newline_too) {
  return std::any_of(text.begin(), text.end(), [&](char c) {
    const auto byte = static_cast<std::uint8_t>(c);
    return byte == 0x7f || (byte < 0x20 && (newline_too || c != '\n'));
  });
}

bool is_key_name(std::string_view name) {
  return !name.empty() && name.size() <= kMaxKeyNameBytes && is_utf8(name) && !has_control(name, true) &&
         !has_space(name) && name.find('+') == std::string_view::npos;
}

std::array<std::uint8_t, 4> key_id(std::string_view name, NoteKeyType type, ByteView key) {
  Bytes message(name.begin(), name.end());
  message.push_back('\n');
  message.push_back(static_cast<std::uint8_t>(type));
  message.insert(message.end(), key.begin(), key.end());
  const Digest digest = sha256(message);
  return {digest.bytes[0], digest.bytes[1], digest.bytes[2], digest.bytes[3]};
}

// The three parts of "name+hash+base64", of which the last is a type and 32 bytes.
struct KeyText {
  std::string_view name;
  std::array<std::uint8_t, 4> id{};
  NoteKeyType type = NoteKeyType::ed25519;
  Bytes material;  // 32 bytes
};

Result<KeyText> read_key_text(std::string_view text, std::string_view what) {
  const std::string whose(what);
  const std::size_t first = text.find('+');
  const std::size_t second = first == std::string_view::npos ? first : text.find('+', first + 1);
  const Error malformed{Errc::malformed, whose + " is written \"name+8 hexadecimal digits+base64\""};
  if (second == std::string_view::npos) return malformed;
  KeyText key;
  key.name = text.substr(0, first);
  const Result<Bytes> id = hex_decode(text.substr(first + 1, second - first - 1));
  Result<Bytes> material = base64_decode(text.substr(second + 1));
  if (!is_key_name(key.name) || !id || id->size() != kIdBytes || !material || material->empty()) return malformed;
  std::copy(id->begin(), id->end(), key.id.begin());
  const std::uint8_t type = material->front();
  if (type != static_cast<std::uint8_t>(NoteKeyType::ed25519) &&
      type != static_cast<std::uint8_t>(NoteKeyType::cosignature)) {
    return Error{Errc::unsupported, whose + " \"" + printable(key.name, 80) + "\" is of type " + std::to_string(type) +
                                        "; this program knows type 1 (Ed25519) and 4 (Ed25519 cosignature)"};
  }
  key.type = static_cast<NoteKeyType>(type);
  if (material->size() != 1 + kKeyBytes) return malformed;
  key.material.assign(material->begin() + 1, material->end());
  OPENSSL_cleanse(material->data(), material->size());
  return key;
}

Bytes cosigned_message(std::string_view text, UnixTime at) {
  std::string message = "cosignature/v1\ntime " + std::to_string(to_unix(at)) + "\n";
  message += text;
  return {message.begin(), message.end()};
}

// The parts of a note, borrowed. `lines` is everything after the blank line.
struct NoteParts {
  std::string_view text, lines;
};

Result<NoteParts> split_note(std::string_view note) {
  if (note.size() > kMaxNoteBytes) return Error{Errc::too_large, "the note is over 64 KiB"};
  if (!is_utf8(note) || has_control(note, false)) {
    return Error{Errc::malformed, "the note is not plain UTF-8 text with lines that end in a newline"};
  }
  const std::size_t blank = note.rfind("\n\n");
  if (blank == std::string_view::npos || note.back() != '\n' || blank + 2 == note.size()) {
    return Error{Errc::malformed, "the note has no signatures after a blank line, or no newline at its end"};
  }
  return NoteParts{note.substr(0, blank + 1), note.substr(blank + 2)};
}

struct SignatureLine {
  std::string_view name;
  Bytes blob;  // key id and signature
};

Result<SignatureLine> read_signature_line(std::string_view line) {
  const Error malformed{Errc::malformed, "a signature line of the note is not \"\xE2\x80\x94 name base64\""};
  if (line.substr(0, kDash.size()) != kDash) return malformed;
  line.remove_prefix(kDash.size());
  const std::size_t space = line.find(' ');
  if (space == std::string_view::npos || !is_key_name(line.substr(0, space))) return malformed;
  Result<Bytes> blob = base64_decode(line.substr(space + 1));
  if (!blob || blob->size() <= kIdBytes) return malformed;
  return SignatureLine{line.substr(0, space), std::move(blob).value()};
}

bool is_by(const SignatureLine& line, const NoteKey& key) {
  return line.name == key.name && std::equal(key.id.begin(), key.id.end(), line.blob.begin());
}

Result<NoteSignature> check_signature(std::string_view text, const SignatureLine& line, const NoteKey& key) {
  const Error bad{Errc::bad_signature, "the signature by \"" + printable(key.name, 80) + "\" does not verify"};
  ByteView signature = ByteView(line.blob).subspan(kIdBytes);
  NoteSignature good{key, UnixTime{}};
  if (key.type == NoteKeyType::ed25519) {
    if (!verify_ed25519(key.key, as_bytes(text), signature)) return bad;
    return good;
  }
  if (signature.size() != kTimeBytes + kSignatureBytes) return bad;
  std::uint64_t seconds = 0;
  for (std::size_t i = 0; i < kTimeBytes; ++i) seconds = seconds << 8 | signature[i];
  if (seconds == 0 || seconds > kLastTime) return bad;
  good.at = from_unix(static_cast<long long>(seconds));
  if (!verify_ed25519(key.key, cosigned_message(text, good.at), signature.subspan(kTimeBytes))) return bad;
  return good;
}

std::string format_line(const NoteKey& key, ByteView signature) {
  Bytes blob(key.id.begin(), key.id.end());
  blob.insert(blob.end(), signature.begin(), signature.end());
  return std::string(kDash) + key.name + " " + base64_encode(blob) + "\n";
}

}  // namespace

Result<NoteKey> NoteKey::parse(std::string_view vkey) {
  const Result<KeyText> text = read_key_text(vkey, "a verifier key");
  if (!text) return text.error();
  NoteKey key;
  key.name = text->name;
  key.type = text->type;
  std::copy(text->material.begin(), text->material.end(), key.key.begin());
  key.id = key_id(key.name, key.type, key.key);
  if (key.id != text->id) {
    return Error{Errc::malformed, "the verifier key \"" + printable(key.name, 80) +
                                      "\" does not fit its own id: a character is wrong; copy it again"};
  }
  return key;
}

std::string NoteKey::text() const {
  Bytes material{static_cast<std::uint8_t>(type)};
  material.insert(material.end(), key.begin(), key.end());
  return name + "+" + hex_encode(id) + "+" + base64_encode(material);
}

bool verify_ed25519(const std::array<std::uint8_t, 32>& key, ByteView message, ByteView signature) {
  if (signature.size() != kSignatureBytes) return false;
  const Pkey pkey(EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, nullptr, key.data(), key.size()), EVP_PKEY_free);
  const Context context(EVP_MD_CTX_new(), EVP_MD_CTX_free);
  return pkey && context && EVP_DigestVerifyInit(context.get(), nullptr, nullptr, nullptr, pkey.get()) == 1 &&
         EVP_DigestVerify(context.get(), signature.data(), signature.size(), message.data(), message.size()) == 1;
}

NoteSigner NoteSigner::from_seed(std::string_view name, NoteKeyType type, ByteView seed32) {
  if (!is_key_name(name) || seed32.size() != kKeyBytes) std::abort();
  NoteSigner signer;
  std::copy(seed32.begin(), seed32.end(), signer.seed_.begin());
  const Pkey pkey(EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, nullptr, seed32.data(), seed32.size()), EVP_PKEY_free);
  std::size_t length = kKeyBytes;
  NoteKey& key = signer.verifier_;
  if (!pkey || EVP_PKEY_get_raw_public_key(pkey.get(), key.key.data(), &length) != 1) std::abort();
  key.name = name;
  key.type = type;
  key.id = key_id(name, type, key.key);
  return signer;
}

NoteSigner NoteSigner::generate(std::string_view name, NoteKeyType type) {
  std::array<std::uint8_t, kKeyBytes> seed;
  if (RAND_priv_bytes(seed.data(), static_cast<int>(seed.size())) != 1) std::abort();
  NoteSigner signer = from_seed(name, type, seed);
  OPENSSL_cleanse(seed.data(), seed.size());
  return signer;
}

Result<NoteSigner> NoteSigner::parse(std::string_view skey) {
  if (skey.substr(0, kPrivatePrefix.size()) != kPrivatePrefix) {
    return Error{Errc::malformed, "a signing key begins with \"PRIVATE+KEY+\""};
  }
  Result<KeyText> text = read_key_text(skey.substr(kPrivatePrefix.size()), "a signing key");
  if (!text) return text.error();
  NoteSigner signer = from_seed(text->name, text->type, text->material);
  OPENSSL_cleanse(text->material.data(), text->material.size());
  if (signer.verifier_.id != text->id) {
    return Error{Errc::malformed, "the signing key \"" + printable(text->name, 80) +
                                      "\" does not fit its own id: a character is wrong; copy it again"};
  }
  return signer;
}

NoteSigner::NoteSigner(const NoteSigner&) = default;
NoteSigner::NoteSigner(NoteSigner&& other) noexcept : verifier_(std::move(other.verifier_)), seed_(other.seed_) {
  OPENSSL_cleanse(other.seed_.data(), other.seed_.size());
}
NoteSigner::~NoteSigner() {
  OPENSSL_cleanse(seed_.data(), seed_.size());
}

std::string NoteSigner::text() const {
  Bytes material{static_cast<std::uint8_t>(verifier_.type)};
  material.insert(material.end(), seed_.begin(), seed_.end());
  std::string text =
      std::string(kPrivatePrefix) + verifier_.name + "+" + hex_encode(verifier_.id) + "+" + base64_encode(material);
  OPENSSL_cleanse(material.data(), material.size());
  return text;
}

Bytes NoteSigner::sign_raw(ByteView message) const {
  const Pkey pkey(EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, nullptr, seed_.data(), seed_.size()), EVP_PKEY_free);
  const Context context(EVP_MD_CTX_new(), EVP_MD_CTX_free);
  Bytes signature(kSignatureBytes);
  std::size_t length = signature.size();
  if (!pkey || !context || EVP_DigestSignInit(context.get(), nullptr, nullptr, nullptr, pkey.get()) != 1 ||
      EVP_DigestSign(context.get(), signature.data(), &length, message.data(), message.size()) != 1 ||
      length != kSignatureBytes) {
    std::abort();
  }
  return signature;
}

std::string NoteSigner::sign_line(std::string_view text, UnixTime at) const {
  if (text.empty() || text.back() != '\n') std::abort();
  if (verifier_.type == NoteKeyType::ed25519) return format_line(verifier_, sign_raw(as_bytes(text)));
  if (to_unix(at) <= 0) std::abort();
  const auto seconds = static_cast<std::uint64_t>(to_unix(at));
  Bytes signature;
  for (std::size_t i = kTimeBytes; i-- > 0;) signature.push_back(static_cast<std::uint8_t>(seconds >> (8 * i)));
  const Bytes raw = sign_raw(cosigned_message(text, at));
  signature.insert(signature.end(), raw.begin(), raw.end());
  return format_line(verifier_, signature);
}

Result<Note> open_note(std::string_view note, std::span<const NoteKey> known) {
  const Result<NoteParts> parts = split_note(note);
  if (!parts) return parts.error();
  Note opened;
  opened.text = parts->text;
  std::set<const NoteKey*> seen;
  std::size_t count = 0;
  for (std::string_view rest = parts->lines; !rest.empty(); rest.remove_prefix(rest.find('\n') + 1)) {
    if (++count > kMaxNoteSignatures) return Error{Errc::malformed, "the note has more than 100 signatures"};
    const Result<SignatureLine> line = read_signature_line(rest.substr(0, rest.find('\n')));
    if (!line) return line.error();
    const auto key = std::find_if(known.begin(), known.end(), [&](const NoteKey& k) { return is_by(*line, k); });
    // Of a key's lines the first counts, good or bad, as in Go's note package.
    if (key == known.end() || !seen.insert(&*key).second) continue;
    const Result<NoteSignature> signature = check_signature(parts->text, *line, *key);
    if (!signature) return signature.error();
    opened.signatures.push_back(*signature);
  }
  if (opened.signatures.empty()) return Error{Errc::unknown_key, "no key that is trusted here has signed the note"};
  return opened;
}

}  // namespace hallpass
