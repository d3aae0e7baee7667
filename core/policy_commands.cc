// Filling ${name} in a runbook's commands.
//
// Several values of one parameter:
//   - A parameter that stands once in a command becomes `{a,b}`: either value, one command.
//   - A parameter that stands more than once in a command takes the same value everywhere in it: one command a value.
//   An approver who
//     reads `cp /a/${x} /b/${x}` expects no `cp /a/1 /b/2`, and the narrower reading is the one to give.
//   - A value with characters that braces cannot hold also makes one command a value.
//   - `edit` lists files, any of them: there the entry is repeated in the list instead of the command.
// Different parameters are independent of each other.
#include <algorithm>

#include "core/policy_parse.h"
#include "core/values/pattern.h"
#include "core/values/text.h"

namespace hallpass {
namespace {

using Choices = std::map<std::string, std::vector<std::string>>;

struct Piece {
  std::string text;  // as written, or the parameter's name
  bool parameter = false;
};

Error bad(std::string message) {
  return {Errc::malformed, std::move(message)};
}

Result<Piece> read_reference(std::string_view token, std::size_t& at) {
  const std::size_t close = token.find('}', at);
  if (close == std::string_view::npos) return bad("${ without its }");
  const std::string name(token.substr(at + 2, close - at - 2));
  if (!is_name(name)) return bad("${" + printable(name, 40) + "} is not a parameter's name");
  at = close + 1;
  return Piece{name, true};
}

// A token as literal stretches and references, in order. A backslash takes the next character with it, as in patterns.
Result<std::vector<Piece>> split(std::string_view token) {
  std::vector<Piece> pieces;
  std::string text;
  bool braces = false;
  const bool special = !token.empty() && token.front() == '<';
  std::size_t at = 0;
  while (at < token.size()) {
    const char c = token[at];
    if (c == '\\' && at + 1 < token.size()) {
      text += token.substr(at, 2);
      at += 2;
    } else if (c == '$' && at + 1 < token.size() && token[at + 1] == '{') {
      if (braces || special) return bad("a parameter cannot stand inside {...} or <...>");
      auto reference = read_reference(token, at);
      if (!reference) return reference.error();
      if (!text.empty()) pieces.push_back({std::exchange(text, {}), false});
      pieces.push_back(*std::move(reference));
    } else {
      if (c == '{') braces = true;
      if (c == '}') braces = false;
      text += c;
      ++at;
    }
  }
  if (!text.empty()) pieces.push_back({std::move(text), false});
  return pieces;
}

// Characters that stand for themselves inside braces.
bool fits_braces(const std::string& value) {
  return !value.empty() && std::all_of(value.begin(), value.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           std::string_view("._:@/+=%-").find(c) != std::string_view::npos;
  });
}

// The parameters of a command that must be picked value by value, one command each.
std::vector<std::string> parameters_to_expand(const Command& command, const Choices& values) {
  std::map<std::string, int> uses;
  for (const std::string& token : command.arguments) {
    const auto names = token_parameters(token);
    if (!names) continue;
    for (const std::string& name : *names) ++uses[name];
  }
  std::vector<std::string> expanded;
  for (const auto& [name, count] : uses) {
    const auto it = values.find(name);
    if (it == values.end() || it->second.size() < 2) continue;
    const bool plain = std::all_of(it->second.begin(), it->second.end(), fits_braces);
    if (count > 1 || !plain || command.kind == Command::Kind::edit) expanded.push_back(name);
  }
  return expanded;
}

Result<std::string> value_token(const std::vector<std::string>& values) {
  if (values.size() == 1) return literal_token(values.front());
  std::string text = "{";
  for (const std::string& value : values) text += (text.size() == 1 ? "" : ",") + value;
  return text + "}";
}

Result<std::string> fill_token(const std::string& token, const Choices& values) {
  const auto pieces = split(token);
  if (!pieces) return pieces.error();
  std::string filled;
  for (const Piece& piece : *pieces) {
    if (!piece.parameter) {
      filled += piece.text;
      continue;
    }
    const auto it = values.find(piece.text);
    if (it == values.end() || it->second.empty()) {
      return Error{Errc::mismatch, "parameter " + piece.text + " has no value"};
    }
    const auto text = value_token(it->second);
    if (!text) return text.error();
    filled += *text;
  }
  return filled;
}

// Calls `visit` with `values` narrowed to each combination of one value for every parameter of `expanded`.
template <class Visit>
Status each_combination(const Choices& values, const std::vector<std::string>& expanded, Visit&& visit) {
  Choices narrowed = values;
  std::vector<std::size_t> picked(expanded.size(), 0);
  while (true) {
    for (std::size_t i = 0; i < expanded.size(); ++i) narrowed[expanded[i]] = {values.at(expanded[i])[picked[i]]};
    if (const Status done = visit(narrowed); !done) return done;
    std::size_t i = expanded.size();
    while (i > 0 && ++picked[i - 1] == values.at(expanded[i - 1]).size()) picked[--i] = 0;
    if (i == 0) return Unit{};
  }
}

Status fill_command(const Command& command, const Choices& values, std::vector<Command>& out) {
  if (expansion(command, values) > kMaxExpansion) {
    return Error{Errc::too_large, "these values make too many commands; ask for fewer at a time"};
  }
  return each_combination(values, parameters_to_expand(command, values), [&](const Choices& narrowed) -> Status {
    Command filled = command;
    for (std::string& token : filled.arguments) {
      auto text = fill_token(token, narrowed);
      if (!text) return text.error();
      token = *std::move(text);
    }
    out.push_back(std::move(filled));
    return Unit{};
  });
}

Status fill_edit(const Command& command, const Choices& values, std::vector<Command>& out) {
  Command filled = command;
  filled.arguments.clear();
  for (const std::string& token : command.arguments) {
    Command alone = command;
    alone.arguments = {token};
    std::vector<Command> each;
    if (const Status done = fill_command(alone, values, each); !done) return done;
    for (const Command& one : each) filled.arguments.push_back(one.arguments.front());
  }
  out.push_back(std::move(filled));
  return Unit{};
}

Status check_values(const Runbook& runbook, const Choices& values) {
  const auto mismatch = [](std::string message) { return Error{Errc::mismatch, std::move(message)}; };
  for (const auto& [name, chosen] : values) {
    const auto it = runbook.parameters.find(name);
    if (it == runbook.parameters.end())
      return mismatch("runbook " + runbook.name + " has no parameter " + in_quotes(name));
    std::set<std::string_view> seen;
    for (const std::string& value : chosen) {
      if (std::find(it->second.begin(), it->second.end(), value) == it->second.end()) {
        return mismatch("parameter " + name + " cannot be " + in_quotes(value));
      }
      if (!seen.insert(value).second) return mismatch("parameter " + name + " names " + in_quotes(value) + " twice");
    }
  }
  for (const auto& [name, choices] : runbook.parameters) {
    const auto it = values.find(name);
    if (it == values.end() || it->second.empty()) return mismatch("parameter " + name + " has no value");
  }
  return Unit{};
}

}  // namespace

Result<std::vector<std::string>> token_parameters(std::string_view token) {
  const auto pieces = split(token);
  if (!pieces) return pieces.error();
  std::vector<std::string> names;
  for (const Piece& piece : *pieces) {
    if (piece.parameter) names.push_back(piece.text);
  }
  return names;
}

bool has_parameters(std::string_view token) {
  const auto names = token_parameters(token);
  return names && !names->empty();
}

std::size_t expansion(const Command& command, const Choices& parameters) {
  std::size_t product = 1;
  for (const std::string& name : parameters_to_expand(command, parameters)) {
    product *= parameters.at(name).size();
    if (product > kMaxExpansion) return kMaxExpansion + 1;
  }
  return product;
}

Result<std::vector<Command>> fill_commands(const Runbook& runbook, const Choices& parameters) {
  if (const Status fine = check_values(runbook, parameters); !fine) return fine.error();
  std::vector<Command> commands;
  for (const Command& command : runbook.sudo) {
    const Status done = command.kind == Command::Kind::edit ? fill_edit(command, parameters, commands)
                                                            : fill_command(command, parameters, commands);
    if (!done) return done.error();
  }
  return commands;
}

}  // namespace hallpass
