#!/bin/bash
# Builds hallpass_sudo.so inside a release of Debian whose CMake is too old for the tree: build_plugin.sh SOURCE OUT, with the release's own
# g++, sudo_plugin.h, flatc and libraries. The list of sources comes from the tree's CMakeLists.
set -eu
source=$1 out=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# sources FILE TARGET: what add_library(TARGET …) names there.
sources() {
  tr '\n' ' ' <"$source/$1" | grep -oE "add_library\($2 (STATIC|MODULE) [^)]*" | tr ' ' '\n' | grep '\.cc$' | sed "s|^|${1%/*}/|"
}

mkdir -p "$work/host"
for schema in "$source"/host/*.fbs; do flatc --cpp --scoped-enums -o "$work/host" "$schema"; done
list=$(sources sudo_plugin/CMakeLists.txt hallpass_sudo_parts
  sources sudo_plugin/CMakeLists.txt hallpass_sudo
  sources host/CMakeLists.txt hallpass_host
  # time.cc's calendar needs g++ 11, and nothing of it is linked in.
  cd "$source" && find core/values -name '*.cc' ! -name time.cc)
[ "$(grep -c ^sudo_plugin/ <<<"$list")" -ge 9 ] && [ "$(grep -c ^host/ <<<"$list")" -ge 10 ]

compile() {
  g++ -std=c++20 -O1 -g1 -DNDEBUG -Wall -Wextra -fPIC -fvisibility=hidden -fvisibility-inlines-hidden -ffunction-sections -fdata-sections \
    -fstack-protector-strong -D_GLIBCXX_ASSERTIONS -D_FILE_OFFSET_BITS=64 -DHALLPASS_VERSION='"test"' -I"$2" -I"$3" \
    -c "$2/$1" -o "$3/${1//\//_}.o"
}
export -f compile
xargs -P "$(nproc)" -I{} bash -c "compile {} '$source' '$work'" <<<"$list"
g++ -shared -o "$out.new" "$work"/*.o -static-libstdc++ -static-libgcc -llmdb -ldl -Wl,--gc-sections -Wl,-z,relro -Wl,-z,now -Wl,-z,nodelete \
  -Wl,--version-script="$source/sudo_plugin/hallpass_sudo.map" -Wl,--no-undefined
mv "$out.new" "$out"
