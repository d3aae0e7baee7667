// The agent's side of `hallpass time`, `done` and `hallpass host ...`: one command a connection, one JSON answer.
// docs/formats.md, "Control socket".
//
// Every user of the host may connect, so nothing here waits: connections are few, short and counted by user, and who
// asks is answered when his command is there. No decision ever waits on this socket.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <list>
#include <optional>
#include <string>
#include <string_view>

#include "agent/local_socket.h"
#include "core/values/result.h"

namespace hallpass {

inline constexpr std::size_t kMaxCommandBytes = 1024;

// Commands that any user may give; all others are root's.
bool open_to_all(std::string_view command);

class ControlSocket {
 public:
  // Called for what the peer may ask. The answer's text on success, else the reason.
  using Handler = std::function<Result<std::string>(const Peer& peer, std::string_view command)>;
  struct Limits {
    std::size_t connections = 32;              // at once
    std::size_t of_users = 24;                 // of these, by users other than root
    std::size_t of_one_user = 4;               // by each of them
    std::size_t accepts = 8;                   // in one turn; after such a turn nobody is accepted
    std::chrono::milliseconds pause{20};       // for so long, so that a flood costs little
    std::chrono::milliseconds patience{2000};  // with who is silent, and with who does not read
  };

  using Who = std::function<std::optional<Peer>(int fd)>;  // is on the other end; tests have their own

  explicit ControlSocket(Handler handler) : ControlSocket(std::move(handler), Limits(), peer_of) {}
  ControlSocket(Handler handler, const Limits& limits, Who who);
  ~ControlSocket();
  ControlSocket(const ControlSocket&) = delete;
  ControlSocket& operator=(const ControlSocket&) = delete;

  Status open(const std::string& path);
  // Readable, and stays so, while serve() has something to do; that a client is late counts.
  int fd() const { return epoll_; }
  // One bounded turn. Blocks in the handler alone.
  void serve();
  std::size_t connections() const { return clients_.size(); }

 private:
  using Moment = std::chrono::steady_clock::time_point;
  struct Client;
  void accept_some(Moment now);
  bool room_for(uid_t uid) const;
  void take(int fd, const Peer& peer, Moment now);
  void read_command(Client& client);
  void write_answer(Client& client);
  void watch_listener(bool on);
  void arm_timer(Moment now);

  Handler handler_;
  Limits limits_;
  Who who_;
  int listener_ = -1, epoll_ = -1, timer_ = -1;
  bool listening_ = false;
  Moment listen_at_{};  // while not listening
  std::list<Client> clients_;
};

}  // namespace hallpass
