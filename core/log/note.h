// Signed notes (C2SP signed-note) with Ed25519 keys, and cosignatures (tlog-cosignature, type 04).
// docs/formats.md, "Signed notes".
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/values/bytes.h"
#include "core/values/result.h"
#include "core/values/time.h"

namespace hallpass {

inline constexpr std::size_t kMaxNoteBytes = std::size_t{64} * 1024;
inline constexpr std::size_t kMaxNoteSignatures = 100;

enum class NoteKeyType : std::uint8_t { ed25519 = 1, cosignature = 4 };

// A verifier key, "name+hash+base64".
struct NoteKey {
  std::string name;
  NoteKeyType type = NoteKeyType::ed25519;
  std::array<std::uint8_t, 32> key{};
  std::array<std::uint8_t, 4> id{};  // SHA-256(name || 0A || type || key), first 4 bytes

  // Errors: malformed (id does not match, name with white space or plus), unsupported (another type).
  static Result<NoteKey> parse(std::string_view vkey);
  std::string text() const;
  bool operator==(const NoteKey&) const = default;
};

// A signing key: 32 bytes of seed. Kept by the hub alone (and by tests). Wiped when it goes.
class NoteSigner {
 public:
  // "PRIVATE+KEY+name+hash+base64(type || seed)", as Go's x/mod note writes them. Errors: malformed, unsupported.
  static Result<NoteSigner> parse(std::string_view skey);
  static NoteSigner generate(std::string_view name, NoteKeyType type);  // from OpenSSL's generator
  static NoteSigner from_seed(std::string_view name, NoteKeyType type, ByteView seed32);
  NoteSigner(NoteSigner&&) noexcept;
  NoteSigner(const NoteSigner&);
  NoteSigner& operator=(const NoteSigner&) = delete;
  ~NoteSigner();

  const NoteKey& verifier() const { return verifier_; }
  std::string text() const;  // the private form
  // The signature line of a note over `text` (which ends in "\n"), with its own "\n"; of a cosignature key also at
  // which time (after 1970), else `at` is not used.
  std::string sign_line(std::string_view text, UnixTime at = {}) const;
  Bytes sign_raw(ByteView message) const;  // plain Ed25519: for epochs

 private:
  NoteSigner() = default;
  NoteKey verifier_;
  std::array<std::uint8_t, 32> seed_{};
};

bool verify_ed25519(const std::array<std::uint8_t, 32>& key, ByteView message, ByteView signature);

struct NoteSignature {
  NoteKey key;
  UnixTime at{};  // cosignatures only
};

struct Note {
  std::string text;                       // with its last "\n"
  std::vector<NoteSignature> signatures;  // of keys asked for, verified, each key once, in the order of the note
  // All signature lines as they came, unknown ones too: to pass the note on.
};

// Opens a note: strict form; signatures by unknown keys are ignored, by a known key that does not verify is an error,
// none by a known key is an error. Errors: too_large, malformed, bad_signature, unknown_key.
Result<Note> open_note(std::string_view note, std::span<const NoteKey> known);

}  // namespace hallpass
