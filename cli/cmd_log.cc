// `hallpass log verify`, `prove` and `tail`.
#include <fcntl.h>
#include <fmt/core.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>

#include "cli/commands.h"
#include "cli/events.h"
#include "cli/grants.h"
#include "cli/log_report.h"
#include "cli/news.h"
#include "cli/proofs.h"
#include "core/edge/files.h"
#include "core/values/text.h"

namespace hallpass::cli {
namespace {

Result<HubMirror*> mirror_of(Context& context) {
  if (context.on_hub()) return context.hub();
  return Error{
      Errc::malformed,
      fmt::format("there is a log where there is a hub; write hub = \"https://HOST\" in {}/config.toml, or use "
                  "--hub URL",
                  shorten_home(config_directory()))};
}

}  // namespace

int cmd_log_verify(Context& context, const LogArgs& args) {
  Output& out = context.out();
  const auto mirror = mirror_of(context);
  if (!mirror) return out.fail(mirror.error());
  if (!mirror.value()->verifies()) {
    return out.fail(Exit::refused,
                    fmt::format("nobody told this program whose log to believe: write [log] with the hub's key and its "
                                "witnesses into {}/trust.toml, as hosts have it (hallpass-hub init printed it)",
                                shorten_home(config_directory())));
  }
  auto checked = verify_log(context, *mirror.value(), args.full);
  if (std::holds_alternative<Error>(checked)) return out.fail(std::get<Error>(checked));
  if (const auto* refused = std::get_if<LogRefusal>(&checked)) {
    out.alarm(fmt::format("{}: {}", to_words(refused->fault), printable(refused->message, 1000)));
    return static_cast<int>(Exit::refused);
  }
  const LogReport& report = std::get<LogReport>(checked);
  if (out.json()) {
    out.json(to_json_value(report, Context::now()));
  } else {
    out.lines(report_lines(report, context.times()));
  }
  for (const std::string& fault : report.invalid) out.alarm(fault);
  return static_cast<int>(report.invalid.empty() ? Exit::ok : Exit::refused);
}

namespace {

// Statements about this grant alone.
std::vector<Statement> about(const Workspace& workspace, const Digest& digest) {
  std::vector<Statement> out = workspace.bearing_on(digest);
  std::erase_if(out, [&](const Statement& s) {
    return s.revocation() != nullptr &&
           (s.revocation()->form != Revocation::Form::request || !(s.revocation()->request == digest));
  });
  return out;
}

std::string proof_name(const Statement& s) {
  std::string name = statement_file_name(s);
  name.resize(name.size() - std::string_view(".grant").size());
  return name + ".tlog-proof";
}

// Where each proof goes: into a directory, or a single one into a file.
Result<std::vector<std::string>> proof_paths(const std::string& output, const std::vector<StatementProof>& proofs) {
  const std::string where = output.empty() ? "." : output;
  std::vector<std::string> out;
  if (std::filesystem::is_directory(where)) {
    for (const StatementProof& p : proofs)
      out.push_back(output.empty() ? proof_name(p.statement) : fmt::format("{}/{}", where, proof_name(p.statement)));
    return out;
  }
  if (proofs.size() > 1) {
    return Error{Errc::malformed, fmt::format("there are {} proofs, one a file: name a directory that exists, or - for "
                                              "all on standard output",
                                              proofs.size())};
  }
  out.push_back(where);
  return out;
}

// What stands in the file is what was proven.
Status write_proof(const std::string& path, const StatementProof& proof) {
  if (auto written = write_file_durably(path, proof.text, 0644); !written) return written;
  const auto back = read_file(AT_FDCWD, path, kMaxProofBytes, true);
  const auto parsed = back ? parse_proof(back.value()) : Result<LogProof>(back.error());
  if (!parsed || parsed->entry != proof.statement.envelope() || parsed->index != proof.index)
    return Error{Errc::unavailable, fmt::format("{} does not hold what was written to it", printable(path))};
  return Unit{};
}

int print_proofs(Output& out, const std::vector<StatementProof>& proofs, const std::vector<std::string>& paths,
                 const std::vector<std::string>& missing) {
  if (out.json()) {
    JsonArray all, not_there;
    for (std::size_t i = 0; i < proofs.size(); ++i) {
      all.emplace_back(JsonObject{{"file", paths[i]},
                                  {"digest", format_digest(proofs[i].statement.payload_digest())},
                                  {"index", static_cast<std::int64_t>(proofs[i].index)},
                                  {"size", static_cast<std::int64_t>(proofs[i].size)}});
    }
    for (const std::string& name : missing) not_there.emplace_back(name);
    out.json(JsonObject{{"proofs", std::move(all)}, {"not_in_log", std::move(not_there)}});
    return 0;
  }
  for (std::size_t i = 0; i < proofs.size(); ++i) {
    out.line(fmt::format("{}: {}, entry {} of {}", printable(paths[i]), event_of(proofs[i].statement).kind,
                         proofs[i].index, proofs[i].size));
  }
  return 0;
}

}  // namespace

int cmd_log_prove(Context& context, const LogArgs& args) {
  Output& out = context.out();
  if (const auto mirror = mirror_of(context); !mirror) return out.fail(mirror.error());
  auto workspace = context.open_workspace();
  if (!workspace) return out.fail(workspace.error());
  const auto digest = resolve_grant(workspace.value(), args.grant, out);
  if (!digest) return out.fail(digest.error());
  const std::vector<Statement> statements = about(workspace.value(), digest.value());
  const auto proofs = prove(context, statements);
  if (!proofs) return out.fail(proofs.error());
  std::vector<std::string> missing;
  for (const Statement& s : statements) {
    const bool proven =
        std::any_of(proofs->begin(), proofs->end(), [&](const StatementProof& p) { return p.statement == s; });
    if (proven) continue;
    missing.push_back(format_digest(s.payload_digest()));
    out.warn(fmt::format("not in the log as far as it was read: {}", event_of(s).what));
  }
  if (proofs->empty())
    return out.fail(Exit::refused, fmt::format("the log has nothing of {}", grant_id(digest.value())));
  if (args.output == "-") {
    for (const StatementProof& p : proofs.value()) fmt::print("{}", p.text);
    return 0;
  }
  const auto paths = proof_paths(args.output, proofs.value());
  if (!paths) return out.fail(paths.error());
  for (std::size_t i = 0; i < proofs->size(); ++i) {
    if (const auto written = write_proof(paths.value()[i], proofs.value()[i]); !written)
      return out.fail(written.error());
  }
  return print_proofs(out, proofs.value(), paths.value(), missing);
}

namespace {

Json entry_json(const LogEntry& entry, const Event& event) {
  return JsonObject{{"index", static_cast<std::int64_t>(entry.index)},
                    {"kind", event.kind},
                    {"at", event.at == UnixTime{} ? Json() : Json(format_time(event.at))},
                    {"by", event.by},
                    {"grant", event.grant ? Json(grant_id(*event.grant)) : Json()},
                    {"what", event.what}};
}

std::string entry_line(const LogEntry& entry, const Event& event, const Times& times, const Output& out) {
  return fmt::format("{:>8}  {:<19}  {:<8} {}  {}", entry.index,
                     event.at == UnixTime{} ? "-" : times.full(event.at).substr(0, 19), event.kind,
                     out.styled(event.grant ? grant_id(*event.grant) : pad("-", 14), Style::bold), event.what);
}

// Prints entries [from, head.size); the size that was reached.
Result<std::uint64_t> print_entries(Context& context, const Workspace& workspace, HubMirror& mirror, std::uint64_t from,
                                    bool following) {
  Output& out = context.out();
  const auto head = mirror.head();
  if (!head || head->size <= from) return from;
  const auto entries = log_entries(mirror, *head, from, head->size);
  if (!entries) return entries.error();
  JsonArray all;
  for (const LogEntry& entry : entries.value()) {
    const Event event = event_of(entry, workspace.policy());
    if (!out.json()) {
      out.line(entry_line(entry, event, context.times(), out));
    } else if (following) {
      out.line(to_json(entry_json(entry, event)));
    } else {
      all.push_back(entry_json(entry, event));
    }
  }
  if (out.json() && !following) out.json(JsonObject{{"entries", std::move(all)}});
  std::fflush(stdout);
  return head->size;
}

}  // namespace

int cmd_log_tail(Context& context, const LogArgs& args) {
  Output& out = context.out();
  const auto mirror = mirror_of(context);
  if (!mirror) return out.fail(mirror.error());
  auto workspace = context.open_workspace();
  if (!workspace) return out.fail(workspace.error());
  const auto head = mirror.value()->head();
  const std::uint64_t size = head ? head->size : 0;
  const std::uint64_t from = size - std::min(size, static_cast<std::uint64_t>(args.count));
  auto reached = print_entries(context, workspace.value(), *mirror.value(), from, args.follow);
  if (!reached) return out.fail(reached.error());
  if (!args.follow) return 0;
  News news(context, workspace.value());
  for (;;) {
    if (const auto read = news.wait(workspace.value(), UnixTime::max()); !read) return out.fail(read.error());
    reached = print_entries(context, workspace.value(), *mirror.value(), reached.value(), true);
    if (!reached) return out.fail(reached.error());
    if (std::ferror(stdout) != 0) return static_cast<int>(Exit::directory);
  }
}

}  // namespace hallpass::cli
