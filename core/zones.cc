#include "core/zones.h"

#include <algorithm>
#include <array>

#include "core/values/text.h"

namespace hallpass {
namespace {

constexpr std::array<std::string_view, 7> kDays{"Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"};
constexpr long long kDay = 86400;
constexpr Seconds kLongestStretch{8 * kDay};

Error malformed(std::string_view text, const std::string& why) {
  return {Errc::malformed,
          "hours \"" + printable(text, 80) + "\": " + why + "; write them like \"Mon-Fri 07:00-19:00 Europe/Berlin\""};
}

std::optional<unsigned> day_index(std::string_view name) {
  const auto found = std::find(kDays.begin(), kDays.end(), name);
  if (found == kDays.end()) return std::nullopt;
  return static_cast<unsigned>(found - kDays.begin());
}

// "Mon-Fri", "Sat,Sun", "Fri-Mon" (over the weekend): bits, or 0 when it is none of these or names a day twice.
unsigned parse_days(std::string_view text) {
  unsigned days = 0;
  for (std::size_t begin = 0; begin <= text.size();) {
    const std::size_t end = std::min(text.find(',', begin), text.size());
    const std::string_view part = text.substr(begin, end - begin);
    const std::size_t dash = part.find('-');
    const auto first = day_index(part.substr(0, dash));
    const auto last = dash == std::string_view::npos ? first : day_index(part.substr(dash + 1));
    if (!first || !last) return 0;
    for (unsigned day = *first;; day = (day + 1) % 7) {
      if ((days >> day & 1U) != 0) return 0;
      days |= 1U << day;
      if (day == *last) break;
    }
    begin = end + 1;
  }
  return days;
}

// "HH:MM" up to 24:00, or -1.
int parse_minute(std::string_view text) {
  if (text.size() != 5 || text[2] != ':') return -1;
  for (const std::size_t i : {0U, 1U, 3U, 4U}) {
    if (text[i] < '0' || text[i] > '9') return -1;
  }
  const int hour = (text[0] - '0') * 10 + (text[1] - '0');
  const int minute = (text[3] - '0') * 10 + (text[4] - '0');
  if (minute > 59 || hour * 60 + minute > 1440) return -1;
  return hour * 60 + minute;
}

// The shape of an IANA name. Names become paths below the zone directory, so nothing that could leave it.
bool is_zone_name(std::string_view text) {
  if (text.empty() || text.size() > 64 || text.front() == '/' || text.back() == '/') return false;
  return std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '+' ||
           c == '-' || c == '/';
  });
}

// Local wall-clock time as a day since 1970 and a second of that day.
struct Local {
  long long day;
  long long second;
};

Local local_at(const Zone& zone, UnixTime t) {
  const long long local = to_unix(t) + zone.offset_at(t).count();
  const long long day = local >= 0 ? local / kDay : -((-local + kDay - 1) / kDay);
  return {day, local - day * kDay};
}

bool begins_on(const Hours& hours, long long day) {
  const long long weekday = ((day + 3) % 7 + 7) % 7;  // 1970-01-01 was a Thursday
  return (hours.days >> static_cast<unsigned>(weekday) & 1U) != 0;
}

bool covers(const Hours& hours, const Local& local) {
  const long long begin = hours.begin_minute * 60LL;
  const long long end = hours.end_minute * 60LL;
  if (begin < end) return begins_on(hours, local.day) && local.second >= begin && local.second < end;
  return (begins_on(hours, local.day) && local.second >= begin) ||
         (begins_on(hours, local.day - 1) && local.second < end);
}

// The next instant after t at which `covers` may change: a boundary of the span, local midnight, or a change of the
// zone's offset.
UnixTime next_edge(const Hours& hours, const Zone& zone, UnixTime t) {
  const Local local = local_at(zone, t);
  long long ahead = kDay - local.second;
  for (const long long edge : {hours.begin_minute * 60LL, hours.end_minute * 60LL}) {
    if (edge > local.second) ahead = std::min(ahead, edge - local.second);
  }
  UnixTime next = t + Seconds{ahead};
  if (const auto change = zone.next_change(t); change && *change < next) next = *change;
  return next;
}

}  // namespace

Seconds Zone::offset_at(UnixTime t) const {
  if (periods.empty()) return Seconds{0};
  const auto after = std::upper_bound(periods.begin(), periods.end(), t,
                                      [](UnixTime value, const Period& period) { return value < period.begin; });
  return after == periods.begin() ? periods.front().offset : std::prev(after)->offset;
}

std::optional<UnixTime> Zone::next_change(UnixTime after) const {
  const auto next = std::upper_bound(periods.begin(), periods.end(), after,
                                     [](UnixTime value, const Period& period) { return value < period.begin; });
  if (next == periods.end() || next == periods.begin()) return std::nullopt;
  return next->begin;
}

Result<Hours> Hours::parse(std::string_view text) {
  const std::size_t first = text.find(' ');
  const std::size_t second = first == std::string_view::npos ? first : text.find(' ', first + 1);
  if (second == std::string_view::npos) return malformed(text, "days, a span and a zone are needed, one space apart");
  Hours hours;
  hours.text = std::string(text);
  hours.days = parse_days(text.substr(0, first));
  if (hours.days == 0) return malformed(text, "the days must be Mon Tue Wed Thu Fri Sat Sun, each once");
  const std::string_view span = text.substr(first + 1, second - first - 1);
  const std::size_t dash = span.find('-');
  if (dash == std::string_view::npos) return malformed(text, "the span must be HH:MM-HH:MM");
  hours.begin_minute = parse_minute(span.substr(0, dash));
  hours.end_minute = parse_minute(span.substr(dash + 1));
  if (hours.begin_minute < 0 || hours.end_minute < 0) return malformed(text, "the span must be HH:MM-HH:MM");
  if (hours.begin_minute == 1440) return malformed(text, "a span begins at 23:59 at the latest");
  if (hours.end_minute == 0) return malformed(text, "write 24:00 for a span that ends at midnight");
  hours.zone = std::string(text.substr(second + 1));
  if (!is_zone_name(hours.zone)) return malformed(text, "the zone must be an IANA name");
  return hours;
}

std::optional<UnixTime> hours_until(std::span<const Hours> hours, const ZoneTable& zones, UnixTime t) {
  const UnixTime cap = t + kLongestStretch;
  UnixTime at = t;
  while (at < cap) {
    UnixTime next = at;
    for (const Hours& span : hours) {
      const auto zone = zones.find(span.zone);
      if (zone == zones.end() || !covers(span, local_at(zone->second, at))) continue;
      next = std::max(next, next_edge(span, zone->second, at));
    }
    if (next == at) break;  // no span covers this instant
    at = next;
  }
  if (at == t) return std::nullopt;
  return std::min(at, cap);
}

}  // namespace hallpass
