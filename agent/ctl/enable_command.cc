#include "agent/ctl/enable_command.h"

namespace hallpass {

void add_enable_commands(CLI::App& /*app*/, const Layout& /*layout*/, int& /*code*/) {}

}  // namespace hallpass
