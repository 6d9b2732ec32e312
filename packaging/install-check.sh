#!/bin/bash
# install-check.sh PACKAGE: what install-steps.sh says, on a machine of its own. For this processor that is a fresh Debian root with its own
# systemd (machine.sh); for another one a Debian machine under qemu with its own kernel (tests/machine). Run by check.sh, as root.
set -euo pipefail
package=$(realpath "$1")
here=$(cd "$(dirname "$0")/../cross" && pwd)
# shellcheck source=cross/targets.sh
. "$here/targets.sh"
# shellcheck source=packaging/machine.sh
. "$top/packaging/machine.sh"
say() { printf -- '-- %s\n' "$*"; }
die() {
  printf 'package-check: %s\n' "$*" >&2
  exit 1
}
lab=${RESIDENTD_LAB:-$top/target/debug/residentd-lab}
[ -x "$lab" ] || die "the platform of this check is the lab, and there is no $lab: cargo build -p residentd-lab"
work=$(mktemp -d)
overlaid=no platform=''
tidy() {
  [ -z "$platform" ] || kill "$platform" 2> /dev/null || true
  halt
  [ $overlaid = no ] || umount --lazy "$root" 2> /dev/null || true
  rm -rf --one-file-system "$work"
}
trap tidy EXIT
# The platform, and the file that a technician brings for it. near: runs a command where the platform is.
platform() {
  near "$lab" --page 0 --api 0 --pusher 0 --rooms 0 > "$work/lab" 2> /dev/null &
  platform=$!
  until line=$(grep '^{' "$work/lab"); do sleep 0.1; done
  box=$work/box.toml
  (near python3 "$top/packaging/provisioning.py" file "$line") > "$box"
}

if [ "$(dpkg-deb --field "$package" Architecture)" != "$(dpkg --print-architecture)" ]; then
  near() { exec "$@"; }
  platform
  image=$("$top/tests/machine/image" "$package" | tail -n 1)
  say "a machine of that processor: $(sed -n 's/^\(linux-image-[0-9].*\) \(.*\)/\1 (\2)/p' "$image/versions"), emulated"
  cp "$package" "$work/residentd.deb"
  # an emulated processor takes its time
  python3 "$top/packaging/provisioning.py" online "$line" 1800 &
  sees=$!
  # the platform is at the same addresses as for the lab itself
  "$top/tests/machine/run" --image "$image" --network --file "$work/residentd.deb" --file "$box" --file "$top/packaging/install-steps.sh" \
    --out "$top/target/machine" --timeout 2400 -- "
    set -e
    ip address add 10.0.2.15/24 dev eth0
    ip link set eth0 up
    for port in $(grep -oE '127\.0\.0\.1:[0-9]+' "$box" | cut -d: -f2 | sort -u | tr '\n' ' '); do
      systemd-run --quiet --unit=platform-\$port --socket-property=ListenStream=127.0.0.1:\$port \
        /usr/lib/systemd/systemd-socket-proxyd 10.0.2.2:\$port
    done
    exec bash install-steps.sh residentd.deb box.toml" || {
    kill $sees 2> /dev/null || true
    die "what the machine said beside this is in $top/target/machine"
  }
  wait $sees || die 'the platform has not seen the box'
  exit
fi

# The root with everything the package depends on and nothing of it, kept in the cache; its stamp is what the package says.
base=$cache/package-root-$suite
wanted=$(dpkg-deb --field "$package" Depends | sed 's/([^)]*)//g; s/|[^,]*//g; s/ //g')
if [ "$(cat "$base/.complete" 2> /dev/null)" != "$wanted" ]; then
  say "a root of Debian $suite with what the package depends on (about 3 minutes, once)"
  rm -rf "$base"
  mkdir -p "$cache"
  mirror=${CROSS_MIRROR:-$(sed -n 's/^URIs: //p' /etc/apt/sources.list.d/debian.sources 2> /dev/null | head -1)}
  mmdebstrap --quiet --variant=minbase --include="$wanted" --dpkgopt='path-exclude=/usr/share/locale/*' "$suite" "$base" "${mirror:-http://deb.debian.org/debian}"
  printf '%s' "$wanted" > "$base/.complete"
fi
root=$work/root
mkdir "$root"
# what the test changes lies in a layer of its own
if mkdir "$work/upper" "$work/work" && mount -t overlay residentd-check -o "lowerdir=$base,upperdir=$work/upper,workdir=$work/work" "$root" 2> /dev/null; then
  overlaid=yes
else
  cp -a "$base/." "$root/"
fi
boot "$root" "$work/console" || die 'no machine'
near() { nearby "$@"; }
platform
platform_sees_the_box() { (nearby python3 "$top/packaging/provisioning.py" online "$line"); }
# shellcheck source=packaging/install-steps.sh
. "$top/packaging/install-steps.sh"
