#include "host/events.h"

#include <sys/socket.h>
#include <sys/un.h>

#include <cstring>
#include <set>

#include "tests/unit/host/snapshot_fixture.h"

// Last: it defines words as macros that standard headers use.
#include "tests/unit/cmocka.h"

namespace {

using namespace hallpass;        // NOLINT(google-build-using-namespace)
using namespace hallpass::test;  // NOLINT(google-build-using-namespace)

std::string vector_bytes() {
  return read_bytes(std::string(HALLPASS_VECTORS) + "/journal/native_datagram.bin");
}

int wrong_datagrams() {
  EventRecord record(Event::login_refused, "Login to alice refused");
  record.with("SUBJECT", "alice")
      .with("TICKET", "")
      .with("WHY", "line one\nline two")
      .with("APPROVERS", "bob")
      .with("APPROVERS", "ana");
  const std::string id(event_info(Event::login_refused).message_id);
  const std::string expected =
      "MESSAGE=Login to alice refused\nMESSAGE_ID=" + id +
      "\nPRIORITY=4\nSYSLOG_IDENTIFIER=hallpass\nSYSLOG_FACILITY=10\nHALLPASS_EVENT=login_refused\n"
      "HALLPASS_SUBJECT=alice\nHALLPASS_WHY\n" +
      std::string("\x11\0\0\0\0\0\0\0", 8) + "line one\nline two\nHALLPASS_APPROVERS=bob\nHALLPASS_APPROVERS=ana\n";
  int wrong = wrong_if(record.datagram() != expected, "fields, in order, empty ones left out");
  // The vector that journald itself read back has its value with a newline in the very same form.
  const std::string in_vector = std::string("_NOTE\n\x11\0\0\0\0\0\0\0", 14) + "line one\nline two\n";
  wrong += wrong_if(vector_bytes().find(in_vector) == std::string::npos, "journald's own vector");
  wrong += wrong_if(expected.find(in_vector.substr(5)) == std::string::npos, "the length form is the vector's");
  EventRecord forged(Event::login_refused, "m");
  forged.with("REASON", "x\nHALLPASS_DECISION=admit");
  wrong += wrong_if(forged.datagram().find("HALLPASS_REASON\n") == std::string::npos, "a newline makes no field");
  EventRecord control(Event::login_refused, "a\x1b[2Jb\tc\x7f");
  wrong += wrong_if(control.datagram().find("MESSAGE=a?[2Jb?c?\n") != 0, "control characters");
  return wrong;
}

int wrong_table() {
  int wrong = 0;
  std::set<std::string_view> ids, names;
  for (std::size_t i = 0; i < all_events().size(); ++i) {
    const EventInfo& info = all_events()[i];
    const EventText& words = event_text(static_cast<Event>(i));
    const bool id_holds =
        info.message_id.size() == 32 && info.message_id.find_first_not_of("0123456789abcdef") == std::string_view::npos;
    wrong +=
        wrong_if(!id_holds || !ids.insert(info.message_id).second || !names.insert(info.name).second, info.name.data());
    wrong += wrong_if(info.priority < 2 || info.priority > 6 || words.subject.empty() || words.text.size() < 10,
                      info.name.data());
    wrong += wrong_if(words.subject.find('\n') != std::string_view::npos, info.name.data());
  }
  return wrong;
}

int wrong_sending() {
  const ScratchDir dir;
  const std::string path = dir / "events";
  int wrong = wrong_if(send_datagram(path.c_str(), "x"), "nobody there");
  wrong += wrong_if(send_datagram(std::string(200, 'x').c_str(), "x"), "a path too long");
  const int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  memcpy(address.sun_path, path.c_str(), path.size());
  if (bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) return 1;
  const EventRecord record(Event::agent_started, "started");
  wrong += wrong_if(!send_datagram(path.c_str(), record.datagram()), "somebody there");
  char got[4096];
  const ssize_t n = recv(fd, got, sizeof got, 0);
  wrong += wrong_if(n < 0 || std::string(got, static_cast<std::size_t>(n)) != record.datagram(), "one datagram, whole");
  int queued = 0;
  while (queued < 100000 && send_datagram(path.c_str(), "x")) ++queued;
  wrong += wrong_if(queued == 100000, "a full queue is not waited for");
  close(fd);
  return wrong;
}

void test_datagrams(void**) {
  assert_int_equal(wrong_datagrams(), 0);
}
void test_table(void**) {
  assert_int_equal(wrong_table(), 0);
}
void test_sending(void**) {
  assert_int_equal(wrong_sending(), 0);
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {cmocka_unit_test(test_datagrams), cmocka_unit_test(test_table),
                              cmocka_unit_test(test_sending)};
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
