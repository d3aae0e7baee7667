// The agent's side of `hallpass host ...`: one command a connection, one JSON answer. Root only; no decision ever waits
// on it.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "core/values/result.h"

namespace hallpass {

class ControlSocket {
 public:
  // Handles "clock-accept" and the like; the answer's text on success.
  using Handler = std::function<Result<std::string>(std::string_view command)>;
  explicit ControlSocket(Handler handler) : handler_(std::move(handler)) {}
  ~ControlSocket();
  ControlSocket(const ControlSocket&) = delete;
  ControlSocket& operator=(const ControlSocket&) = delete;

  Status open(const std::string& path);
  int fd() const { return fd_; }
  // When fd() is readable: takes one connection. A client that sends nothing at once is dropped, so nobody makes the
  // agent wait.
  void serve();

 private:
  Handler handler_;
  int fd_ = -1;
};

// {"ok":true,"text":"..."}: the client's side. Errors: unavailable (no agent), mismatch (it refused; its words).
Result<std::string> ask_agent(const std::string& path, std::string_view command);

}  // namespace hallpass
