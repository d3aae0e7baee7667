# Sourced by packaging/build: the source package and the binary packages for rpm.
# shellcheck shell=bash

# rpm_settings WORK: macros that make two builds equal, and those that a Debian machine needs to build what would run there.
rpm_settings() {
  local work=$1
  printf '%s\n' "%_topdir $work/top" "%_buildhost hallpass" "%use_source_date_epoch_as_buildtime 1" "%clamp_mtime_to_source_date_epoch 1" \
    "%source_date_epoch_from_changelog 0" "%_build_id_links none" "%_dbpath $work/db" "%_tmppath $work/tmp" "%packager hallpass maintainers <maintainers@hallpass.invalid>"
  if [ -e /etc/debian_version ]; then
    # rpm here has neither Debian's directories nor its hardening.
    printf '%%_libdir %s\n' "/usr/lib/$(gcc -print-multiarch)"
    printf '%%optflags -O2 -g1 %s\n' "-Wformat -Werror=format-security"
  fi
}

# trial_settings: of the binary packages alone.
trial_settings() {
  if [ -n "${HALLPASS_PACKAGE_CCACHE:-}" ]; then printf '%%hallpass_ccache %s\n' "$(command -v ccache)"; fi
  if [ -n "${HALLPASS_PACKAGE_STAGE:-}" ]; then printf '%%hallpass_stage %s\n' "$HALLPASS_PACKAGE_STAGE"; fi
}

# build_rpm_packages OUTDIR
build_rpm_packages() {
  local out=$1 epoch name
  command -v rpmbuild >/dev/null || die "needs rpmbuild: apt-get install rpm, or dnf install rpm-build"
  work_dir rpm
  epoch=$(source_date)
  name=hallpass-$(version)
  mkdir -p "$work/top/SOURCES" "$work/top/SPECS" "$work/tmp"
  export_tree "$work/$name"
  tar -C "$work" --sort=name --owner=0 --group=0 --numeric-owner --mtime="@$epoch" -cf - "$name" | gzip -n -9 >"$work/top/SOURCES/$name.tar.gz"
  sed -E -e "s/^(Version: +).*/\\1$(version)/" \
    -e "s/^\\* .* (hallpass maintainers .*) - .*/* $(LC_ALL=C TZ=UTC date -d "@$epoch" '+%a %b %d %Y') \\1 - $(version)-1/" \
    "$work/$name/packaging/rpm/hallpass.spec" >"$work/top/SPECS/hallpass.spec"
  touch --date="@$epoch" "$work/top/SPECS/hallpass.spec" "$work/top/SOURCES/$name.tar.gz"
  rpm_settings "$work" >"$work/macros"
  trial_settings >"$work/trial"
  # What is needed for building has other names here than where the spec is at home.
  local lax=()
  if [ -e /etc/debian_version ]; then lax=(--nodeps); fi
  # The source package keeps the names of the folders that it was to be built in: the same names for all. For ccache they do not matter.
  {
    (cd "$work/top/SOURCES" && clean SOURCE_DATE_EPOCH="$epoch" rpmbuild --load="$work/macros" "${lax[@]}" --define '_sourcedir .' \
      --define '_builddir /builddir' --define '_buildrootdir /buildroot' -bs "$work/top/SPECS/hallpass.spec") &&
      clean SOURCE_DATE_EPOCH="$epoch" CCACHE_BASEDIR="$work/top/BUILD/$name" CCACHE_NOHASHDIR=1 \
        rpmbuild --load="$work/macros" --load="$work/trial" "${lax[@]}" -bb "$work/top/SPECS/hallpass.spec"
  } >"$work/log" 2>&1 || {
    tail -n 60 "$work/log" >&2
    die "the build failed; its last lines are above"
  }
  mkdir -p "$out"
  rm -f "$out"/*.rpm "$out"/log
  cp "$work"/top/RPMS/*/*.rpm "$work"/top/SRPMS/*.rpm "$work/log" "$out"
  (cd "$out" && ls -- *.rpm)
}
