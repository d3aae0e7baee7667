// Ends what came to a personal account during a visit and would outlive it: at jobs, sessions made from within, the
// user manager, lingering. What stood before goes on.
//
// One step ends what it finds and says what is left; it never waits. As one kind can start another (a job of at can
// switch lingering on, a user's service can make a job), it is over only when two steps in a row found nothing.
//
// What cannot be told to be new is left alone and named (in_doubt):
// - When a job that stood before ran during the visit, jobs made and processes of at begun since it was due may be that
//   job's: a job that makes its own successor is an old habit. Only somebody who could leave a job before the first
//   login gains by that, and he could have left what he likes.
// - While the account is logged in to by another door (the console, an exempt login), its user manager is left alone:
//   what runs there may be that login's. Asked again until the door is shut.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "agent/account_traces.h"
#include "agent/session_host.h"
#include "agent/visit_record.h"

namespace hallpass {

class VisitEnding {
 public:
  // All borrowed; `visit` is of a personal account and known. `boot`: this boot's id.
  VisitEnding(const Visit& visit, const AccountPlaces& places, SessionHost& host, std::string boot);

  // True: it is over.
  bool step();
  Milliseconds began() const { return began_; }
  bool waits_for_door() const { return door_; }  // nothing but another login is in the way

  // Each one line for people.
  std::vector<std::string> ended() const;                         // so far
  const std::vector<std::string>& left() const { return left_; }  // found by the last step
  std::vector<std::string> in_doubt() const;

 private:
  struct Bounds;  // from when on what is new may be an old job's
  Bounds bounds(const std::vector<AtJob>& jobs) const;
  bool is_since(const Process& process) const;
  void end_jobs();
  void remove_jobs(const std::vector<AtJob>& jobs, const Bounds& bounds);
  std::vector<Process> at_processes();
  std::set<std::uint32_t> audits_of_removed(const std::vector<Process>& processes);
  void end_at_processes(const Bounds& bounds);
  void look_at_sessions();
  bool made_from_within(const std::string& id, const std::string& service);
  void end_session(const std::string& id, const std::string& service);
  void end_manager();
  void end_new_units(const std::vector<Process>& processes);
  void end_whole_manager(const std::vector<Process>& processes);
  void kill_units(const std::vector<Process>& processes);
  void kill_all(std::string_view group, const std::vector<Process>& processes);
  void end_linger();

  const Visit& visit_;
  const AccountPlaces& places_;
  SessionHost& host_;
  std::string boot_, manager_;
  std::uint64_t since_;
  Milliseconds began_;

  std::string door_by_;  // another login, for people
  bool door_ = false;
  bool foreign_sessions_ = false;  // neither logins nor ours to end
  int clean_ = 0;                  // steps in a row that found nothing
  std::optional<Milliseconds> manager_asked_, linger_asked_;
  std::map<std::string, Milliseconds> sessions_asked_;

  std::set<std::string> removed_jobs_;    // AtJob::name()
  std::set<std::string> ended_services_;  // names of processes of the user manager
  std::set<pid_t> ended_at_;              // processes of at
  std::set<std::string> ended_sessions_;
  bool ended_linger_ = false;
  std::set<std::string> doubtful_;
  std::vector<std::string> left_;
};

}  // namespace hallpass
