// What runs on an account with nobody logged in, and so outlives every grant: cron, at, lingering, units of its own.
#include "agent/account_traces.h"
#include "agent/setup/check_facts.h"

namespace hallpass {
namespace {

AccountPlaces places_of(const Layout& layout) {
  AccountPlaces places;
  places.linger = layout.at(places.linger);
  for (std::string& path : places.at_spools) path = layout.at(path);
  for (std::string& path : places.crontabs) path = layout.at(path);
  return places;
}

// Only what has a program here can be used; without either file at is root's alone, and cron everybody's.
void check_allowed(const HostFacts& facts, Findings& found) {
  if (facts.exists("/usr/bin/crontab") && !facts.exists("/etc/cron.allow"))
    found.note("cron_open", "/etc/cron.allow",
               "is not there, so whoever has a grant may leave a crontab, which runs on after it",
               "`touch /etc/cron.allow` lets nobody but root, and whom it names, a line each");
  if (facts.exists("/usr/bin/at") && !facts.exists("/etc/at.allow") && facts.exists("/etc/at.deny"))
    found.note("at_open", "/etc/at.allow", "is not there, so whoever has a grant may leave jobs of at",
               "`touch /etc/at.allow` lets nobody but root, and whom it names, a line each");
}

void check_account(const AccountPlaces& places, const Account& account, bool opened, Findings& found) {
  const std::string& name = account.name;
  if (lingering_since(places, name)) {
    const std::string what = "lingers: its user manager runs with nobody logged in";
    const std::string cure = "`loginctl disable-linger " + name + "`, unless a service of yours needs it";
    opened ? found.warning("lingering", name, what, cure) : found.note("lingering", name, what, cure);
  }
  for (const Crontab& crontab : crontabs_of(places, name)) {
    if (crontab.lines.empty()) continue;
    found.note("crontab", name,
               "has a crontab of " + std::to_string(crontab.lines.size()) + " lines, which runs without any grant",
               "read it with `cat " + crontab.path + "`; remove it with `rm " + crontab.path + "`");
  }
  const auto jobs = at_jobs(places.at_spools, account.uid);
  if (jobs.empty()) return;
  std::string numbers;
  for (const AtJob& job : jobs) numbers += " " + at_job_number(job.name());
  found.note("at_jobs", name, "has " + std::to_string(jobs.size()) + " jobs of at, which run without any grant",
             "read them with `atq`; remove them with `atrm" + numbers + "`");
}

// Links below ~/.config/systemd/user/*.wants: what the account's manager starts by itself.
void check_units(const HostFacts& facts, const Account& account, Findings& found) {
  if (account.home.size() < 2) return;
  const std::string units = account.home + "/.config/systemd/user";
  std::vector<std::string> files;
  for (const std::string& directory : names_in(facts.layout.at(units))) {
    if (!directory.ends_with(".wants")) continue;
    for (const std::string& unit : names_in(facts.layout.at(units + "/" + directory)))
      files.push_back(units + "/" + directory + "/" + unit);
  }
  if (files.empty()) return;
  std::string all;
  for (const std::string& file : files) all += " " + file;
  found.note("user_units", account.name,
             "has " + std::to_string(files.size()) + " units that systemd starts at each of its logins: " +
                 files[0].substr(files[0].rfind('/') + 1) + (files.size() > 1 ? ", ..." : ""),
             "`rm" + all + "`, unless they are meant");
}

}  // namespace

void check_jobs(const HostFacts& facts, Findings& found) {
  if (!facts.enforcing()) return;
  check_allowed(facts, found);
  const AccountPlaces places = places_of(facts.layout);
  const std::set<std::string> opened = facts.opened_accounts();
  for (const Account& account : facts.accounts) {
    if (account.uid == 0 || facts.is_exempt(account.name)) continue;
    check_account(places, account, opened.count(account.name) != 0, found);
    if (account.can_log_in) check_units(facts, account, found);
  }
}

}  // namespace hallpass
