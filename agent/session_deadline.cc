#include "agent/session_deadline.h"

#include <algorithm>
#include <functional>

namespace hallpass {
namespace {

struct Reach {
  UnixTime until{};
  Digest last;
};

// How far the powers that `counts` reach from now on, one after the other without a gap.
Reach reach(UnixTime now, std::span<const Power> powers, const std::function<bool(const Power&)>& counts) {
  Reach r{now, {}};
  for (bool further = true; further;) {
    further = false;
    for (const Power& p : powers) {
      if (p.start > r.until || p.end <= r.until || !counts(p)) continue;
      r = {p.end, p.grant};
      further = true;
    }
  }
  return r;
}

}  // namespace

bool covers(const std::vector<Command>& other, const std::vector<Command>& used) {
  return std::all_of(used.begin(), used.end(), [&](const Command& u) {
    return std::any_of(other.begin(), other.end(), [&](const Command& o) {
      return o == u || (o.kind == Command::Kind::any && o.as_user == u.as_user && o.as_group == u.as_group);
    });
  });
}

Deadline deadline_of(UnixTime now, std::span<const Power> powers, std::span<const UsedGrant> used) {
  const Reach admitted = reach(now, powers, [](const Power&) { return true; });
  Deadline deadline{admitted.until, admitted.last, false};
  for (const UsedGrant& u : used) {
    const Reach covered = reach(now, powers, [&](const Power& p) {
      if (p.grant == u.grant) return true;
      return u.commands != nullptr && p.commands != nullptr && covers(*p.commands, *u.commands);
    });
    if (covered.until < deadline.at) deadline = {covered.until, covered.until == now ? u.grant : covered.last, true};
  }
  return deadline;
}

}  // namespace hallpass
