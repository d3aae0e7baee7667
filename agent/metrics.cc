#include "agent/metrics.h"

#include <array>
#include <cstdio>

namespace hallpass {
namespace {

// A label's value: backslash, quote and newline are escaped.
std::string in_quotes(std::string_view value) {
  std::string out = "\"";
  for (const char c : value) {
    if (c == '\\' || c == '"') out += '\\';
    out += c == '\n' ? ' ' : c;
  }
  return out + "\"";
}

std::string number(double value) {
  std::array<char, 40> text{};
  (void)std::snprintf(text.data(), text.size(), "%.17g", value);
  return text.data();
}

class Text {
 public:
  void family(const std::string& name, const char* type, const char* help) {
    name_ = "hallpass_" + name;
    text_ += "# HELP " + name_ + " " + help + "\n# TYPE " + name_ + " " + type + "\n";
  }
  void value(double v, const std::string& labels = {}, const std::string& suffix = {}) {
    text_ += name_ + suffix + (labels.empty() ? "" : "{" + labels + "}") + " " + number(v) + "\n";
  }
  void alone(const std::string& name, const char* type, const char* help, double v) {
    family(name, type, help);
    value(v);
  }
  std::string take() { return std::move(text_); }

 private:
  std::string name_, text_;
};

double since_epoch(UnixTime t) {
  return static_cast<double>(to_unix(t));
}

void add_grants(const Agent& agent, Text& out) {
  out.family("grants", "gauge", "Grants that this host knows of, by state.");
  for (const auto& [state, count] : agent.docket().by_state())
    out.value(static_cast<double>(count), "state=" + in_quotes(to_string(state)));
  out.alone("admissions", "gauge", "Grants that admit somebody to this host, now or soon.",
            static_cast<double>(agent.docket().admissions().size()));
}

void add_log(const Agent& agent, Text& out) {
  if (agent.log() == nullptr) return;
  const LogIntake& log = *agent.log();
  const ClockReading& reading = agent.clock().reading();
  out.alone("log_entries", "gauge", "Entries of the log that this host has verified.",
            static_cast<double>(log.position().frontier.size()));
  out.alone("log_fresh", "gauge", "1 while enough witnesses have vouched for the log's head lately.",
            log.fresh(reading) ? 1 : 0);
  if (log.seen_at())
    out.alone("log_seen_seconds", "gauge", "When witnesses vouched for the newest head, in seconds since 1970.",
              since_epoch(*log.seen_at()));
  out.alone("log_followed", "gauge", "0 while the head in the mirror is refused.", log.fault().empty() ? 1 : 0);
}

void add_sessions(const Sessions& sessions, Text& out) {
  const auto by_state = sessions.by_state();
  out.family("sessions", "gauge", "Registered sessions, by state.");
  constexpr std::array<const char*, 3> kNames = {"live", "left_behind", "ending"};
  for (std::size_t i = 0; i < kNames.size(); ++i)
    out.value(static_cast<double>(by_state[i]), "state=" + in_quotes(kNames[i]));
  out.alone("sessions_not_ended", "gauge", "Sessions whose end fails right now.",
            static_cast<double>(sessions.not_ended()));
  const EndDelays& delays = sessions.delays();
  out.family("session_end_delay_seconds", "histogram",
             "How long after its time it was proven that nothing of a session is left.");
  std::uint64_t sum = 0;
  for (std::size_t i = 0; i < std::size(EndDelays::kBounds); ++i) {
    std::array<char, 16> bound{};
    (void)std::snprintf(bound.data(), bound.size(), "%g", EndDelays::kBounds[i]);
    sum += delays.counts[i];
    out.value(static_cast<double>(sum), "le=" + in_quotes(bound.data()), "_bucket");
  }
  sum += delays.counts.back();
  out.value(static_cast<double>(sum), "le=\"+Inf\"", "_bucket");
  out.value(delays.sum, "", "_sum");
  out.value(static_cast<double>(sum), "", "_count");
}

void add_freshness(const Agent& agent, Text& out) {
  const Timekeeper& clock = agent.clock();
  out.alone("updated_timestamp_seconds", "gauge", "When the agent wrote this.", since_epoch(clock.reading().wall));
  out.alone("clock_synchronised", "gauge", "1: the kernel says that the clock is synchronised.",
            clock.synchronised() ? 1 : 0);
  out.alone("problems", "gauge", "What `hallpass host status` finds wrong.",
            static_cast<double>(agent.problems().size()));
  if (const auto policy = agent.policy()) {
    out.alone("policy_version", "gauge", "The policy in force.", static_cast<double>(policy->version));
    out.alone("policy_valid_until_timestamp_seconds", "gauge", "When it expires.", since_epoch(policy->valid_until));
  }
  out.family("directory_scanned_timestamp_seconds", "gauge", "When a directory was last read to its end.");
  for (const DirectoryReport& d : agent.directories())
    out.value(since_epoch(d.last_scan), "directory=" + in_quotes(d.path));
  out.family("directory_readable", "gauge", "1: it can be read.");
  for (const DirectoryReport& d : agent.directories())
    out.value(d.error.empty() ? 1 : 0, "directory=" + in_quotes(d.path));
}

}  // namespace

std::string metrics_text(const Figures& f) {
  Text out;
  add_freshness(*f.agent, out);
  add_log(*f.agent, out);
  add_grants(*f.agent, out);
  if (f.sessions != nullptr) add_sessions(*f.sessions, out);
  out.family("decisions_total", "counter", "What sshd's and sudo's modules told since the agent started, by event.");
  for (const auto& [event, count] : *f.decisions) out.value(static_cast<double>(count), "event=" + in_quotes(event));
  out.family("alerts_total", "counter", "Alerts since the agent started, by what became of them.");
  out.value(static_cast<double>(f.alerts->queued), "result=\"queued\"");
  out.value(static_cast<double>(f.alerts->left_out), "result=\"left_out\"");
  out.value(static_cast<double>(f.alerts->lost), "result=\"lost\"");
  if (f.alerts_waiting)
    out.alone("alerts_waiting", "gauge", "Alerts that wait for delivery.", static_cast<double>(*f.alerts_waiting));
  return out.take();
}

}  // namespace hallpass
