#!/bin/sh
# build.sh TARGET: the programs for that processor, as packages ship them: release profile, the list of crates inside (cargo-auditable).
set -eu
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=cross/targets.sh
. "$here/targets.sh"
target_of "${1:?a target: aarch64, armv7 or x86_64}"
"$here/cargo.sh" "$name" auditable build --release --locked --bins
programs=${CARGO_TARGET_DIR:-$top/target}/$triple/release
for program in residentd residentctl; do
    printf '%s  %s bytes\n' "$programs/$program" "$(stat -c %s "$programs/$program")"
done
