// Where a production host keeps hallpass's files. All are root's; none is writable by group or others.
#pragma once

namespace hallpass::paths {

inline constexpr char kConfigDir[] = "/etc/hallpass";                    // host.toml, trust.toml
inline constexpr char kStateDir[] = "/var/lib/hallpass";                 // 0700: ledger/, admissions.mdb, reserve
inline constexpr char kSnapshot[] = "/var/lib/hallpass/admissions.mdb";  // 0600, immutable, replaced by rename
inline constexpr char kSudoDefaults[] =
    "/var/lib/hallpass/sudoers.defaults";                          // 0400: the site's sudoers without privileges
inline constexpr char kRunDir[] = "/run/hallpass";                 // 0755
inline constexpr char kWithdrawn[] = "/run/hallpass/withdrawn";    // exists: the snapshot must not be believed
inline constexpr char kOffers[] = "/run/hallpass/offers";          // 0700: which key a login in progress offered
inline constexpr char kSessions[] = "/run/hallpass/sessions";      // 0700: a record a login, host/session.h
inline constexpr char kEventSocket[] = "/run/hallpass/events";     // 0600 datagram socket, the agent's
inline constexpr char kControlSocket[] = "/run/hallpass/control";  // 0666 packet socket, the agent's
inline constexpr char kStatus[] = "/run/hallpass/status.json";     // 0644
inline constexpr char kJournalSocket[] = "/run/systemd/journal/socket";
inline constexpr char kMachineId[] = "/etc/machine-id";
inline constexpr char kPolicy[] = "/run/hallpass/policy.toml";  // 0600: the policy in force, for `hallpass host …`
inline constexpr char kWhy[] = "/usr/libexec/hallpass/why";
inline constexpr char kDrop[] = "/usr/libexec/hallpass/drop";
inline constexpr char kDropAccount[] = "hallpass-drop";  // by which people hand grants in, and do nothing else

}  // namespace hallpass::paths
