// hallpass-notify's loop: what the queue holds, to whom the configuration says, until a signal ends it.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "notify/command.h"
#include "notify/deliverer.h"
#include "notify/routes.h"
#include "notify/smtp.h"
#include "notify/webhook.h"

namespace hallpass {

class Program {
 public:
  using Tell = void (*)(int priority, const std::string& text);
  // All outlive it. word: what the queue holds, for messages: "alert", "notice".
  Program(const NotifyConfig& config, Spool& spool, Routes& routes, std::string word, Tell tell);
  // Blocks the signals that it reads. False: the kernel refuses.
  bool prepare();
  // The exit status.
  int run();

 private:
  std::optional<Deliverer::Lane> open(const std::string& name);
  Courier courier(const std::string& shown) const;
  void look(Moment now);
  bool wait(Moment until);
  void read_signals();
  bool read_notifications();

  const NotifyConfig& config_;
  Spool& spool_;
  Routes& routes_;
  std::string word_;
  Tell tell_;
  Transfers transfers_;
  int mails_running_ = 0;
  std::unique_ptr<Webhook> webhook_;
  std::unique_ptr<Command> command_;
  std::map<std::string, std::unique_ptr<Smtp>> mails_;
  std::unique_ptr<Deliverer> deliverer_;
  Descriptor signals_, changes_;
  Moment looked_{};
  bool ending_ = false, dirty_ = true;
};

}  // namespace hallpass
