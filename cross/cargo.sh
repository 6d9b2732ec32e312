#!/bin/sh
# cargo.sh TARGET CARGO-ARGUMENTS…: cargo for that processor, e.g. `cargo.sh aarch64 build --release`.
#
# For this machine's own (x86_64) it only sees to it that the same sources make the same bytes wherever they are built.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=cross/targets.sh
. "$here/targets.sh"
target_of "${1:?a target: aarch64, armv7 or x86_64}"
shift
VAR=$(echo "$triple" | tr a-z- A-Z_)
var=$(echo "$triple" | tr - _)
registry=${CARGO_HOME:-$HOME/.cargo}/registry/src

# No path of this machine in the binary. The last prefix that fits wins, so the checkout's comes before what lies in it.
flags="--remap-path-prefix=$top=. --remap-path-prefix=$registry=crates"
cflags="-ffile-prefix-map=$top=. -ffile-prefix-map=$registry=crates"
if [ -n "${CARGO_TARGET_DIR:-}" ]; then
    flags="$flags --remap-path-prefix=$CARGO_TARGET_DIR=target"
    cflags="$cflags -ffile-prefix-map=$CARGO_TARGET_DIR=target"
fi
# Relocations take a tenth of the room packed, and glibc 2.36 reads them so. Debian 12's linkers for ARM know nothing of it.
[ -n "$qemu" ] || flags="$flags -C link-arg=-Wl,-z,pack-relative-relocs"
# What the crate switches on in SQLite and the state on disk does not use; the Yocto recipe says the same.
sqlite='-USQLITE_ENABLE_FTS3 -USQLITE_ENABLE_FTS3_PARENTHESIS -USQLITE_ENABLE_FTS5 -USQLITE_ENABLE_RTREE -USQLITE_ENABLE_DBSTAT_VTAB'
if [ -n "$qemu" ]; then
    "$here/sysroot.sh" "$name" > /dev/null
    flags="$flags -C link-arg=--sysroot=$sysroot"
    cflags="$cflags --sysroot=$sysroot"
    # rustup's standard library for the target where it has one, else Debian's compiler and library
    if [ ! -d "$(rustc --print sysroot)/lib/rustlib/$triple/lib" ]; then
        debian=$("$here/std.sh" "$name")
        flags="$flags --sysroot=$debian"
        export RUSTC="${CROSS_RUSTC:-/usr/bin/rustc}"
    fi
    export "CARGO_TARGET_${VAR}_LINKER=$gnu-gcc" "CARGO_TARGET_${VAR}_RUNNER=$here/run.sh $name" \
        "CC_$var=$gnu-gcc" "CXX_$var=$gnu-g++" "AR_$var=$gnu-ar" \
        "BINDGEN_EXTRA_CLANG_ARGS_$var=--sysroot=$sysroot --target=$gnu" \
        PKG_CONFIG_ALLOW_CROSS=1 PKG_CONFIG_PATH='' PKG_CONFIG_SYSROOT_DIR="$sysroot" \
        PKG_CONFIG_LIBDIR="$sysroot/usr/lib/$gnu/pkgconfig:$sysroot/usr/share/pkgconfig"
fi
# the time of the last commit, for whatever writes a date
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git -C "$top" log -1 --format=%ct 2> /dev/null || echo 0)}
export SOURCE_DATE_EPOCH CARGO_BUILD_TARGET="$triple" "CARGO_TARGET_${VAR}_RUSTFLAGS=$flags" \
    "CFLAGS_$var=$cflags" "CXXFLAGS_$var=$cflags" LIBSQLITE3_FLAGS="$sqlite"
tools=${RESIDENTD_CACHE:-$HOME/.cache/residentd}
PATH=$tools/cargo-auditable-$auditable_version/bin:$tools/cargo-deb-$cargo_deb_version/bin:$tools/cargo-cyclonedx-$cyclonedx_version/bin:$PATH
cd "$top"
exec cargo "$@"
