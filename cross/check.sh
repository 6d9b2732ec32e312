#!/bin/sh
# check.sh TARGET: runs what build.sh has built, under qemu in a root file system of that processor: versions, the configuration's check,
# the technician's command, and a call with the lab from ringing to the television put back (tests/integration/foreign.rs).
set -eu
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=cross/targets.sh
. "$here/targets.sh"
target_of "${1:?a target: aarch64, armv7 or x86_64}"
programs=${CARGO_TARGET_DIR:-$top/target}/$triple/release
[ -x "$programs/residentd" ] || {
    echo "nothing is built for $name: make cross TARGET=$name" >&2
    exit 1
}
"$here/sysroot.sh" "$name" > /dev/null
machine=$(LC_ALL=C readelf -h "$programs/residentd" | sed -n 's/^ *Machine: *//p')
echo "$programs/residentd: $machine"
if paths=$(LC_ALL=C grep -aoE "($HOME|$top)/[A-Za-z0-9_./-]*" "$programs/residentd" | head -3) && [ -n "$paths" ]; then
    printf 'paths of this machine are in the program:\n%s\n' "$paths" >&2
    exit 1
fi
cd "$top"
export RESIDENTD_RUN="$here/root.sh $name" RESIDENTD_PROGRAMS="$programs"
exec cargo test --locked --test integration foreign:: -- --ignored --nocapture --test-threads=1
