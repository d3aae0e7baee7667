#include "hub/metrics.h"

#include <cstdio>

namespace hallpass::hub {
namespace {

std::string number(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.9g", value);  // NOLINT(cert-err33-c): 32 bytes hold any
  return text;
}

class Page {
 public:
  void head(const char* name, const char* type, const char* help) {
    text_ += std::string("# HELP ") + name + " " + help + "\n# TYPE " + name + " " + type + "\n";
  }
  void line(const std::string& name, const std::string& value) { text_ += name + " " + value + "\n"; }
  void one(const char* name, const char* type, const char* help, const std::string& value) {
    head(name, type, help);
    line(name, value);
  }
  std::string take() { return std::move(text_); }

 private:
  std::string text_;
};

}  // namespace

void Metrics::answered(int status) {
  const std::lock_guard lock(mutex_);
  ++answers_[status];
}

void Metrics::refused(const std::string& code) {
  const std::lock_guard lock(mutex_);
  ++refusals_[code];
}

void Metrics::durable_after(double seconds) {
  const std::lock_guard lock(mutex_);
  for (std::size_t i = 0; i < kBounds.size(); ++i) {
    if (seconds <= kBounds[i]) ++within_[i];
  }
  ++durable_count_;
  durable_sum_ += seconds;
}

std::string Metrics::text(const Gauges& g) const {
  Page page;
  const auto n = [](const auto& value) { return std::to_string(+value); };
  page.one("hallpass_hub_log_size", "gauge", "Entries of the log.", n(g.log_size));
  page.one("hallpass_hub_cosigned_timestamp_seconds", "gauge", "When the head was last cosigned by the hub itself.",
           n(g.cosigned_at));
  page.one("hallpass_hub_log_stopped", "gauge", "1 when a write failed and nothing is taken any more.",
           g.stopped ? "1" : "0");
  page.one("hallpass_hub_policy_version", "gauge", "The policy in force.", n(g.policy_version));
  page.one("hallpass_hub_live_statements", "gauge", "Statements that can still matter.", n(g.statements));
  page.one("hallpass_hub_live_grants", "gauge", "Grants that can still matter, and those over for less than a day.",
           n(g.grants));
  page.one("hallpass_hub_waiting_lines", "gauge", "Statements that wait to be verified.", n(g.waiting));
  page.one("hallpass_hub_connections", "gauge", "Connections that are open.", n(g.connections));
  page.one("hallpass_hub_long_polls", "gauge", "Connections that wait for a new head.", n(g.polls));
  page.one("hallpass_hub_batches_total", "counter", "Batches written to the log.", n(g.batches));
  page.one("hallpass_hub_flushes_total", "counter", "fsync(2) calls for the log.", n(g.flushes));
  page.one("hallpass_hub_notices_queued_total", "counter", "Notices put into the queue.", n(g.notices_queued));
  page.one("hallpass_hub_notices_lost_total", "counter", "Notices that could not be queued.", n(g.notices_lost));
  page.one("hallpass_hub_connections_refused_total", "counter",
           "Connections over the limit: closed, or another for them.", n(connections_refused_));
  page.one("hallpass_hub_long_polls_woken_total", "counter", "Long polls answered by a new head.", n(woken_));
  page.one("hallpass_hub_statements_taken_total", "counter", "Statements put into the log.", n(taken_));
  page.one("hallpass_hub_statements_known_total", "counter", "Statements that were there already.", n(known_));
  const std::lock_guard lock(mutex_);
  page.head("hallpass_hub_statements_refused_total", "counter", "Statements refused, by code.");
  for (const auto& [code, count] : refusals_) {
    page.line("hallpass_hub_statements_refused_total{code=\"" + code + "\"}", n(count));
  }
  page.head("hallpass_hub_answers_total", "counter", "HTTP answers, by status.");
  for (const auto& [status, count] : answers_) {
    page.line("hallpass_hub_answers_total{status=\"" + n(status) + "\"}", n(count));
  }
  const char* durable = "hallpass_hub_durable_seconds";
  page.head(durable, "histogram", "From a body's arrival to its statements being durable.");
  for (std::size_t i = 0; i < kBounds.size(); ++i) {
    page.line(std::string(durable) + "_bucket{le=\"" + number(kBounds[i]) + "\"}", n(within_[i]));
  }
  page.line(std::string(durable) + "_bucket{le=\"+Inf\"}", n(durable_count_));
  page.line(std::string(durable) + "_sum", number(durable_sum_));
  page.line(std::string(durable) + "_count", n(durable_count_));
  return page.take();
}

}  // namespace hallpass::hub
