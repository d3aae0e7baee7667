// hallpass-keys: sshd's AuthorizedKeysCommand. Runs as root, a child of the sshd process that later asks PAM.
#include <fcntl.h>
#include <unistd.h>

#include <cstdio>
#include <exception>

#include "host/events.h"
#include "host/key_record.h"
#include "host/paths.h"
#include "pam/offered_keys.h"

namespace {

using namespace hallpass;  // NOLINT(google-build-using-namespace): a program of one file

bool print(const std::string& text) {
  std::size_t at = 0;
  while (at < text.size()) {
    const ssize_t n = write(STDOUT_FILENO, text.data() + at, text.size() - at);
    if (n <= 0) return false;
    at += static_cast<std::size_t>(n);
  }
  return true;
}

// sshd takes an exit status other than 0 as "no keys" and notes it in its log; what was printed does not count then.
int run(const std::vector<std::string>& arguments) {
  const pid_t sshd = getppid();
  const auto query = parse_keys_query(arguments);
  if (!query) {
    remove_key_record(paths::kOffers, sshd);
    std::fprintf(stderr, "%s\n", query.error().message.c_str());
    return 1;
  }
  const auto store = SnapshotReader::open();
  if (!store) {
    remove_key_record(paths::kOffers, sshd);
    send_event(EventRecord(Event::snapshot_unusable, store.error().message)
                   .with("ACCOUNT", query->account)
                   .with("WHY", store.error().message));
    return query->observe ? 0 : 1;
  }
  const KeysAnswer answer = answer_keys(*store, read_clock(), *query);
  // First the record, then the key: without one an older offer would stand for this key.
  const bool kept = answer.record && write_key_record(paths::kOffers, sshd, query->account, query->fingerprint);
  if (!kept) remove_key_record(paths::kOffers, sshd);
  return print(answer.lines) ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run({argv + 1, argv + argc});
  } catch (const std::exception&) {
    return 1;
  }
}
