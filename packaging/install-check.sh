#!/bin/bash
# install-check.sh PACKAGE: installs it into a fresh Debian root of this machine's processor, starts the daemon as the unit does, upgrades it
# with state and settings in place, removes and purges it; then the root holds what it held before. Run by check.sh, as root.
set -euo pipefail
package=$(realpath "$1")
here=$(cd "$(dirname "$0")/../cross" && pwd)
# shellcheck source=cross/targets.sh
. "$here/targets.sh"
say() { printf -- '-- %s\n' "$*"; }
die() {
  printf 'package-check: %s\n' "$*" >&2
  exit 1
}
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
work=$(mktemp -d)
root=$work/root
mkdir "$root"
# what the test changes lies in a layer of its own
if mkdir "$work/upper" "$work/work" && mount -t overlay residentd-check -o "lowerdir=$base,upperdir=$work/upper,workdir=$work/work" "$root" 2> /dev/null; then
  overlaid=yes
else
  overlaid=no
  cp -a "$base/." "$root/"
fi
tidy() {
  [ -z "${daemon:-}" ] || kill "$daemon" 2> /dev/null || true
  [ -z "${platform:-}" ] || kill "$platform" 2> /dev/null || true
  umount --lazy "$root/proc" 2> /dev/null || true
  [ $overlaid = no ] || umount --lazy "$root" 2> /dev/null || true
  rm -rf --one-file-system "$work"
}
trap tidy EXIT
mount -t proc proc "$root/proc"
inside() { env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive chroot "$root" "$@"; }
# everything but what programs of Debian write about themselves
listed() {
  (cd "$root" && find . -xdev \( -path ./proc -o -path ./var/lib/dpkg -o -path ./var/log -o -path ./var/cache/ldconfig -o -path ./tmp -o -path ./run \) -prune -o -print |
    grep -vE '^./etc/(passwd|group|shadow|gshadow|subuid|subgid)-?$|^./etc/\.pwd\.lock$|/etc/residentd$|deb-systemd-helper-|^./var/lib/systemd/catalog' | sort)
}
listed > "$work/before"

say 'install'
from=$(date +%s%N)
cp "$package" "$root/tmp/residentd.deb"
inside dpkg --install /tmp/residentd.deb > "$work/said" 2>&1 || die "$(cat "$work/said")"
installing=$((($(date +%s%N) - from) / 1000000))
printf 'installed in %d ms\n' $installing
inside getent passwd residentd > /dev/null || die 'there is no user residentd'
[ "$(inside stat -c '%U %a' /etc/residentd/credentials)" = 'root 700' ] || die 'the credentials can be read by others'
inside systemctl --root=/ is-enabled residentd.service > /dev/null || die 'the service is not enabled'
inside residentd --check-config || die 'it does not take its own configuration'

# The daemon as the unit starts it (user, groups, directories, readiness), without systemd: a root has none running.
start() {
  inside install -d -o residentd -g residentd -m 0700 /var/lib/residentd /var/cache/residentd
  inside install -d -o residentd -g residentd -m 0750 /run/residentd
  coproc READY { python3 "$top/packaging/ready.py" "$root/run/residentd/notify"; }
  local line
  read -r line <&"${READY[0]}" # it listens
  env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin NOTIFY_SOCKET=/run/residentd/notify RUNTIME_DIRECTORY=/run/residentd STATE_DIRECTORY=/var/lib/residentd \
    CREDENTIALS_DIRECTORY=/run/credentials CACHE_DIRECTORY=/var/cache/residentd XDG_CACHE_HOME=/var/cache/residentd HOME=/var/lib/residentd \
    chroot --userspec=residentd:residentd "$root" /usr/bin/residentd > "$work/daemon" 2>&1 &
  daemon=$!
  read -r line <&"${READY[0]}" || die "the daemon does not come up: $(cat "$work/daemon")"
  printf 'ready %s\n' "$line"
}
stop() {
  kill "$daemon"
  wait "$daemon" || die "the daemon ends badly: $(cat "$work/daemon")"
  daemon=
}
say 'start'
start
inside residentctl status > "$work/status" || die 'residentctl does not reach it'
printf 'idle: %d MiB resident\n' $(($(awk '/^VmRSS/ { print $2 }' "/proc/$daemon/status") / 1024))
stop

lab=${RESIDENTD_LAB:-$top/target/debug/residentd-lab}
if [ -x "$lab" ]; then
  say 'provisioned, with the lab for a platform: from installing to being reachable'
  "$lab" --page 0 --api 0 --pusher 0 --rooms 0 > "$work/lab" 2> /dev/null &
  platform=$!
  until line=$(grep '^{' "$work/lab"); do sleep 0.1; done
  from=$(date +%s%N)
  python3 "$top/packaging/provisioning.py" configuration "$line" > "$root/etc/residentd/config.d/10-lab.toml"
  mkdir -p "$root/run/credentials"
  printf 'password' > "$root/run/credentials/chatta-password"
  start
  python3 "$top/packaging/provisioning.py" online "$line" || die "it does not come online: $(cat "$work/daemon")"
  printf 'online %d ms after the configuration was written, %d ms with installing\n' $((($(date +%s%N) - from) / 1000000)) \
    $((($(date +%s%N) - from) / 1000000 + installing))
  stop
  kill "$platform"
  platform=
  rm -r "$root/etc/residentd/config.d/10-lab.toml" "$root/run/credentials"
else
  say "not shown: from installing to being reachable, for there is no $lab (cargo build -p residentd-lab)"
fi

say 'upgrade, with state and settings in place'
printf '[call]\nring = 31\n' > "$root/etc/residentd/config.d/50-site.toml"
printf 'secret\n' > "$root/etc/residentd/credentials/chatta-password"
find "$root/var/lib/residentd" -type f | sort > "$work/state"
[ -s "$work/state" ] || die 'the daemon has left no state'
xargs sha256sum < "$work/state" > "$work/sums"
rm -rf "$work/newer" && dpkg-deb -R "$package" "$work/newer"
sed -i 's/^Version: .*/&.upgrade/' "$work/newer/DEBIAN/control"
printf '# a newer file\n' >> "$work/newer/usr/share/doc/residentd/README.md"
(cd "$work/newer" && find . -path ./DEBIAN -prune -o -type f -printf '%P\0' | xargs -0 md5sum > DEBIAN/md5sums)
dpkg-deb --root-owner-group -Znone -b "$work/newer" "$root/tmp/newer.deb" > /dev/null
inside dpkg --install /tmp/newer.deb > "$work/said" 2>&1 || die "$(cat "$work/said")"
sha256sum --quiet --check "$work/sums" || die 'the upgrade has changed the state'
[ "$(cat "$root/etc/residentd/credentials/chatta-password")" = secret ] || die 'the upgrade has lost the credential'
inside residentd --show-config | grep -q '31' || die 'the upgrade has lost the settings'
start
stop

say 'remove, and purge'
inside dpkg --remove residentd > "$work/said" 2>&1 || die "$(cat "$work/said")"
[ -s "$root/etc/residentd/config.d/50-site.toml" ] || die 'removing it has taken the settings away'
inside dpkg --purge residentd > "$work/said" 2>&1 || die "$(cat "$work/said")"
# a directory that systemd's package has under its other name, /lib, is "not empty": the comparison below tells what is left
grep 'warning' "$work/said" | grep -v 'not empty so not removed' && die 'the purge complains'
rm -rf "$root/run/residentd"
listed > "$work/after"
diff "$work/before" "$work/after" || die 'the purge has left the above behind'
! inside getent passwd residentd > /dev/null || die 'the purge has left the user behind'
say 'nothing is left'
