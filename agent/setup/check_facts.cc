#include "agent/setup/check_facts.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <tuple>
#include <utility>

#include "core/edge/files.h"
#include "core/values/text.h"

namespace hallpass {
namespace {

constexpr std::size_t kMaxStatusBytes = std::size_t{1024} * 1024;
constexpr std::size_t kMaxLineBytes = 400;
constexpr char kModule[] = "pam_hallpass.so";

const char* const kUnits[] = {"hallpass-agent.service", "hallpass-fetch.service", "hallpass-notify.service",
                              "hallpass-way-back.service"};

Mode mode_of_pam(const std::vector<PamLine>& lines) {
  Mode mode = Mode::off;
  for (const PamLine& line : lines) {
    if (!line.is_module(kModule) || line.file != "/etc/pam.d/sshd") continue;
    if (!line.has("mode=observe")) return Mode::enforce;
    mode = Mode::observe;
  }
  return mode;
}

// What is meant: the record, where there is one that says anything, else what the files look like. Somebody who took
// half of them away did not switch hallpass off.
void find_mode(HostFacts& facts) {
  facts.pam = read_pam_stack(facts.layout, "sshd");
  for (const PamLine& line : facts.pam) {
    if (!line.is_module(kModule)) continue;
    for (const std::string& argument : line.arguments) {
      if (argument.starts_with("exempt_group=")) facts.exempt_group = argument.substr(13);
    }
  }
  facts.mode = mode_of_pam(facts.pam);
  if (facts.exists("/etc/ssh/sshd_config.d/hallpass.conf")) facts.mode = Mode::enforce;
  const Result<ActivationState> recorded = read_activation(facts.layout);
  if (!recorded) {
    facts.activation_fault = recorded.error().message;
    return;
  }
  facts.activation = *recorded;
  facts.activated = recorded->since != UnixTime{};
  if (facts.activated) facts.mode = recorded->now.mode;
}

void read_people(HostFacts& facts) {
  auto accounts = read_accounts(facts.layout);
  if (!accounts) {
    facts.accounts_fault = accounts.error().message;
    return;
  }
  facts.accounts = std::move(*accounts);
  const auto members = group_members(facts.layout, facts.exempt_group, facts.accounts);
  if (members) facts.exempt = std::set<std::string>(members->begin(), members->end());
}

template <class T>
std::optional<T> parse(const std::string& path, std::optional<T> (*parser)(std::string_view, std::vector<Diagnostic>&),
                       std::vector<Diagnostic>& faults) {
  const auto text = read_file(AT_FDCWD, path, kMaxTomlBytes, true);
  if (text) return parser(*text, faults);
  faults.push_back({Diagnostic::Severity::error, 0, text.error().message, "write it: hallpass.toml(5)"});
  return std::nullopt;
}

void read_policy(HostFacts& facts) {
  const auto text = read_file(AT_FDCWD, facts.layout.policy_in_force(), kMaxPolicyBytes);
  if (!text) {
    if (text.error().code != Errc::not_found) facts.policy_fault = text.error().message;
    return;
  }
  std::vector<Diagnostic> faults;
  facts.policy = parse_policy(*text, faults);
  if (!facts.policy && !faults.empty()) facts.policy_fault = faults[0].message;
}

void read_units(HostFacts& facts) {
  Program show{
      {"/usr/bin/systemctl", "show", "--property=Id,Names,LoadState,ActiveState,UnitFileState,LogRateLimitBurst"}, {}};
  show.argv.insert(show.argv.end(), std::begin(kUnits), std::end(kUnits));
  const std::vector<std::string> others = units_of_services(facts.layout);
  show.argv.insert(show.argv.end(), others.begin(), others.end());
  const ProgramEnd end = facts.programs.run(show);
  if (!end.exited || end.output.empty()) {
    facts.units_fault = end.exited ? end.errors : end.fault;
    return;
  }
  UnitState unit;
  const auto finish = [&] {
    const std::string load = unit.properties["LoadState"];
    unit.exists = load == "loaded";
    unit.active = unit.properties["ActiveState"] == "active" || unit.properties["ActiveState"] == "reloading";
    unit.enabled = unit.properties["UnitFileState"];
    for (const std::string& name : words_of(unit.properties["Names"])) facts.units[name] = unit;
    facts.units[unit.properties["Id"]] = unit;
    unit = UnitState();
  };
  for (const std::string_view line : lines_of(end.output)) {
    const std::size_t equals = line.find('=');
    if (line.empty() && !unit.properties.empty()) finish();
    if (equals != std::string_view::npos)
      unit.properties.emplace(std::string(line.substr(0, equals)), std::string(line.substr(equals + 1)));
  }
  if (!unit.properties.empty()) finish();
}

bool names_hallpass(const Layout& layout) {
  const auto text = read_file(AT_FDCWD, layout.at("/etc/sudo.conf"), kMaxStatusBytes, true);
  if (!text) return false;
  const auto lines = lines_of(*text);
  return std::any_of(lines.begin(), lines.end(), [](std::string_view line) {
    const auto words = words_of(line);
    return words.size() > 2 && words[0] == "Plugin" && words[1].starts_with("hallpass_");
  });
}

}  // namespace

std::vector<ProgramEnd> Programs::run_all(const std::vector<Program>& programs) {
  std::vector<ProgramEnd> ends;
  for (const Program& program : programs) ends.push_back(run(program));
  return ends;
}

void Findings::add(Severity severity, std::string code, std::string where, std::string what, std::string cure) {
  // The host's own words may come with line ends.
  const auto line = [](std::string text) {
    while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) text.pop_back();
    std::erase(text, '\r');
    std::replace(text.begin(), text.end(), '\n', ' ');
    return printable(text, kMaxLineBytes);
  };
  found_.push_back({severity, std::move(code), line(std::move(where)), line(std::move(what)), line(std::move(cure))});
}
void Findings::error(std::string code, std::string where, std::string what, std::string cure) {
  add(Severity::error, std::move(code), std::move(where), std::move(what), std::move(cure));
}
void Findings::warning(std::string code, std::string where, std::string what, std::string cure) {
  add(Severity::warning, std::move(code), std::move(where), std::move(what), std::move(cure));
}
void Findings::note(std::string code, std::string where, std::string what, std::string cure) {
  add(Severity::note, std::move(code), std::move(where), std::move(what), std::move(cure));
}

