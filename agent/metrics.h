// The agent's figures for Prometheus, as a textfile of node_exporter: /run/hallpass/metrics/hallpass.prom.
// docs/operations.md, "Metrics". https://prometheus.io/docs/instrumenting/exposition_formats/
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "agent/agent.h"
#include "agent/alerts.h"
#include "agent/sessions.h"

namespace hallpass {

struct Figures {
  const Agent* agent = nullptr;
  const Sessions* sessions = nullptr;  // nullptr: this agent keeps none
  const AlertCounts* alerts = nullptr;
  std::optional<std::size_t> alerts_waiting;
  // Of what sshd's and sudo's modules told since the agent started, by name of the event.
  const std::map<std::string, std::uint64_t>* decisions = nullptr;
};

std::string metrics_text(const Figures& figures);

}  // namespace hallpass
