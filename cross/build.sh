#!/bin/sh
# build.sh TARGET: the programs for that processor, as packages ship them: release profile, the list of crates inside (cargo-auditable).
set -eu
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=cross/targets.sh
. "$here/targets.sh"
target_of "${1:?a target: aarch64, armv7 or x86_64}"
"$here/cargo.sh" "$name" auditable build --release --locked --bin residentd
programs=${CARGO_TARGET_DIR:-$top/target}/$triple/release
ln -sf residentd "$programs/residentctl" # one program, two names
printf '%s  %s bytes\n' "$programs/residentd" "$(stat -c %s "$programs/residentd")"
