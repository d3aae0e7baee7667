// The log's files for one attempt to follow it: those that the mirror has, the others from a carrier.
#pragma once

#include <optional>
#include <string>

#include "agent/fetch/carrier.h"
#include "agent/fetch/mirror.h"
#include "core/log/tile_reader.h"

namespace hallpass {

class LogSource {
 public:
  // use_mirror: false reads nothing of it but what has just arrived, for the mirror may be the one that is wrong.
  // keep: what is downloaded arrives in the mirror; otherwise it is used and forgotten.
  LogSource(Mirror& mirror, Carrier& carrier, bool use_mirror, bool keep)
      : mirror_(mirror), carrier_(carrier), use_mirror_(use_mirror), keep_(keep) {}

  LogFiles files();
  bool used_mirror() const { return used_mirror_; }
  // What went wrong underneath: the first download that failed otherwise than by "not there", or the mirror's disk.
  struct Trouble {
    Error error;
    bool local = false;  // this machine's fault
  };
  const std::optional<Trouble>& trouble() const { return trouble_; }

 private:
  Result<std::string> read(const std::string& path, std::size_t limit);
  Result<std::string> download(const std::string& path, std::size_t limit);
  Mirror& mirror_;
  Carrier& carrier_;
  bool use_mirror_, keep_, used_mirror_ = false;
  std::optional<Trouble> trouble_;
};

}  // namespace hallpass
