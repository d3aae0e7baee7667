#include <algorithm>

#include "core/json.h"
#include "core/values/text.h"

namespace hallpass {

JsonReader::JsonReader(const Json& object, std::string what) : object_(object.as_object()), what_(std::move(what)) {
  if (object_ == nullptr) {
    fault_ = what_ + " must be a JSON object";
  } else {
    used_.assign(object_->size(), false);
  }
}

bool JsonReader::has(std::string_view name) const {
  return object_ != nullptr &&
         std::any_of(object_->begin(), object_->end(), [&](const JsonMember& m) { return m.first == name; });
}

void JsonReader::fail(std::string_view name, const std::string& why) {
  if (fault_.empty()) fault_ = what_ + ": the member \"" + std::string(name) + "\" " + why;
}

const Json* JsonReader::take(std::string_view name) {
  if (object_ == nullptr) return nullptr;
  for (std::size_t i = 0; i < object_->size(); ++i) {
    if ((*object_)[i].first != name) continue;
    used_[i] = true;
    return &(*object_)[i].second;
  }
  fail(name, "is missing");
  return nullptr;
}

std::string JsonReader::string(std::string_view name) {
  const Json* member = take(name);
  if (member == nullptr) return {};
  if (const std::string* text = member->as_string()) return *text;
  fail(name, "must be a string");
  return {};
}

std::int64_t JsonReader::integer(std::string_view name, std::int64_t low, std::int64_t high) {
  const Json* member = take(name);
  if (member == nullptr) return low;
  const std::int64_t* number = member->as_int();
  if (number != nullptr && *number >= low && *number <= high) return *number;
  fail(name, "must be a whole number from " + std::to_string(low) + " to " + std::to_string(high));
  return low;
}

const Json* JsonReader::nullable(std::string_view name) {
  const Json* member = take(name);
  return member == nullptr || member->is_null() ? nullptr : member;
}

const Json* JsonReader::any(std::string_view name) {
  return take(name);
}

Status JsonReader::finish() {
  for (std::size_t i = 0; i < used_.size() && fault_.empty(); ++i) {
    if (!used_[i]) fault_ = what_ + " has no member \"" + printable((*object_)[i].first, 60) + "\"; remove it";
  }
  if (!fault_.empty()) return Error{Errc::malformed, fault_};
  return Unit{};
}

}  // namespace hallpass