std::vector<Finding> Findings::take() {
  std::stable_sort(found_.begin(), found_.end(), [](const Finding& a, const Finding& b) {
    return std::tuple(-static_cast<int>(a.severity), std::string_view(a.code), std::string_view(a.where)) <
           std::tuple(-static_cast<int>(b.severity), std::string_view(b.code), std::string_view(b.where));
  });
  return std::move(found_);
}

const UnitState& HostFacts::unit(const std::string& name) const {
  static const UnitState kNone;
  const auto found = units.find(name);
  return found == units.end() ? kNone : found->second;
}

bool HostFacts::exists(const std::string& path) const {
  struct stat st {};
  return ::stat(layout.at(path).c_str(), &st) == 0;
}

std::vector<const Account*> HostFacts::governed() const {
  std::vector<const Account*> found;
  for (const Account& each : accounts) {
    if (each.can_log_in && !is_exempt(each.name) && each.name != paths::kDropAccount) found.push_back(&each);
  }
  return found;
}

const Account* HostFacts::account(std::string_view name) const {
  const auto found = std::find_if(accounts.begin(), accounts.end(), [&](const Account& a) { return a.name == name; });
  return found == accounts.end() ? nullptr : &*found;
}

std::map<const Runbook*, std::set<std::string>> HostFacts::runbooks_here() const {
  std::map<const Runbook*, std::set<std::string>> here;
  if (!policy || !config) return here;
  for (const Rule& rule : policy->rules) {
    if (!any_matches(rule.targets, config->host)) continue;
    for (const std::string& name : rule.runbooks) {
      const auto runbook = policy->runbooks.find(name);
      if (runbook == policy->runbooks.end()) continue;
      here[&runbook->second].insert(rule.requester_people.begin(), rule.requester_people.end());
    }
  }
  return here;
}

std::set<std::string> HostFacts::opened_accounts() const {
  std::set<std::string> opened;
  for (const auto& [runbook, people] : runbooks_here()) {
    if (!runbook->is_self()) opened.insert(runbook->account);
    for (const std::string& name : people) {
      const auto person = policy->people.find(name);
      if (runbook->is_self() && person != policy->people.end()) opened.insert(person->second.account);
    }
  }
  return opened;
}

HostFacts gather_facts(const Layout& layout, Programs& programs, const ClockReading& clock) {
  HostFacts facts(layout, programs, clock);
  find_mode(facts);
  facts.sudo_wrapped = names_hallpass(layout);
  read_people(facts);
  facts.config = parse(layout.host_config(), &parse_host_config, facts.config_faults);
  facts.trust = parse(layout.trust(), &parse_trust, facts.trust_faults);
  read_policy(facts);
  if (const auto text = read_file(AT_FDCWD, layout.status(), kMaxStatusBytes)) {
    if (auto status = parse_json(*text)) facts.status = std::move(*status);
  }
  read_units(facts);
  return facts;
}

std::string listed(const std::vector<std::string>& words, std::size_t most) {
  std::string text;
  const std::size_t shown = words.size() > most + 1 ? most : words.size();
  for (std::size_t i = 0; i < shown; ++i) {
    const bool last = i + 1 == words.size();
    text += (i == 0 ? "" : last ? " and " : ", ") + words[i];
  }
  if (shown < words.size()) text += " and " + std::to_string(words.size() - shown) + " more";
  return text;
}

std::vector<std::string_view> lines_of(std::string_view text) {
  std::vector<std::string_view> lines;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    lines.push_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return lines;
}

std::vector<std::string> names_in(const std::string& directory) {
  std::vector<std::string> names;
  const std::unique_ptr<DIR, int (*)(DIR*)> stream(opendir(directory.c_str()), closedir);
  while (const dirent* entry = stream ? readdir(stream.get()) : nullptr) {
    if (entry->d_name[0] != '.') names.emplace_back(entry->d_name);
  }
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace hallpass
