#!/bin/sh
# sysroot.sh TARGET: the target's libraries in a folder of the cache, to link against and to run its programs in; prints the
# folder. Nothing is installed on this machine, nothing of the target runs, and it needs no root.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=cross/targets.sh
. "$here/targets.sh"
target_of "${1:?a target: aarch64 or armv7}"
# what the programs are linked with
packages=libc6-dev,libgcc-12-dev,linux-libc-dev,libgstreamer1.0-dev,libgstreamer-plugins-base1.0-dev,libasound2-dev
# what a call needs besides when they run under qemu
packages=$packages,gstreamer1.0-plugins-base,gstreamer1.0-plugins-good,gstreamer1.0-plugins-bad,gstreamer1.0-alsa
packages=$packages,fonts-dejavu-core,ca-certificates,dash,coreutils

stamp=$(printf '%s %s' "$suite" "$packages" | sha256sum)
[ "$(cat "$sysroot/.complete" 2> /dev/null)" = "$stamp" ] && { echo "$sysroot"; exit 0; }
command -v mmdebstrap > /dev/null || { echo "mmdebstrap is missing: run 'tests/tools/prepare cross'" >&2; exit 1; }
mkdir -p "$cache"
exec 9> "$sysroot.lock"
flock 9
[ "$(cat "$sysroot/.complete" 2> /dev/null)" = "$stamp" ] && { echo "$sysroot"; exit 0; }
rm -rf "$sysroot"
echo "sysroot of $name: unpacking Debian $suite's packages into $sysroot (about 2 minutes)" >&2
# The release itself from this machine's mirror, without its security suite: its index of armhf is stale at times, and a
# sysroot is linked against, never run as a system.
mirror=${CROSS_MIRROR:-$(sed -n 's/^URIs: //p' /etc/apt/sources.list.d/debian.sources 2> /dev/null | head -1)}
mmdebstrap --quiet --variant=extract --architectures="$deb" --include="$packages" \
    --hook-dir=/usr/share/mmdebstrap/hooks/merged-usr \
    --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
    --dpkgopt='path-exclude=/usr/share/man/*' --format=directory "$suite" "$sysroot" "${mirror:-http://deb.debian.org/debian}" >&2
# A linker follows an absolute link out of the sysroot, to a library of this machine: each one becomes relative.
find "$sysroot" -type l -lname '/*' | while read -r link; do
    ln -sfn "$(realpath -m --relative-to="$(dirname "$link")" "$sysroot$(readlink "$link")")" "$link"
done
# Nothing of the target ran, so nobody put the certificates together.
if [ ! -s "$sysroot/etc/ssl/certs/ca-certificates.crt" ]; then
    mkdir -p "$sysroot/etc/ssl/certs"
    cat "$sysroot"/usr/share/ca-certificates/mozilla/*.crt > "$sysroot/etc/ssl/certs/ca-certificates.crt"
fi
printf '%s' "$stamp" > "$sysroot/.complete"
echo "$sysroot"
