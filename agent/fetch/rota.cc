#include "agent/fetch/rota.h"

#include <algorithm>

namespace hallpass {

std::optional<std::size_t> Rota::next(Moment now) const {
  for (std::size_t i = 0; i < sources_.size(); ++i) {
    if (working_ == i) return i;
    const State& s = sources_[i];
    if (s.not_before <= now && (!working_ || s.away_until <= now)) return i;
  }
  return std::nullopt;
}

Moment Rota::when() const {
  Moment first = Moment::max();
  for (const State& s : sources_) first = std::min(first, s.not_before);
  return first;
}

void Rota::succeeded(std::size_t source) {
  working_ = source;
  sources_[source] = {};
}

void Rota::failed(std::size_t source, Moment now) {
  State& s = sources_[source];
  if (working_ == source) working_.reset();
  s.failures = std::min(s.failures + 1, 16);
  const std::chrono::seconds longest = working_ ? kLongest : kLongestAlone;
  const std::chrono::milliseconds whole =
      std::min<std::chrono::milliseconds>(kFirst * (1 << (s.failures - 1)), longest);
  const double share = 1.0 - 0.5 * chance_();
  s.not_before = now + std::chrono::milliseconds(static_cast<long long>(static_cast<double>(whole.count()) * share));
  s.away_until = now + kAway;
}

}  // namespace hallpass
