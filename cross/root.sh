#!/bin/sh
# root.sh TARGET PROGRAM ARGUMENTS…: runs a program of the target with the sysroot as its root file system, under qemu: nothing of this
# machine's /usr is in reach, as on the box. /proc, /dev, /sys and /tmp are this machine's.
#
# In a user and mount namespace of its own, so it needs neither root nor binfmt_misc. PROGRAM is a path of this machine.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=cross/targets.sh
. "$here/targets.sh"
target_of "${1:?a target: aarch64 or armv7}"
program=$(realpath "${2:?a program}") called=${2##*/}
shift 2
# what it is called, for a link may be another program
export SYSROOT="$sysroot" PROGRAM="$program" NAME="$called" QEMU="${qemu:+$(command -v "$qemu")}"
# shellcheck disable=SC2016 # expanded inside
exec unshare --user --map-root-user --mount -- /bin/sh -eu -c '
    for place in proc sys dev tmp run/cross; do mkdir -p "$SYSROOT/$place"; done
    for place in proc sys dev tmp; do mount --rbind "/$place" "$SYSROOT/$place"; done
    mount -t tmpfs cross "$SYSROOT/run/cross"
    : > "$SYSROOT/run/cross/$NAME"
    mount --bind "$PROGRAM" "$SYSROOT/run/cross/$NAME"
    if [ -n "$QEMU" ]; then
        : > "$SYSROOT/run/cross/qemu"
        mount --bind "$QEMU" "$SYSROOT/run/cross/qemu"
        set -- /run/cross/qemu -0 "$NAME" "/run/cross/$NAME" "$@"
    else
        set -- "/run/cross/$NAME" "$@"
    fi
    export GST_REGISTRY_FORK=no HOME=/run/cross XDG_CACHE_HOME=/run/cross
    unset SYSROOT PROGRAM NAME QEMU
    exec chroot "'"$sysroot"'" "$@"
' root "$@"
