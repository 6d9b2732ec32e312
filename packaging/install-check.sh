#!/bin/bash
# install-check.sh PACKAGE: installs it on a machine of its own (machine.sh: a fresh Debian root of this processor with its own systemd),
# provisions it with a file, looks at the service, its credentials and its stop, upgrades it with state and settings in place, removes and
# purges it; then the root holds what it held before. Run by check.sh, as root.
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
  [ -z "${platform:-}" ] || kill "$platform" 2> /dev/null || true
  halt
  [ $overlaid = no ] || umount --lazy "$root" 2> /dev/null || true
  rm -rf --one-file-system "$work"
}
trap tidy EXIT
boot "$root" "$work/console" || die 'no machine'
# everything but what programs of Debian write about themselves
listed() {
  (cd "$root" && find . -xdev \( -path ./proc -o -path ./dev -o -path ./sys -o -path ./var/tmp -o -path ./var/lib/dpkg -o -path ./var/log -o -path ./var/cache/ldconfig -o -path ./tmp -o -path ./run \) -prune -o -print |
    grep -vE '^./etc/(passwd|group|shadow|gshadow|subuid|subgid)-?$|^./etc/\.pwd\.lock$|/etc/residentd$|deb-systemd-helper-|^./var/lib/systemd/catalog' | sort)
}
listed > "$work/before"

since() { echo $((($(date +%s%N) - $1) / 1000000)); }
lab=${RESIDENTD_LAB:-$top/target/debug/residentd-lab}
[ -x "$lab" ] || die "the platform of this check is the lab, and there is no $lab: cargo build -p residentd-lab"
nearby "$lab" --page 0 --api 0 --pusher 0 --rooms 0 > "$work/lab" 2> /dev/null &
platform=$!
until line=$(grep '^{' "$work/lab"); do sleep 0.1; done
# what a technician brings: the package, and a file
cp "$package" "$root/root/residentd.deb"
(nearby python3 "$top/packaging/provisioning.py" file "$line") > "$root/root/box.toml"

say 'install, and provision with a file: two commands (what the package depends on is there already)'
from=$(date +%s%N)
inside dpkg --install /root/residentd.deb > "$work/said" 2>&1 || die "$(cat "$work/said")"
printf '1. dpkg --install residentd.deb                 %5d ms\n' "$(since "$from")"
second=$(date +%s%N)
inside residentctl provision --file /root/box.toml > "$work/said" 2>&1 || die "residentctl provision: $(cat "$work/said" && inside journalctl --unit residentd --no-pager)"
printf '2. residentctl provision --file box.toml        %5d ms; it ends when the box is online\n' "$(since "$second")"
printf 'from nothing to online: 2 commands, %d ms\n' "$(since "$from")"
(nearby python3 "$top/packaging/provisioning.py" online "$line") || die 'the platform does not see the box'
inside residentctl status > "$work/status" || die 'residentctl does not reach it'
grep -q 'online since' "$work/status" || die "$(cat "$work/status")"

say 'the service'
inside getent passwd residentd > /dev/null || die 'there is no user residentd'
[ "$(inside stat -c '%U %a' /etc/residentd/credentials /etc/residentd/credentials/chatta-password | tr '\n' ' ')" = 'root 700 root 600 ' ] ||
  die 'the credentials can be read by others'
inside systemctl is-enabled residentd.service > /dev/null || die 'the service is not enabled'
inside residentd --check-config || die 'it does not take its own configuration'
shows() { inside systemctl show --property "$1" --value residentd.service; }
online() {
  local end=$((SECONDS + 60))
  until inside residentctl status | grep -q 'online since'; do
    [ $SECONDS -lt $end ] || die "$1: not online: $(inside residentctl status)"
    sleep 0.1
  done
}
process=$(shows MainPID)
[ "$(inside stat -c %U "/proc/$process")" = residentd ] || die 'the daemon is another user'
printf 'ready %d ms after its start\n' $((($(shows ActiveEnterTimestampMonotonic) - $(shows ExecMainStartTimestampMonotonic)) / 1000))
printf 'idle and online: %s kB resident, %s kB of it its own (PSS)\n' "$(inside awk '/^VmRSS/ { print $2 }' "/proc/$process/status")" \
  "$(inside awk '/^Pss:/ { print $2 }' "/proc/$process/smaps_rollup")"
inside systemd-analyze security residentd.service --no-pager | tail -1 | sed 's/^[^O]*//'

