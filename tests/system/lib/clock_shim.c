// Preloaded into every process of a test host whose clock the test moves. libfaketime does not do here: sshd starts its
// helpers with an empty environment and libfaketime then fakes CLOCK_BOOTTIME too, it cannot say "synchronised", and
// timers at absolute times are armed by the kernel's clock. The settings are a shared mapping of a file: a change
// reaches every process at once, also those in a chroot.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <sys/timex.h>
#include <time.h>
#include <unistd.h>

struct settings {
  volatile int64_t offset_ns, frozen_ns, synchronised, slept_ns;
};
static const struct settings* settings;

__attribute__((constructor)) static void map_settings(void) {
  const int fd = open("/etc/test-clock", O_RDONLY | O_CLOEXEC);
  if (fd < 0) return;
  void* p = mmap(NULL, sizeof(struct settings), PROT_READ, MAP_SHARED, fd, 0);
  close(fd);
  if (p != MAP_FAILED) settings = p;
}

static int is_wall(clockid_t id) {
  return id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE || id == CLOCK_REALTIME_ALARM || id == CLOCK_TAI;
}

static int64_t moved(int64_t ns) {
  if (settings == NULL) return ns;
  return settings->frozen_ns != 0 ? settings->frozen_ns : ns + settings->offset_ns;
}

static int real_clock(clockid_t id, struct timespec* t) {
  static int (*real)(clockid_t, struct timespec*);
  if (real == NULL) real = (int (*)(clockid_t, struct timespec*))dlsym(RTLD_NEXT, "clock_gettime");
  return real != NULL ? real(id, t) : (int)syscall(SYS_clock_gettime, id, t);
}

static int is_boot(clockid_t id) {
  return id == CLOCK_BOOTTIME || id == CLOCK_BOOTTIME_ALARM;
}

int clock_gettime(clockid_t id, struct timespec* t) {
  const int r = real_clock(id, t);
  if (r != 0 || !(is_wall(id) || (is_boot(id) && settings != NULL))) return r;
  const int64_t real_ns = t->tv_sec * INT64_C(1000000000) + t->tv_nsec;
  const int64_t ns = is_boot(id) ? real_ns + settings->slept_ns : moved(real_ns);
  t->tv_sec = ns / 1000000000;
  t->tv_nsec = ns % 1000000000;
  return 0;
}

time_t time(time_t* out) {
  struct timespec t = {0};
  clock_gettime(CLOCK_REALTIME, &t);
  if (out != NULL) *out = t.tv_sec;
  return t.tv_sec;
}

int gettimeofday(struct timeval* restrict tv, void* restrict tz) {
  (void)tz;
  struct timespec t = {0};
  clock_gettime(CLOCK_REALTIME, &t);
  *tv = (struct timeval){t.tv_sec, t.tv_nsec / 1000};
  return 0;
}

// The kernel's timers run by its own clocks.
enum { kMostTimers = 4096 };
static unsigned char counts_boot_time[kMostTimers];

int timerfd_create(int id, int flags) {
  static int (*real)(int, int);
  if (real == NULL) real = (int (*)(int, int))dlsym(RTLD_NEXT, "timerfd_create");
  const int fd = real(id, flags);
  if (fd >= 0 && fd < kMostTimers) counts_boot_time[fd] = is_boot(id) != 0;
  return fd;
}

static int real_settime(int fd, int flags, const struct itimerspec* value, struct itimerspec* old) {
  static int (*real)(int, int, const struct itimerspec*, struct itimerspec*);
  if (real == NULL)
    real = (int (*)(int, int, const struct itimerspec*, struct itimerspec*))dlsym(RTLD_NEXT, "timerfd_settime");
  return real(fd, flags, value, old);
}

// A timer that the kernel cancels when the clock is set (TFD_TIMER_CANCEL_ON_SET) is readable then, and reading fails.
// Only for the agent: its tests are about what it does then.
static volatile int cancelled_fd = -1, cancelled;

