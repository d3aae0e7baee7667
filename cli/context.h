// What every command starts from: the global options, the configuration, the terminal, the clock and the zone.
#pragma once

#include <string>

#include "cli/config.h"
#include "cli/identity.h"
#include "cli/output.h"
#include "cli/times.h"
#include "cli/workspace.h"

namespace hallpass::cli {

struct GlobalOptions {
  std::string dir;
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
  Output& out() { return out_; }
  // Read anew at each call: a question or a touch may take minutes.
  static UnixTime now();
  Times times() const { return Times(zone_, now()); }

  // The directory in use: --dir, else the configuration's. Error: malformed, with what to write.
  Result<std::string> dir() const;
  // Opens it and warns, once, of what people should know: files that are no statements, a policy that soon ends.
  Result<Workspace> open_workspace();
  // Before signing: hosts will not take what an unsigned policy allows.
  void warn_of_policy(const Workspace& workspace);
  Result<Identity> identity(const Policy& policy) const;
  // For filters such as --mine: --as, the configuration, or our keys; "" when nobody knows.
  std::string name_if_known(const Policy& policy) const;

  // Signing asks first. True: go on. False: *exit_code is what to return, and the reason was said.
  bool agreed(std::string_view question, bool stdin_used, int* exit_code);

 private:
  void warn_of_files(const Workspace& workspace);
  GlobalOptions options_;
  Config config_;
  Output out_;
  Zone zone_;
};

}  // namespace hallpass::cli
