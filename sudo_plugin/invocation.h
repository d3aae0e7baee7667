// One call of sudo, from the audit plugin's open to its close. docs/architecture.md, "sudo".
//
// Each call has one authority, chosen before sudoers reads its rules: a grant that covers what was typed (sudoers then
// sees our fragment and nothing of the site's privileges), or stock sudoers alone. Whatever goes wrong while choosing
// leaves stock sudoers, never more.
#pragma once

#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "sudo_plugin/authorise.h"
#include "sudo_plugin/fragment.h"
#include "sudo_plugin/records.h"
#include "sudo_plugin/wish.h"

namespace hallpass {

class Invocation {
 public:
  explicit Invocation(unsigned api_version) : api_(api_version) {}

  // Chooses the authority. `unfit`: why no grant may count whatever the admissions say; null: they may. Never throws.
  void choose(const Vector& settings, const Vector& user_info, int optind, char* const argv[],
              const char* unfit) noexcept;
  // Nobody saw what was typed: stock sudoers alone, and somebody should look.
  void do_without(const Vector& user_info, const char* why);
  // sudoers is open: back to stock sudoers if it did not read what choose() prepared.
  void look_at_fragment();

  bool by_grant() const { return cover_.has_value(); }
  // sudoers' plugin options: the site's, and where our fragment is. Borrowed, valid as long as this.
  char** options(char* const site[]);

  // --- sudoers accepted under our fragment: the second look. True: *command_info is replaced by a copy that ends with
  // the grant.
  bool admit(bool sub, char* const argv[], char* const env_add[], char** command_info[], char* const run_argv[]);

  // No rule of the site's may decide for this session.
  bool standing_denied() const { return standing_denied_; }
  // The store may only look broken, because of limits that the caller set: nothing is run, or falling back to the
  // site's rules would be in the caller's hands.
  bool starved() const { return starved_; }
  // For people; empty: nothing to say.
  std::string hint() const;
  std::string listing() const;
  // The caller's session is known, but nothing in it can be used: hint() says why.
  bool has_idle_grants() const { return session_.has_value() && !no_grants_.empty(); }
  std::string sudoers_refused() const;
  std::string end_words(int wait_status) const;
  const std::string& refusal() const { return refusal_; }
  const char* refuse(std::string why);

  // --- the journal
  // From now on it is about this sub-command.
  void checks_sub_command(char* const argv[]);
  void tell_accept(const Vector& command_info, char* const run_argv[]);
  void tell_refusal(Event event, const char* why, const Vector& command_info) const;
  void tell_exit(int status_type, int status) const;

  bool listing_only = false;      // sudo -l: its answers are no attempts
  bool first_check_done = false;  // what is checked after the command itself are its sub-commands

 private:
  void choose_or_throw(const Vector& settings, int optind, char* const argv[], const char* unfit);
  void give_up_grant();
  void prepare_fragment(const Cover& cover);
  void degrade(const std::string& why);
  void limit_to(const Authority& authority, char** command_info[]);
  SudoRecord record() const;
  std::optional<UnixTime> now() const;

  unsigned api_;
  Abilities abilities_;
  std::string account_;
  uid_t uid_ = 0;
  std::optional<Session> session_;
  Wish wish_;
  Search search_;
  std::optional<Cover> cover_;
  Fragment fragment_;
  bool standing_denied_ = false;
  bool starved_ = false;
  bool admitted_ = false;
  std::string no_grants_;  // why none counts here and now
  std::string refusal_, fragment_option_;
  std::vector<std::string> sub_;
  struct Ran {
    std::vector<std::string> command;
    std::string path, target;
  } ran_;  // what was accepted, for the entry about its end
  std::vector<char*> options_;
  // sudoers frees its own vectors at the next check, sub-commands have many.
  std::deque<std::vector<std::string>> kept_;
  std::deque<std::vector<char*>> kept_vectors_;
};

}  // namespace hallpass
