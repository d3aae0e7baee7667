#include "sudo_plugin/sudoers.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <unistd.h>

namespace hallpass {
namespace {

constexpr const char* kPlaces[] = {"/usr/libexec/sudo/sudoers.so", "/usr/lib/sudo/sudoers.so",
                                   "/usr/lib64/sudo/sudoers.so"};

// What every sudo since 1.9.5 has.
constexpr unsigned kOldest = SUDO_API_MKVERSION(1, 15);

bool is_usable(unsigned type, unsigned version, unsigned wanted) {
  return type == wanted && SUDO_API_VERSION_GET_MAJOR(version) == SUDO_API_VERSION_MAJOR && version >= kOldest;
}

void load(Sudoers& s) {
  const char* place = nullptr;
  for (const char* candidate : kPlaces) {
    // Not access(2): in sudo the real user is the caller, who need not see that folder.
    if (place == nullptr && faccessat(AT_FDCWD, candidate, F_OK, AT_EACCESS) == 0) place = candidate;
  }
  if (place == nullptr) {
    s.error = "sudoers.so is not where sudo puts it";
    return;
  }
  // As sudo itself loads it: its I/O plugin, listed in sudo.conf, is then the same copy.
  void* handle = dlopen(place, RTLD_LAZY | RTLD_GLOBAL);
  if (handle == nullptr) {
    const char* why = dlerror();
    s.error = why == nullptr ? "sudoers.so cannot be loaded" : why;
    return;
  }
  auto* policy = static_cast<policy_plugin*>(dlsym(handle, "sudoers_policy"));
  auto* audit = static_cast<audit_plugin*>(dlsym(handle, "sudoers_audit"));
  if (policy == nullptr || audit == nullptr || !is_usable(policy->type, policy->version, SUDO_POLICY_PLUGIN) ||
      !is_usable(audit->type, audit->version, SUDO_AUDIT_PLUGIN)) {
    s.error = std::string(place) + " is of a version that hallpass does not know (1.9.5 or later is needed)";
    return;
  }
  s.policy = policy;
  s.audit = audit;
}

}  // namespace

Sudoers& sudoers() {
  static Sudoers* loaded = nullptr;  // sudo has one thread; never destroyed, because sudo's last words come late
  if (loaded == nullptr) {
    loaded = new Sudoers;
    load(*loaded);
  }
  return *loaded;
}

}  // namespace hallpass
