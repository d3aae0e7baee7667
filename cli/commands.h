// The commands of `hallpass`, one function each, and what was typed for them. Every one returns the exit code
// (cli/output.h).
#pragma once

#include <string>
#include <vector>

#include "cli/context.h"

namespace hallpass::cli {

struct RequestArgs {
  std::string runbook;
  std::vector<std::string> targets;
  std::string reason;
  std::string ticket;
  std::string duration;
  std::vector<std::string> parameters;
  std::string not_before;
  std::string respond_by;
  std::string output;  // -o: "-" or a file; empty: the directory
  bool wait = false;
  std::string timeout;  // --wait-for
};

struct DecisionArgs {
  std::string grant;  // id, file or -
  std::string duration;
  std::vector<std::string> targets;
  std::string comment;
  std::string output;
};

struct RevokeArgs {
  std::string grant;
  std::string subject;
  std::string key;
  std::string reason;
  std::string output;
};

struct ListArgs {
  bool all = false;
  bool mine = false;
  std::string state;
};

struct ShowArgs {
  std::string grant;
  std::string host;  // explain only
};

struct CarryArgs {
  std::string host;
  std::vector<std::string> grants;
  std::vector<std::string> ssh_options;
  std::string user = "hallpass-drop";
};

struct PolicyInitArgs {
  std::string fleet;
  std::vector<std::string> people;  // name=keyfile
  std::vector<std::string> admins;
  int threshold = 0;
  std::string presence;
  std::string runbook;
  std::string account;
  std::vector<std::string> targets;
};

struct PolicyFileArgs {
  std::string file;
  int for_format = 0;
  std::string against;
  bool toml = false;  // show: the file as it is
};

struct WatchArgs {
  bool mine = false;
};

struct LogArgs {
  bool full = false;    // verify: from entry 0
  std::string grant;    // prove
  std::string output;   // prove: "-", a file or a directory; empty: here
  int count = 10;       // tail
  bool follow = false;  // tail
};

int cmd_request(Context& context, const RequestArgs& args);
int cmd_approve(Context& context, const DecisionArgs& args);
int cmd_deny(Context& context, const DecisionArgs& args);
int cmd_revoke(Context& context, const RevokeArgs& args);
int cmd_list(Context& context, const ListArgs& args);
int cmd_show(Context& context, const ShowArgs& args);
int cmd_explain(Context& context, const ShowArgs& args);
int cmd_carry(Context& context, const CarryArgs& args);
int cmd_policy_init(Context& context, const PolicyInitArgs& args);
int cmd_policy_check(Context& context, const PolicyFileArgs& args);
int cmd_policy_sign(Context& context, const PolicyFileArgs& args);
int cmd_policy_publish(Context& context, const PolicyFileArgs& args);
int cmd_policy_show(Context& context, const PolicyFileArgs& args);
int cmd_watch(Context& context, const WatchArgs& args);
int cmd_log_verify(Context& context, const LogArgs& args);
int cmd_log_prove(Context& context, const LogArgs& args);
int cmd_log_tail(Context& context, const LogArgs& args);
int cmd_version(Context& context);
// Words for the shell's completion: "runbooks", "ids", "people", "hosts", "params RUNBOOK". Never complains.
int cmd_complete(Context& context, const std::vector<std::string>& words);

// Replaces this program with /usr/libexec/hallpass/ctl; returns only when that cannot be done. `typed`: what people
// type, for messages: "hallpass host".
int run_host_tool(const std::string& typed, const std::vector<std::string>& arguments);

// What `request --wait` does, for a grant that is published: returns when it is decided or `deadline` has
// passed.
int wait_for_decision(Context& context, Workspace& workspace, const Digest& grant, UnixTime deadline);

// Publishes a signed statement to the directory or the hub, or with `output` appends a whole grant file there ("-":
// stdout). `statements`: everything of the grant, the new one included. Returns an exit code; 0 when done. *name: where
// it went.
int deliver(Context& context, Workspace& workspace, const std::vector<Statement>& statements, const Statement& added,
            const std::string& output, std::string* name);

}  // namespace hallpass::cli
