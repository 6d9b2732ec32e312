#!/bin/sh
# run.sh TARGET PROGRAM ARGUMENTS…: runs a program of the target under qemu, with the sysroot's libraries and this machine's files.
# cargo.sh makes cargo use it for `run` and `test`; check.sh runs in a root of the target's own instead.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=cross/targets.sh
. "$here/targets.sh"
target_of "${1:?a target: aarch64 or armv7}"
shift
# The plugin scanner is a program of the target, too, which this machine cannot start: scan inside the process. And by the real path,
# for qemu 7.2 does not map the path of a 32-bit stat.
export GST_REGISTRY_FORK=no GST_REGISTRY="$cache/gst-registry-$deb.bin" GST_PLUGIN_SYSTEM_PATH="$sysroot/usr/lib/$gnu/gstreamer-1.0"
exec "$qemu" -L "$sysroot" "$@"
