#include "cli/times.h"

#include <fmt/core.h>

#include <charconv>

#include "core/values/text.h"

namespace hallpass::cli {
namespace {

constexpr const char* kDays[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
constexpr const char* kMonths[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};

struct Local {
  std::chrono::sys_days day;
  std::chrono::year_month_day date;
  std::chrono::hh_mm_ss<Seconds> time;
};

Local local_of(UnixTime t, Seconds offset) {
  const auto shifted = t + offset;
  const auto day = std::chrono::floor<std::chrono::days>(shifted);
  return {day, std::chrono::year_month_day{day}, std::chrono::hh_mm_ss<Seconds>{shifted - day}};
}

bool digits(std::string_view text, int& out) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  return error == std::errc() && end == text.data() + text.size() && text.find_first_not_of("0123456789") == text.npos;
}

// "HH:MM" as minutes; -1 when it is not that.
int minutes_of_day(std::string_view text) {
  int hour = 0;
  int minute = 0;
  if (text.size() != 5 || text[2] != ':' || !digits(text.substr(0, 2), hour) || !digits(text.substr(3), minute))
    return -1;
  return hour < 24 && minute < 60 ? hour * 60 + minute : -1;
}

std::optional<std::chrono::sys_days> parse_date(std::string_view text) {
  int y = 0;
  int m = 0;
  int d = 0;
  if (text.size() != 10 || text[4] != '-' || text[7] != '-') return std::nullopt;
  if (!digits(text.substr(0, 4), y) || !digits(text.substr(5, 2), m) || !digits(text.substr(8), d)) return std::nullopt;
  const std::chrono::year_month_day date{std::chrono::year{y}, std::chrono::month{static_cast<unsigned>(m)},
                                         std::chrono::day{static_cast<unsigned>(d)}};
  if (!date.ok()) return std::nullopt;
  return std::chrono::sys_days{date};
}

}  // namespace

std::string rough_duration(Seconds d) {
  const long long s = std::max<long long>(0, d.count());
  const auto two = [](long long big, char b, long long small, char c) {
    return small == 0 ? fmt::format("{}{}", big, b) : fmt::format("{}{} {}{}", big, b, small, c);
  };
  if (s < 60) return fmt::format("{}s", s);
  if (s < 3600) return s < 600 ? two(s / 60, 'm', s % 60, 's') : fmt::format("{}m", s / 60);
  if (s < 86400) return two(s / 3600, 'h', s % 3600 / 60, 'm');
  return two(s / 86400, 'd', s % 86400 / 3600, 'h');
}

std::string Times::brief(UnixTime t) const {
  const Local then = local_of(t, zone_.offset_at(t));
  const Local today = local_of(now_, zone_.offset_at(now_));
  const std::string clock = fmt::format("{:02}:{:02}", then.time.hours().count(), then.time.minutes().count());
  if (then.day == today.day) return clock;
  const unsigned weekday = std::chrono::weekday{then.day}.c_encoding();
  std::string out = fmt::format("{} {} {}", kDays[weekday], static_cast<unsigned>(then.date.day()),
                                kMonths[static_cast<unsigned>(then.date.month()) - 1]);
  if (then.date.year() != today.date.year()) out += fmt::format(" {}", static_cast<int>(then.date.year()));
  return out + " " + clock;
}

std::string Times::full(UnixTime t) const {
  const Seconds offset = zone_.offset_at(t);
  const Local then = local_of(t, offset);
  const long long minutes = std::abs(offset.count()) / 60;
  return fmt::format("{:04}-{:02}-{:02} {:02}:{:02}:{:02} {}{:02}:{:02}", static_cast<int>(then.date.year()),
                     static_cast<unsigned>(then.date.month()), static_cast<unsigned>(then.date.day()),
                     then.time.hours().count(), then.time.minutes().count(), then.time.seconds().count(),
                     offset.count() < 0 ? '-' : '+', minutes / 60, minutes % 60);
}

std::string Times::with_left(UnixTime t) const {
  if (t >= now_) return fmt::format("{} ({} left)", brief(t), rough_duration(t - now_));
  return fmt::format("{} ({} ago)", brief(t), rough_duration(now_ - t));
}

Result<UnixTime> Times::from_local(Seconds local, std::string_view text) const {
  // The offset before and the one after a change are the only candidates; a skipped local time has neither.
  for (const Seconds guess :
       {zone_.offset_at(UnixTime{local} - Seconds{86400}), zone_.offset_at(UnixTime{local} + Seconds{86400})}) {
    const UnixTime t{local - guess};
    if (zone_.offset_at(t) == guess) return t;
  }
  return Error{Errc::malformed, fmt::format("the clock change skips {} here; name another time", printable(text))};
}

Result<UnixTime> Times::parse(std::string_view text) const {
  if (const auto exact = parse_time(text)) return exact;
  if (const auto later = parse_duration(text)) return UnixTime{now_ + later.value()};
  const Local today = local_of(now_, zone_.offset_at(now_));
  if (const int minutes = minutes_of_day(text); minutes >= 0) {
    const Seconds at = today.day.time_since_epoch() + std::chrono::minutes{minutes};
    auto t = from_local(at, text);
    if (t && t.value() <= now_) return from_local(at + std::chrono::days{1}, text);
    return t;
  }
  if (text.size() == 16 && (text[10] == ' ' || text[10] == 'T')) {
    const auto day = parse_date(text.substr(0, 10));
    const int minutes = minutes_of_day(text.substr(11));
    if (day && minutes >= 0) return from_local(day->time_since_epoch() + std::chrono::minutes{minutes}, text);
  }
  return Error{Errc::malformed, fmt::format("\"{}\" is not a time; write 14:30, \"2026-11-22 14:30\" (your time zone), "
                                            "2026-11-22T13:30:00Z, or a duration from now such as 2h",
                                            printable(text))};
}

}  // namespace hallpass::cli
