// Configuration files of programs, read and parsed, with all that is wrong with them for people.
#pragma once

#include <fcntl.h>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/edge/files.h"
#include "core/toml.h"

namespace hallpass {

// nullopt: it cannot be read, or `parse` refuses it. Adds what is wrong to `faults`, a line each, warnings too.
template <class T>
std::optional<T> read_config_file(const std::string& path,
                                  std::optional<T> (*parse)(std::string_view, std::vector<Diagnostic>&),
                                  std::string& faults, std::size_t limit = kMaxTomlBytes) {
  const Result<std::string> text = read_file(AT_FDCWD, path, limit, true);
  if (!text) {
    faults += path + ": " + text.error().message + "\n";
    return std::nullopt;
  }
  std::vector<Diagnostic> diagnostics;
  std::optional<T> parsed = parse(*text, diagnostics);
  for (const Diagnostic& d : diagnostics) faults += format_diagnostic(path, d) + "\n";
  return parsed;
}

}  // namespace hallpass
