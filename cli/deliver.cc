// Delivering signed statements: what request, approve, deny and revoke share.
#include <fmt/core.h>

#include <algorithm>
#include <cstdio>

#include "cli/commands.h"
#include "cli/events.h"
#include "core/edge/files.h"
#include "core/values/text.h"

namespace hallpass::cli {
namespace {

// Nothing is lost that signing again would not bring back, and there is a way that needs no hub.
Error hub_is_away(const Error& error) {
  return {error.code, fmt::format("{}. Nothing is known to be published. Without the hub: the same with -o FILE, then "
                                  "hallpass carry HOST FILE",
                                  error.message)};
}

// What was signed now decides; an older statement of the grant that the hub has no use for is only told.
int tell_refusals(Context& context, const std::vector<Statement>& statements, const Statement& added,
                  const HubReceipt& receipt) {
  Output& out = context.out();
  int code = 0;
  for (std::size_t i = 0; i < statements.size() && i < receipt.verdicts.size(); ++i) {
    const HubVerdict& v = receipt.verdicts[i];
    if (v.status != HubVerdict::Status::refused) continue;
    const std::string& why = v.error.empty() ? v.code : v.error;
    if (statements[i] == added) {
      code = out.fail(Exit::refused, fmt::format("the hub refuses it: {}", why));
    } else {
      out.warn(
          fmt::format("the hub refuses an older statement of this grant ({}): {}", event_of(statements[i]).what, why));
    }
  }
  return code;
}

int deliver_to_hub(Context& context, Workspace& workspace, std::vector<Statement> statements, const Statement& added,
                   std::string* name) {
  Output& out = context.out();
  const auto mirror = context.hub();
  if (!mirror) return out.fail(mirror.error());
  // In the order in which they were made: a decision is about a request that must be there.
  std::stable_sort(statements.begin(), statements.end(), [](const Statement& a, const Statement& b) {
    return std::pair(a.kind(), a.made_at()) < std::pair(b.kind(), b.made_at());
  });
  const auto receipt = mirror.value()->client().publish(statements);
  if (!receipt) {
    const bool away = receipt.error().code == Errc::unavailable;
    return out.fail(away ? hub_is_away(receipt.error()) : receipt.error());
  }
  for (const std::string& warning : receipt->warnings) out.warn("the hub says: " + warning);
  if (const int refused = tell_refusals(context, statements, added, receipt.value()); refused != 0) return refused;
  *name = workspace.place();
  // Our copy has it too, should the hub go away before the log brings it back.
  if (const auto kept = workspace.publish(added); !kept) out.warn(kept.error().message);
  context.catch_up();
  return 0;
}

int deliver_to_directory(Context& context, Workspace& workspace, const std::vector<Statement>& statements,
                         const Statement& added, std::string* name) {
  Output& out = context.out();
  // A grant that came as a file may not be in the directory at all: a decision alone would be about nothing there.
  for (const Statement& s : statements) {
    if (s == added || workspace.holds(s)) continue;
    if (const auto written = workspace.publish(s); !written) return out.fail(written.error());
  }
  const auto written = workspace.publish(added);
  if (!written) return out.fail(written.error());
  *name = written.value();
  return 0;
}

}  // namespace

int deliver(Context& context, Workspace& workspace, const std::vector<Statement>& statements, const Statement& added,
            const std::string& output, std::string* name) {
  Output& out = context.out();
  if (output.empty()) {
    return context.on_hub() ? deliver_to_hub(context, workspace, statements, added, name)
                            : deliver_to_directory(context, workspace, statements, added, name);
  }
  std::string lines;
  for (const Statement& s : statements) lines += s.envelope() + "\n";
  *name = output;
  if (output == "-") {
    fmt::print("{}", lines);
    return 0;
  }
  const auto written = create_file_durably(output, lines, 0644);
  if (!written) return out.fail(written.error());
  out.note(fmt::format("written to {}", printable(output)));
  return 0;
}

}  // namespace hallpass::cli
