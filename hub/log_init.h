// `hallpass-hub init`: a new, empty log with its keys. Run once in a log's life.
#pragma once

#include <string>

#include "core/log/note.h"

namespace hallpass::hub {

struct LogInit {
  std::string log_dir, state_dir;    // made if absent
  std::string log_key, witness_key;  // files; made (0600) if absent
  std::string origin;                // the log's name, as "log.example.org/hallpass"; empty: that of the key there is
  std::string witness;               // the name of our own witness; empty: ORIGIN + "/witness"
  std::string owner;                 // user that everything is given to; empty: stays who runs this
};

// Makes directories, keys, and the signed checkpoint of the empty log, all durable. Never touches a log that is there.
// The text to print: both verifier keys, and the [log] section of trust.toml. Errors: mismatch (there is a log; a key
// is of another name), malformed, unavailable.
Result<std::string> init_log(const LogInit& init);

// A private key's file: a regular file that nobody but its owner may read. Errors: not_found, malformed, untrusted
// (others may read it), unsupported (a key of another type), unavailable.
Result<NoteSigner> load_note_key(const std::string& path, NoteKeyType type);

}  // namespace hallpass::hub
