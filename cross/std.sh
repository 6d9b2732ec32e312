#!/bin/sh
# std.sh TARGET: Debian's Rust standard library for the target, in a folder of the cache; prints the folder for rustc's
# --sysroot. For a machine whose rustup cannot fetch the target; it goes with Debian's own compiler, package rustc-web.
#
# The library must come from the same release of Rust as the compiler. Of which Debian release it is makes no difference, so
# an index that is missing or stale in one (armhf's, at times) is found in the next.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=cross/targets.sh
. "$here/targets.sh"
target_of "${1:?a target: aarch64 or armv7}"
version=$(dpkg-query -W -f '${Version}' rustc-web 2> /dev/null) || {
    echo "Debian's Rust is missing: run 'tests/tools/prepare cross'" >&2
    exit 1
}
release=${version%%[-+]*}
[ "$(cat "$std/.version" 2> /dev/null)" = "$release" ] && { echo "$std/usr"; exit 0; }
mkdir -p "$cache"
exec 9> "$std.lock"
flock 9
[ "$(cat "$std/.version" 2> /dev/null)" = "$release" ] && { echo "$std/usr"; exit 0; }

apt=$(mktemp -d)
trap 'rm -rf "$apt"' EXIT
mkdir -p "$apt/lists/partial" "$apt/cache/archives/partial" "$apt/sources"
: > "$apt/status"
cp /etc/apt/sources.list.d/debian.sources "$apt/sources/here.sources"
sed "s/$suite/${CROSS_NEXT_SUITE:-trixie}/g" /etc/apt/sources.list.d/debian.sources > "$apt/sources/next.sources"
export APT_CONFIG="$apt/apt.conf"
cat > "$APT_CONFIG" << CONF
Dir::State "$apt"; Dir::State::Lists "$apt/lists"; Dir::State::status "$apt/status"; Dir::Cache "$apt/cache";
Dir::Etc::SourceList "/dev/null"; Dir::Etc::SourceParts "$apt/sources";
APT::Architectures { "$(dpkg --print-architecture)"; "$deb"; }; APT::Sandbox::User "root";
CONF
echo "Rust $release's standard library for $name: asking Debian's indexes (about a minute)" >&2
apt-get update -qq >&2 || echo "some indexes could not be had; going on with the others" >&2
found=$(apt-cache madison "libstd-rust-web-dev:$deb" | awk '{ print $3 }' | grep -E "^${release}[+-]" | head -1)
[ -n "$found" ] || {
    echo "Debian has no libstd-rust-web-dev $release for $deb now; 'apt-get install rustc-web' for its newest, then again" >&2
    exit 1
}
cd "$apt"
apt-get download -q "libstd-rust-web-dev:$deb=$found" >&2
rm -rf "$std"
mkdir -p "$std"
dpkg-deb -x libstd-rust-web-dev_*"_$deb.deb" "$std"
echo "$release" > "$std/.version"
echo "$std/usr"
