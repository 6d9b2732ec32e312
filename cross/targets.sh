# shellcheck shell=sh disable=SC2034,SC2154 # what it sets is read by the scripts that source it; they set $here
# The processors we build for. Sourced by the scripts beside it, which set $here.
#
# target_of NAME sets: name, triple (Rust), gnu (the C compiler's prefix), deb (Debian's architecture), qemu (the program
# that runs foreign ones; empty for this machine's own), and the folders cache, sysroot, std.
suite=${CROSS_SUITE:-bookworm}
cache=${RESIDENTD_CACHE:-$HOME/.cache/residentd}/cross
top=$(cd "$here/.." && pwd)

# The versions of the programs from crates.io, which tests/tools/prepare puts into the cache.
auditable_version=0.7.7 cargo_deb_version=3.8.0 cyclonedx_version=0.5.9

target_of() {
    case $1 in
    aarch64 | arm64)
        name=aarch64 triple=aarch64-unknown-linux-gnu gnu=aarch64-linux-gnu deb=arm64 qemu=qemu-aarch64-static ;;
    armv7 | armhf)
        name=armv7 triple=armv7-unknown-linux-gnueabihf gnu=arm-linux-gnueabihf deb=armhf qemu=qemu-arm-static ;;
    x86_64 | amd64)
        name=x86_64 triple=x86_64-unknown-linux-gnu gnu=x86_64-linux-gnu deb=amd64 qemu='' ;;
    *)
        echo "there is no target '$1': aarch64 (arm64), armv7 (armhf) or x86_64 (amd64)" >&2
        return 2 ;;
    esac
    sysroot=$cache/sysroot-$suite-$deb
    std=$cache/std-$deb
}
