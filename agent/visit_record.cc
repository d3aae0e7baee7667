#include "agent/visit_record.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "core/json.h"

namespace hallpass {
namespace {

constexpr char kFormat[] = "visit/1";
constexpr std::int64_t kMost = std::numeric_limits<std::int64_t>::max();
constexpr std::int64_t kMostId = std::numeric_limits<std::uint32_t>::max();

Json number(std::uint64_t n) {
  return static_cast<std::int64_t>(n);
}

template <class T, class F>
Json array_of(const std::vector<T>& items, F&& as_json) {
  JsonArray array;
  for (const T& item : items) array.push_back(as_json(item));
  return array;
}

// Reads an array of objects, each by `read(reader)`.
template <class F>
void read_array(JsonReader& from, std::string_view name, F&& read) {
  const Json* value = from.any(name);
  const JsonArray* array = value == nullptr ? nullptr : value->as_array();
  if (array == nullptr) return from.fail(name, "is no array");
  for (const Json& item : *array) {
    JsonReader reader(item, "an entry of \"" + std::string(name) + "\"");
    read(reader);
    if (const Status done = reader.finish(); !done) from.fail(name, done.error().message);
  }
}

bool read_bool(JsonReader& from, std::string_view name) {
  const Json* value = from.any(name);
  const bool* b = value == nullptr ? nullptr : value->as_bool();
  if (b == nullptr) from.fail(name, "is neither true nor false");
  return b != nullptr && *b;
}

std::uint64_t read_count(JsonReader& from, std::string_view name) {
  return static_cast<std::uint64_t>(from.integer(name, 0, kMost));
}

std::vector<std::string> read_lines(JsonReader& from) {
  std::vector<std::string> lines;
  const Json* value = from.any("lines");
  const JsonArray* array = value == nullptr ? nullptr : value->as_array();
  if (array == nullptr) {
    from.fail("lines", "is no array");
    return lines;
  }
  for (const Json& line : *array) {
    const std::string* text = line.as_string();
    if (text == nullptr) from.fail("lines", "holds something that is no text");
    lines.push_back(text == nullptr ? "" : *text);
  }
  return lines;
}

void read_stock(JsonReader& from, Visit& v) {
  if (const Json* linger = from.nullable("linger")) {
    const std::int64_t* since = linger->as_int();
    if (since == nullptr) from.fail("linger", "is no number");
    v.linger = since == nullptr ? 0 : *since;
  }
  read_array(from, "units", [&](JsonReader& r) {
    std::string group = r.string("group");
    v.units.push_back({std::move(group), read_count(r, "start")});
  });
  read_array(from, "logins", [&](JsonReader& r) {
    const auto audit = static_cast<std::uint32_t>(r.integer("audit", 0, kMostId));
    v.logins.push_back({audit, read_count(r, "start")});
  });
  read_array(from, "jobs", [&](JsonReader& r) {
    std::string name = r.string("name");
    const std::int64_t changed = r.integer("changed", 0, kMost);
    v.jobs.push_back({std::move(name), changed, read_bool(r, "ran")});
  });
  read_array(from, "crontabs", [&](JsonReader& r) {
    std::string path = r.string("path");
    const std::int64_t changed = r.integer("changed", 0, kMost);
    v.crontabs.push_back({std::move(path), changed, read_lines(r)});
  });
}

}  // namespace

bool Visit::had_login(std::uint32_t audit, std::string_view now_boot) const {
  return boot == now_boot &&
         std::any_of(logins.begin(), logins.end(), [&](const Login& l) { return l.audit == audit; });
}

bool Visit::had_unit(std::string_view group) const {
  return std::any_of(units.begin(), units.end(), [&](const Unit& u) { return u.group == group; });
}

bool Visit::had_job(std::string_view name) const {
  return std::any_of(jobs.begin(), jobs.end(), [&](const Job& j) { return j.name == name; });
}

void Visit::move_back(std::uint64_t earlier_start, std::int64_t earlier_began) {
  start = earlier_start;
  began = earlier_began;
  if (linger && *linger >= began) linger.reset();
  std::erase_if(units, [&](const Unit& u) { return u.start >= start; });
  std::erase_if(logins, [&](const Login& l) { return l.start >= start; });
  std::erase_if(jobs, [&](const Job& j) { return j.changed >= began; });
  for (Crontab& c : crontabs) {
    if (c.changed >= began) c.lines.clear();
  }
}

std::string encode_visit(const Visit& v) {
  // Member by member: g++ 12 sees faults in a list of all that are not there.
  JsonObject object;
  object.emplace_back("format", kFormat);
  object.emplace_back("account", v.account);
  object.emplace_back("uid", number(v.uid));
  object.emplace_back("personal", v.personal);
  object.emplace_back("known", v.known);
  object.emplace_back("subject", v.subject);
  object.emplace_back("grant", v.grant_id);
  object.emplace_back("boot", v.boot);
  object.emplace_back("start", number(v.start));
  object.emplace_back("began", v.began);
  object.emplace_back("linger", nullptr);
  if (v.linger) object.back().second = *v.linger;
  object.emplace_back("units", array_of(v.units, [](const Visit::Unit& u) {
                        return JsonObject{{"group", u.group}, {"start", number(u.start)}};
                      }));
  object.emplace_back("logins", array_of(v.logins, [](const Visit::Login& l) {
                        return JsonObject{{"audit", number(l.audit)}, {"start", number(l.start)}};
                      }));
  object.emplace_back("jobs", array_of(v.jobs, [](const Visit::Job& j) {
                        return JsonObject{{"name", j.name}, {"changed", j.changed}, {"ran", j.ran}};
                      }));
  object.emplace_back("crontabs", array_of(v.crontabs, [](const Visit::Crontab& c) {
                        Json lines = array_of(c.lines, [](const std::string& l) { return Json(l); });
                        return JsonObject{{"path", c.path}, {"changed", c.changed}, {"lines", std::move(lines)}};
                      }));
  return to_pretty_json(object);
}

Result<Visit> decode_visit(std::string_view text) {
  const auto json = parse_json(text);
  if (!json) return json.error();
  JsonReader from(*json, "a visit");
  Visit v;
  if (const std::string format = from.string("format"); format != kFormat) from.fail("format", "is not visit/1");
  v.account = from.string("account");
  v.uid = static_cast<uid_t>(from.integer("uid", 0, kMostId));
  v.personal = read_bool(from, "personal");
  v.known = read_bool(from, "known");
  v.subject = from.string("subject");
  v.grant_id = from.string("grant");
  v.boot = from.string("boot");
  v.start = read_count(from, "start");
  v.began = from.integer("began", 0, kMost);
  read_stock(from, v);
  if (const Status done = from.finish(); !done) return done.error();
  return v;
}

}  // namespace hallpass
