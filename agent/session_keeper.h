// The sessions of a real host within the agent's event loop: what wakes Sessions up, and what people ask about it.
#pragma once

#include <systemd/sd-event.h>

#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "agent/agent.h"
#include "agent/linux_host.h"
#include "agent/session_view.h"
#include "agent/sessions.h"
#include "agent/visits.h"

namespace hallpass {

class SessionKeeper final : public SessionDesk {
 public:
  // `agent`: the one there is now; another after a reload.
  // `due_moved`: next_due() may say something else.
  SessionKeeper(sd_event* event, const Layout& layout, Journal& journal, std::function<Agent&()> agent,
                std::function<void()> due_moved);
  ~SessionKeeper() override;

  // After the agent has published what its ledger says.
  void start();
  // The configuration was read (again).
  void configure();
  // The agent may have published something else, or time has passed.
  void look();
  void minute();
  UnixTime next_due() const { return sessions_->next_due(); }
  const Sessions& sessions() const { return *sessions_; }

  std::string host() const override;
  UnixTime now() const override;
  std::vector<SessionFacts> all() const override;
  std::optional<SessionFacts> named(const std::string& name) const override;
  std::vector<GrantFacts> grants(const Session& session) const override;
  Status give_back(const Session& session) override;
  Status end(const Session& session, const std::string& reason) override;

 private:
  Sessions::Seams seams();
  SessionFacts facts(const Sessions::View& view) const;
  std::vector<Power> powers(const std::string& account, const std::string& subject) const;
  void tell_of_alerting_grants();
  void watch(const std::string& directory);
  void arm();
  static int on_change(sd_event_source*, int, std::uint32_t, void* p);
  static int on_step(sd_event_source*, std::uint64_t, void* p);

  sd_event* event_;
  const Layout& layout_;
  Journal& journal_;
  std::function<Agent&()> agent_;
  std::function<void()> due_moved_;
  std::unique_ptr<LinuxHost> host_;
  std::unique_ptr<Visits> visits_;
  std::unique_ptr<Sessions> sessions_;
  std::set<uid_t> without_manager_;
  int inotify_ = -1;
  sd_event_source *changes_ = nullptr, *step_ = nullptr;
  std::optional<Milliseconds> again_;  // a look that nothing else asks for, in time since boot
  Milliseconds pause_{0};              // before it
};

}  // namespace hallpass
