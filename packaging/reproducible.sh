#!/bin/sh
# reproducible.sh TARGET: builds and packages the last commit twice, each time clean, in folders of other names and other lengths, and
# compares the bytes of the program and of the package. It takes two whole builds (half an hour on two cores).
#
#   QUICK=yes   without optimisation, a third of the time: paths, times and the order of things are the same in both
set -eu
if [ "${QUICK:-no}" = yes ]; then
    export CARGO_PROFILE_RELEASE_OPT_LEVEL=0 CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16
fi
here=$(cd "$(dirname "$0")/../cross" && pwd)
# shellcheck source=cross/targets.sh
. "$here/targets.sh"
target_of "${1:?a target: aarch64, armv7 or x86_64}"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
SOURCE_DATE_EPOCH=$(git -C "$top" log -1 --format=%ct)
export SOURCE_DATE_EPOCH
commit=$(git -C "$top" rev-parse --short HEAD)
for folder in one another/one-with-a-longer-name; do
    mkdir -p "$work/$folder"
    git -C "$top" archive HEAD | tar x -C "$work/$folder"
    echo "reproducible: $commit for $name in $work/$folder" >&2
    (
        unset CARGO_TARGET_DIR
        umask "$([ $folder = one ] && echo 022 || echo 027)"
        TZ=$([ $folder = one ] && echo UTC || echo Asia/Kathmandu) LC_ALL=C "$work/$folder/packaging/package.sh" "$name" > "$work/said" 2>&1
    ) || {
        tail -30 "$work/said" >&2
        exit 1
    }
    (
        cd "$work/$folder"
        sha256sum "target/$triple/release/residentd" "target/package/"*.deb "target/package/"*.cdx.json
    ) | sort > "$work/$(basename "$folder").sums"
    rm -rf "${work:?}/$folder"
done
if ! diff "$work/one.sums" "$work/one-with-a-longer-name.sums"; then
    echo "reproducible: the bytes differ" >&2
    exit 1
fi
cat "$work/one.sums"
echo "reproducible: both builds of $commit gave the same bytes"
