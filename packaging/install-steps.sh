#!/bin/bash
# What a package goes through on a machine that has what it depends on: installed, provisioned with a file until the box is online; the
# service, its credentials and its stop; upgraded with state and settings in place, removed, and purged; then the machine holds what it held
# before. Sourced by install-check.sh for a machine beside this one, and run on one made for it, as root:
#
#   install-steps.sh PACKAGE FILE    this machine, and the file that a technician brings
#
# root: where the machine's files are; inside …: runs a command in it; platform_sees_the_box.
# shellcheck disable=SC2154 # who sources it has set these
set -euo pipefail
say() { printf -- '-- %s\n' "$*"; }
die() {
  printf 'package-check: %s\n' "$*" >&2
  exit 1
}
if [ "${BASH_SOURCE[0]}" = "$0" ]; then
  package=$1 box=$2 root=/ work=$(mktemp -d)
  inside() { env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive "$@"; }
  platform_sees_the_box() { :; } # somebody else looks
fi
# everything but what programs of Debian write about themselves
listed() {
  (cd "$root" && find . -xdev \( -path ./proc -o -path ./dev -o -path ./sys -o -path ./var/tmp -o -path ./var/lib/dpkg -o -path ./var/log -o -path ./var/cache/ldconfig -o -path ./tmp -o -path ./run \) -prune -o -print |
    grep -vE '^./etc/(passwd|group|shadow|gshadow|subuid|subgid)-?$|^./etc/\.pwd\.lock$|/etc/residentd$|deb-systemd-helper-|^./var/lib/systemd/catalog' | sort)
}
listed > "$work/before"

since() { echo $((($(date +%s%N) - $1) / 1000000)); }

cp "$package" "$root/root/residentd.deb"
cp "$box" "$root/root/box.toml"
say 'install, and provision with a file: two commands (what the package depends on is there already)'
from=$(date +%s%N)
inside dpkg --install /root/residentd.deb > "$work/said" 2>&1 || die "$(cat "$work/said")"
printf '1. dpkg --install residentd.deb                 %5d ms\n' "$(since "$from")"
second=$(date +%s%N)
inside residentctl provision --file /root/box.toml > "$work/said" 2>&1 || die "residentctl provision: $(cat "$work/said" && inside journalctl --unit residentd --no-pager)"
printf '2. residentctl provision --file box.toml        %5d ms; it ends when the box is online\n' "$(since "$second")"
printf 'from nothing to online: 2 commands, %d ms\n' "$(since "$from")"
platform_sees_the_box || die 'the platform does not see the box'
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
