// What a peer, a file or a user can get wrong, as a value: either a T or an Error. Our own bugs abort instead.
//
// The names follow std::expected (C++23), of which g++ 12 and clang 14 have none in C++20 mode.
#pragma once

#include <cstdlib>
#include <string>
#include <utility>
#include <variant>

namespace hallpass {

// What went wrong, to branch on. `ok` is not among them: an Error is never a success.
enum class Errc {
  malformed,      // the bytes are not of the format
  too_large,      // over a stated limit
  unsupported,    // a version, algorithm or type that this program does not know
  unknown_key,    // signed by a key that is not enrolled
  bad_signature,  // an enrolled key, but the signature does not verify
  untrusted,      // well formed and signed, but not by those who may
  mismatch,       // belongs to something else: another fleet, machine, policy, namespace
  not_found,
  unavailable,  // the machine refused: I/O error, full disk, permission
};

struct Error {
  Errc code = Errc::malformed;
  std::string message;  // one sentence for people: what, where, what to do. No trailing newline, no control characters.
};

template <class T>
class [[nodiscard]] Result {
 public:
  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}      // NOLINT(google-explicit-constructor)
  Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}  // NOLINT(google-explicit-constructor)

  bool has_value() const { return state_.index() == 0; }
  explicit operator bool() const { return has_value(); }

  // Reading the side that is not there is a bug of ours: it aborts.
  T& value() & {
    T* value = std::get_if<0>(&state_);
    if (value == nullptr) std::abort();
    return *value;
  }
  const T& value() const& {
    const T* value = std::get_if<0>(&state_);
    if (value == nullptr) std::abort();
    return *value;
  }
  T&& value() && { return std::move(value()); }
  const Error& error() const {
    const Error* error = std::get_if<1>(&state_);
    if (error == nullptr) std::abort();
    return *error;
  }

  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T&& operator*() && { return std::move(value()); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }

 private:
  std::variant<T, Error> state_;
};

struct Unit {};
using Status = Result<Unit>;

}  // namespace hallpass
