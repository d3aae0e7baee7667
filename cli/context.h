// What every command starts from: the global options, the configuration, the terminal, the clock and the zone.
#pragma once

#include <memory>
#include <string>

#include "cli/config.h"
#include "cli/hub_mirror.h"
#include "cli/identity.h"
#include "cli/output.h"
#include "cli/times.h"
#include "cli/workspace.h"

namespace hallpass::cli {

struct GlobalOptions {
  std::string dir;
  std::string hub;
  std::string config;
  std::string as;
  std::string key;
  bool json = false;
  bool yes = false;
  bool no_color = false;
  bool verbose = false;
};

class Context {
 public:
  Context(GlobalOptions options, Config config);

  const GlobalOptions& options() const { return options_; }
  const Config& config() const { return config_; }
  Output& out() { return out_; }
  // Read anew at each call: a question or a touch may take minutes.
  static UnixTime now();
  Times times() const { return Times(zone_, now()); }

  // Statements go to a hub: --hub, else the configuration's unless --dir was given.
  bool on_hub() const { return !options_.hub.empty() || (options_.dir.empty() && !config_.hub.url.empty()); }
  // The hub and our copy of it. Errors: malformed (URL, token's file), those of trust.toml.
  Result<HubMirror*> hub();
  // The directory in use: --dir, else the configuration's. Error: malformed, with what to write; on a hub there is
  // none.
  Result<std::string> dir() const;
  // Opens the directory, or the copy of the hub after bringing it up to date, and warns of what people should know:
  // files that are no statements, a policy that soon ends, a hub that is away. Errors: those of Workspace::open;
  // unavailable (no hub and no copy of it).
  Result<Workspace> open_workspace();
  // The same without a word and without asking a hub, for completion.
  Result<Workspace> open_quietly();
  // Opens the place again. Tells of a hub only what it has not told before. `note`: HubMirror::sync.
  Status refresh(Workspace& workspace, const std::string* note = nullptr);
  // The copy has grown since it was last opened, by this program or another.
  bool has_grown();
  // Brings the copy of the hub up to date after publishing; a workspace that is open stays as it is.
  void catch_up();
  // Before signing: hosts will not take what an unsigned policy allows.
  void warn_of_policy(const Workspace& workspace);
  Result<Identity> identity(const Policy& policy) const;
  // For filters such as --mine: --as, the configuration, or our keys; "" when nobody knows.
  std::string name_if_known(const Policy& policy) const;

  // Signing asks first. True: go on. False: *exit_code is what to return, and the reason was said.
  bool agreed(std::string_view question, bool stdin_used, int* exit_code);

 private:
  void warn_of_files(const Workspace& workspace);
  void warn_of_end(const Workspace& workspace);
  Result<Workspace> open_copy(const SyncReport& report);
  void tell(const SyncReport& report);
  GlobalOptions options_;
  Config config_;
  Output out_;
  Zone zone_;
  std::unique_ptr<HubMirror> hub_;
  std::string told_;          // of the hub, last
  std::uint64_t opened_ = 0;  // how many entries the copy had when it was last opened
};

}  // namespace hallpass::cli
