# Sourced by ./test and ./demo: what a fresh Debian 12 machine needs, and how it gets it. Everything comes from Debian itself.
# shellcheck shell=bash disable=SC2034
packages_build=(ca-certificates ccache cmake flatbuffers-compiler g++ gcc libboost1.81-dev libcli11-dev libcurl4-openssl-dev libflatbuffers-dev libfmt-dev
  libhowardhinnant-date-dev liblmdb-dev libpam0g-dev libssl-dev libsystemd-dev libtomlplusplus-dev libxxhash-dev ninja-build zlib1g-dev
  nlohmann-json3-dev pkg-config scdoc sudo)
packages_host=(dbus iproute2 libpam-systemd openssh-client openssh-server openssh-sftp-server passwd systemd systemd-container tzdata
  util-linux python3)
packages_test=(at clang-14 clang-format-14 clang-tidy-14 cron git less lsof libclang-rt-14-dev libbenchmark-dev libcmocka-dev lmdb-utils mandoc nftables nginx-light
  pamtester postgresql-15 procps python3-cryptography python3-pytest python3-pytest-xdist python3-yaml rsync screen shellcheck strace tcpdump tmux vim-tiny)
# What only ./test packages needs.
packages_packaging=(ansible ansible-lint apparmor checkpolicy cloud-init cpio debhelper dpkg-dev lintian rpm rpmlint semodule-utils systemd-journal-remote yamllint)
packages_releases=(debootstrap debian-archive-keyring gpgv)

as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"; else sudo -- "$@"; fi
}

# need_packages NAME...: lists what is missing and installs it.
need_packages() {
  local name missing=()
  for name in "$@"; do
    if [ "$(dpkg-query -W -f='${db:Status-Status}' "$name" 2>/dev/null)" != installed ]; then missing+=("$name"); fi
  done
  [ ${#missing[@]} -gt 0 ] || return 0
  printf 'Installing %d Debian packages: %s\n' "${#missing[@]}" "${missing[*]}"
  as_root env DEBIAN_FRONTEND=noninteractive apt-get update -qq &&
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
}
