#include "hub/notices_queue.h"

#include "hub/notices_text.h"

namespace hallpass::hub {
namespace {

constexpr Seconds kTroubleAgain{3600};
constexpr int kError = 3;

}  // namespace

NoticesQueue::NoticesQueue(Settings settings, UnixTime now)
    : settings_(std::move(settings)),
      queue_(settings_.directory, settings_.state + "/notice-number", "notice"),
      told_(settings_.state + "/notices-told") {
  if (const Status opened = told_.open(now); !opened) trouble(opened.error(), now);
}

void NoticesQueue::taken(const Statement& taken, const Judgement& before, const Judgement& after,
                         const Request& request, const Policy& policy, UnixTime now) {
  const std::lock_guard lock(mutex_);
  std::vector<std::string> ids, documents;
  for (const Notice& notice : notices_of(taken, before, after, request, policy)) {
    const std::string id = notice_id(taken.payload_digest(), after.request, notice);
    if (told_.has(id)) {
      ++known_;
      continue;
    }
    ids.push_back(id);
    documents.push_back(notice_json(notice, id));
  }
  if (!ids.empty()) put(ids, documents, now);
}

void NoticesQueue::put(const std::vector<std::string>& ids, const std::vector<std::string>& documents, UnixTime now) {
  if (const Status queued = queue_.put(documents); !queued) {
    lost_ += documents.size();
    return trouble(queued.error(), now);
  }
  queued_ += documents.size();
  if (const Status kept = told_.add(ids, now); !kept) trouble(kept.error(), now);
}

// The log goes on whatever becomes of notices: this is said once an hour.
void NoticesQueue::trouble(const Error& error, UnixTime now) {
  if (trouble_told_ && now - *trouble_told_ < kTroubleAgain) return;
  trouble_told_ = now;
  if (!settings_.tell) return;
  const bool no_queue = error.code == Errc::not_found;
  settings_.tell(kError, "notices are not queued: " + error.message +
                             (no_queue ? "; `systemd-tmpfiles --create hallpass-hub-notify.conf` makes it, or leave "
                                         "notices out of hub.toml"
                                       : "; who is waited for sees it with `hallpass list` alone"));
}

}  // namespace hallpass::hub
