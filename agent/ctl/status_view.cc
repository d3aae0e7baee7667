#include "agent/ctl/status_view.h"

#include "core/values/text.h"
#include "core/values/time.h"

namespace hallpass {
namespace {

// The agent writes at least once a minute.
constexpr std::int64_t kStaleAfter_s = 150;

std::string text_of(const Json* object, std::string_view name) {
  const Json* found = object == nullptr ? nullptr : object->find(name);
  if (found == nullptr) return "?";
  if (const std::string* s = found->as_string()) return printable(*s);
  if (const std::int64_t* n = found->as_int()) return std::to_string(*n);
  if (const bool* b = found->as_bool()) return *b ? "yes" : "no";
  return found->is_null() ? "none" : "?";
}

class Printer {
 public:
  Printer(const ClockReading& clock, const Zone& zone) : clock_(clock), zone_(zone) {}

  void line(const std::string& label, const std::string& value) {
    constexpr std::size_t kWidth = 12;
    text_ += label + std::string(label.size() < kWidth ? kWidth - label.size() : 1, ' ') + value + "\n";
  }
  // "2026-11-21 14:32:10 (12m left)"
  std::string when(const Json* object, std::string_view name) const {
    std::string written = text_of(object, name);
    const Result<UnixTime> t = parse_time(written);
    if (!t) return written;
    std::string local = format_time(*t + zone_.offset_at(*t));
    local[10] = ' ';
    local.pop_back();
    const Seconds left = *t - clock_.wall;
    if (left > Seconds{0}) return local + " (" + rounded(left) + " left)";
    return local + " (" + rounded(-left) + " ago)";
  }
  std::string take() { return std::move(text_); }

 private:
  // Nobody wants the seconds of a year.
  static std::string rounded(Seconds d) {
    const long long unit = d >= Seconds{86400 * 2} ? 86400 : d >= Seconds{7200} ? 60 : 1;
    return format_duration(Seconds{d.count() / unit * unit});
  }
  const ClockReading& clock_;
  const Zone& zone_;
  std::string text_;
};

std::string staleness(const Json& status, const ClockReading& clock) {
  const Json* uptime = status.find("uptime");
  const std::int64_t* written = uptime == nullptr ? nullptr : uptime->as_int();
  if (written == nullptr) return "the status cannot be read";
  // By the time since boot, which nobody sets. The file lies in /run: it does not outlive a boot.
  const std::int64_t age = clock.boottime.count() - *written;
  if (age <= kStaleAfter_s) return "";
  return "hallpass-agent has written nothing for " + format_duration(Seconds{age}) +
         ": `systemctl status hallpass-agent`";
}

void print_grants(const Json* grants, Printer& out) {
  const JsonObject* by_state = grants == nullptr ? nullptr : grants->as_object();
  std::string counts;
  if (by_state != nullptr) {
    for (const auto& [state, count] : *by_state) {
      counts += (counts.empty() ? "" : ", ") + text_of(grants, state) + " " + printable(state);
    }
  }
  out.line("grants", counts.empty() ? "?" : counts);
}

void print_directories(const Json* directories, Printer& out) {
  const JsonArray* list = directories == nullptr ? nullptr : directories->as_array();
  if (list == nullptr) return;
  for (const Json& d : *list) {
    const std::string error = text_of(&d, "error");
    out.line("directory",
             text_of(&d, "path") + ": " +
                 (error == "none" ? text_of(&d, "files") + " files, looked at " + out.when(&d, "last_scan") : error));
  }
}

// What is wrong with it stands under WRONG.
void print_log(const Json* log, Printer& out) {
  if (log == nullptr || log->as_object() == nullptr) return;
  const Json* seen = log->find("seen_at");
  out.line("log", text_of(log, "origin") + ", " + text_of(log, "size") + " entries, " +
                      (seen != nullptr && seen->as_string() != nullptr ? "vouched for " + out.when(log, "seen_at")
                                                                       : "no head seen yet"));
}

// hallpass-fetch's own words: of no weight for what is decided.
void print_fetch(const Json& fetch, Printer& out) {
  if (fetch.as_object() == nullptr) return;
  const Json* url = fetch.find("url");
  const bool served = url != nullptr && url->as_string() != nullptr;
  out.line("fetcher",
           served ? text_of(&fetch, "url") + ", asked " + out.when(&fetch, "checked_at") : "no URL has answered yet");
  const Json* fault = fetch.find("fault");
  if (fault != nullptr && fault->as_object() != nullptr)
    out.line("", text_of(fault, "url") + ": " + text_of(fault, "what") + ", " + out.when(fault, "at"));
}

// Why it is unusable stands under WRONG.
std::string sudo_words(const Json* sudo) {
  const std::string state = text_of(sudo, "defaults");
  if (state == "absent") return "none on this host: " + text_of(sudo, "why");
  if (state == "unusable") return "no grant gives it";
  return state;
}

}  // namespace

StatusView view_status(const Json& status, const Json& fetch, const ClockReading& clock, const Zone& zone) {
  StatusView view;
  view.stale = staleness(status, clock);
  Printer out(clock, zone);
  out.line("host", text_of(&status, "host"));
  const Json* policy = status.find("policy");
  const bool has_policy = policy != nullptr && policy->as_object() != nullptr;
  out.line("policy", has_policy
                         ? "version " + text_of(policy, "version") + ", valid until " + out.when(policy, "valid_until")
                         : "none");
  print_grants(status.find("grants"), out);
  out.line("admissions", text_of(&status, "admissions") + ", next change " + out.when(&status, "next_change"));
  print_directories(status.find("directories"), out);
  print_log(status.find("log"), out);
  print_fetch(fetch, out);
  const Json* inputs = status.find("inputs");
  if (text_of(inputs, "refused") != "0")
    out.line("refused", text_of(inputs, "refused") + " files since the agent started; the journal names them");
  const Json* time = status.find("clock");
  out.line("clock", (text_of(time, "synchronised") == "yes" ? "synchronised" : "not synchronised") +
                        std::string(text_of(time, "strict") == "yes" ? ", strict" : "") + ", floor " +
                        out.when(time, "floor"));
  out.line("storage", text_of(&status, "storage"));
  out.line("sudo", sudo_words(status.find("sudo")));
  if (const Json* sessions = status.find("sessions"); sessions != nullptr && sessions->as_object() != nullptr)
    out.line("sessions", text_of(sessions, "live") + " live, " + text_of(sessions, "left_behind") + " left behind, " +
                             text_of(sessions, "ending") + " ending");
  const Json* problems = status.find("problems");
  const JsonArray* list = problems == nullptr ? nullptr : problems->as_array();
  if (!view.stale.empty()) out.line("WRONG", view.stale);
  if (list != nullptr) {
    for (const Json& p : *list) out.line("WRONG", p.as_string() == nullptr ? "?" : printable(*p.as_string(), 500));
  }
  view.fine = view.stale.empty() && list != nullptr && list->empty();
  view.text = out.take();
  return view;
}

}  // namespace hallpass