static void* cancel_when_set(void* unused) {
  (void)unused;
  int64_t offset = settings->offset_ns;
  for (;;) {
    usleep(20000);
    if (settings->offset_ns == offset) continue;
    offset = settings->offset_ns;
    cancelled = 1;
    const struct itimerspec now = {.it_value = {0, 1}};
    real_settime(cancelled_fd, 0, &now, NULL);
  }
  return NULL;
}

static void hear_of_sets(int fd) {
  const int first = cancelled_fd < 0;
  cancelled_fd = fd;
  if (!first || settings == NULL || strcmp(program_invocation_short_name, "hallpass-agent") != 0) return;
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  pthread_t thread;
  if (pthread_create(&thread, NULL, cancel_when_set, NULL) == 0) pthread_detach(thread);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
}

ssize_t read(int fd, void* to, size_t size) {
  static ssize_t (*real)(int, void*, size_t);
  if (real == NULL) real = (ssize_t(*)(int, void*, size_t))dlsym(RTLD_NEXT, "read");
  const ssize_t n = real(fd, to, size);
  if (fd != cancelled_fd || !cancelled || n < 0) return n;
  cancelled = 0;
  errno = ECANCELED;
  return -1;
}

int timerfd_settime(int fd, int flags, const struct itimerspec* value, struct itimerspec* old) {
  if ((flags & TFD_TIMER_CANCEL_ON_SET) != 0) hear_of_sets(fd);
  struct itimerspec shifted = *value;
  const int64_t ns = value->it_value.tv_sec * INT64_C(1000000000) + value->it_value.tv_nsec;
  // Absolute and in this century: a wall-clock time. (Monotonic clocks count from the boot.)
  if (settings != NULL && (flags & TFD_TIMER_ABSTIME) != 0 && value->it_value.tv_sec > 1000000000 &&
      value->it_value.tv_sec < 10000000000) {
    const int64_t real_ns = ns - settings->offset_ns;
    shifted.it_value.tv_sec = real_ns / 1000000000;
    shifted.it_value.tv_nsec = real_ns % 1000000000;
  } else if (settings != NULL && (flags & TFD_TIMER_ABSTIME) != 0 && fd >= 0 && fd < kMostTimers &&
             counts_boot_time[fd] && ns > settings->slept_ns) {
    shifted.it_value.tv_sec = (ns - settings->slept_ns) / 1000000000;
    shifted.it_value.tv_nsec = (ns - settings->slept_ns) % 1000000000;
  }
  return real_settime(fd, flags, &shifted, old);
}

// What the kernel thinks of its clock. Not asked while the tests have a say: a sandbox may forbid even reading.
static int status_of(struct timex* t) {
  *t = (struct timex){.maxerror = settings->synchronised ? 0 : 16000000,
                      .status = settings->synchronised ? 0 : STA_UNSYNC,
                      .tick = 10000};
  struct timespec now = {0};
  clock_gettime(CLOCK_REALTIME, &now);
  t->time.tv_sec = now.tv_sec;
  t->time.tv_usec = now.tv_nsec / 1000;
  return settings->synchronised ? TIME_OK : TIME_ERROR;
}
int adjtimex(struct timex* t) {
  return settings != NULL && t->modes == 0 ? status_of(t) : (int)syscall(SYS_adjtimex, t);
}
int ntp_adjtime(struct timex* t) {
  return adjtimex(t);
}
int clock_adjtime(clockid_t id, struct timex* t) {
  return settings != NULL && id == CLOCK_REALTIME && t->modes == 0 ? status_of(t)
                                                                   : (int)syscall(SYS_clock_adjtime, id, t);
}
int ntp_gettimex(struct ntptimeval* out) {
  struct timex t = {0};
  const int r = adjtimex(&t);
  *out = (struct ntptimeval){.time = t.time, .maxerror = t.maxerror, .esterror = t.esterror, .tai = t.tai};
  return r;
}
