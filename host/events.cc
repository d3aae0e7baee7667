#include "host/events.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstdint>
#include <cstring>

#include "host/paths.h"

namespace hallpass {
namespace {

constexpr EventInfo kEvents[] = {
#define HALLPASS_EVENT(name, id, priority, subject, text) {#name, id, priority},
#include "host/events.def"
#undef HALLPASS_EVENT
};

// Control characters would reach the terminals of those who read the journal. A newline stays: the length form carries
// it.
std::string cleaned(std::string_view value) {
  std::string out(value);
  for (char& c : out) {
    if ((static_cast<unsigned char>(c) < 0x20 && c != '\n') || c == 0x7f) c = '?';
  }
  return out;
}

void append(std::string& datagram, std::string_view name, std::string_view value) {
  datagram += name;
  if (value.find('\n') == std::string_view::npos) {
    datagram += '=';
  } else {
    datagram += '\n';
    for (unsigned shift = 0; shift < 64; shift += 8)
      datagram += static_cast<char>(std::uint64_t{value.size()} >> shift & 0xff);
  }
  datagram += value;
  datagram += '\n';
}

}  // namespace

const EventInfo& event_info(Event e) {
  return kEvents[static_cast<std::size_t>(e)];
}
std::span<const EventInfo> all_events() {
  return kEvents;
}

EventRecord::EventRecord(Event event, std::string_view message) {
  const EventInfo& info = event_info(event);
  append(datagram_, "MESSAGE", cleaned(message));
  append(datagram_, "MESSAGE_ID", info.message_id);
  append(datagram_, "PRIORITY", std::to_string(info.priority));
  append(datagram_, "SYSLOG_IDENTIFIER", "hallpass");
  append(datagram_, "SYSLOG_FACILITY", "10");
  append(datagram_, "HALLPASS_EVENT", info.name);
}

EventRecord& EventRecord::with(std::string_view name, std::string_view value) {
  if (!value.empty()) append(datagram_, "HALLPASS_" + std::string(name), cleaned(value));
  return *this;
}

bool send_datagram(const char* socket_path, std::string_view datagram) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::size_t length = strlen(socket_path);
  if (length >= sizeof address.sun_path) return false;
  memcpy(address.sun_path, socket_path, length);
  const int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return false;
  iovec part{const_cast<char*>(datagram.data()), datagram.size()};
  alignas(cmsghdr) char room[CMSG_SPACE(sizeof(ucred))] = {};
  msghdr message{&address, sizeof address, &part, 1, room, sizeof room, 0};
  // The kernel's own word would be the real user, who in sudo is the caller; it lets only root say another than that.
  const ucred self{getpid(), geteuid(), getegid()};
  cmsghdr* header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_CREDENTIALS;
  header->cmsg_len = CMSG_LEN(sizeof self);
  memcpy(CMSG_DATA(header), &self, sizeof self);
  const ssize_t sent = sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
  close(fd);
  return sent == static_cast<ssize_t>(datagram.size());
}

Taken send_event(const EventRecord& record) {
  if (send_datagram(paths::kEventSocket, record.datagram())) return Taken::agent;
  return send_to_journald(record.datagram());
}

Taken send_to_journald(std::string_view datagram) {
  return send_datagram(paths::kJournalSocket, datagram) ? Taken::journald : Taken::nobody;
}

}  // namespace hallpass