say 'credentials: root has them, systemd hands them to the service, nobody else sees them'
handed() { inside nsenter --target "$(shows MainPID)" --mount sh -c 'cd /run/credentials/residentd.service && stat -c "%U %a %n" *'; }
handed | grep -qx 'residentd 400 chatta-password.plain' || die "the password does not reach the service: $(handed)"
inside setpriv --reuid nobody --clear-groups cat /run/credentials/residentd.service/chatta-password.plain 2> /dev/null && die 'anybody can read the credential'
inside cat "/proc/$process/environ" | grep -qa password && die 'the password is in the environment'
printf 'LoadCredential: chatta-password.plain, owner residentd, mode 400\n'
# the same one sealed: readable for this machine only, and the plain file is gone
inside sh -c 'mkdir -p -m 700 /etc/credstore.encrypted && cd /etc/credstore.encrypted &&
  systemd-creds encrypt --with-key=host --name=chatta-password /etc/residentd/credentials/chatta-password chatta-password &&
  rm /etc/residentd/credentials/chatta-password' > "$work/said" 2>&1 || die "systemd-creds: $(cat "$work/said")"
grep -qa password "$root/etc/credstore.encrypted/chatta-password" && die 'the sealed credential is not sealed'
inside systemctl restart residentd.service
online 'with a sealed credential'
handed | grep -qx 'residentd 400 chatta-password' || die 'the sealed password does not reach the service'
printf 'LoadCredentialEncrypted: chatta-password from /etc/credstore.encrypted (systemd-creds), and online with it\n'

say 'bad ends in a row: started again for ever, the fourth time after a wait, at once when somebody asks for it'
# anew PROCESS STATE: another process than that one is in this state
anew() {
  local end=$((SECONDS + 60)) now
  until now="$(shows MainPID) $(shows SubState)" && [ "${now% *}" != "$1" ] && [ "${now% *}" != 0 ] && [ "${now#* }" = "$2" ]; do
    [ $SECONDS -lt $end ] || die "not started again: $now"
    sleep 0.1
  done
}
for state in running running start; do
  process=$(shows MainPID)
  inside kill -KILL "$process"
  anew "$process" $state
done
until words=$(shows StatusText) && [ "${words#*waiting 2 s}" != "$words" ]; do
  [ "$(shows SubState)" = start ] || die "the fourth start does not wait: $words"
done
printf '%s\n' "$words"
inside systemctl restart residentd.service
[ "$(shows SubState)" = running ] || die 'a restart that somebody asks for waits, too'
online 'after bad ends'

say 'stop'
from=$(date +%s%N)
inside systemctl stop residentd.service
[ "$(shows Result)" = success ] || die "it ends badly: $(inside journalctl --unit residentd --no-pager)"
printf 'stopped in %d ms\n' "$(since "$from")"
kill "$platform"
wait "$platform" 2> /dev/null || true
platform=
inside sh -c 'rm -r /etc/credstore.encrypted /var/lib/systemd/credential.secret /etc/residentd/config.d/* /root/*'

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
dpkg-deb --root-owner-group -Znone -b "$work/newer" "$root/root/newer.deb" > /dev/null
inside dpkg --install /root/newer.deb > "$work/said" 2>&1 || die "$(cat "$work/said")"
sha256sum --quiet --check "$work/sums" || die 'the upgrade has changed the state'
[ "$(cat "$root/etc/residentd/credentials/chatta-password")" = secret ] || die 'the upgrade has lost the credential'
inside residentd --show-config | grep -q '31' || die 'the upgrade has lost the settings'
[ "$(shows ActiveState)" = active ] || die "the upgrade has left it $(shows ActiveState): $(inside journalctl --unit residentd --no-pager)"
rm "$root/root/newer.deb"

say 'remove, and purge'
inside dpkg --remove residentd > "$work/said" 2>&1 || die "$(cat "$work/said")"
[ -s "$root/etc/residentd/config.d/50-site.toml" ] || die 'removing it has taken the settings away'
inside dpkg --purge residentd > "$work/said" 2>&1 || die "$(cat "$work/said")"
# a directory that systemd's package has under its other name, /lib, is "not empty": the comparison below tells what is left
grep 'warning' "$work/said" | grep -v 'not empty so not removed' && die 'the purge complains'
listed > "$work/after"
diff "$work/before" "$work/after" || die 'the purge has left the above behind'
! inside getent passwd residentd > /dev/null || die 'the purge has left the user behind'
say 'nothing is left'
