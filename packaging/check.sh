#!/bin/bash
# check.sh TARGET: the package that package.sh has made. Lintian finds no error in it; what it must hold is there. Then it is installed on a
# machine of its own and processor (install-check.sh): provisioned with a file until it is online, upgraded with state and settings in place,
# removed, and purged. Needs root for that.
set -euo pipefail
here=$(cd "$(dirname "$0")/../cross" && pwd)
# shellcheck source=cross/targets.sh
. "$here/targets.sh"
target_of "${1:?a target: aarch64, armv7 or x86_64}"
out=$top/target/package
say() { printf -- '-- %s\n' "$*"; }
die() {
  printf 'package-check: %s\n' "$*" >&2
  exit 1
}
version=$(sed -n 's/^version = "\(.*\)"/\1/p' "$top/Cargo.toml" | head -1)
package=$out/residentd_$version-1_$deb.deb
[ -f "$package" ] || die "there is no $package: make package TARGET=$name"

scratch=$(mktemp -d)
trap 'rm -rf --one-file-system "$scratch"' EXIT
say "lintian: $package"
# as lintian 2 has it, errors only; it is told so when it is run as root
lintian --fail-on error --allow-root --suppress-tags bogus-mail-host "$package" || die 'lintian has errors'

say 'what is in it'
dpkg-deb --contents "$package" | awk '{ print $6 }' > "$scratch/contents"
for wanted in usr/bin/residentd usr/bin/residentctl usr/lib/systemd/system/residentd.service usr/lib/sysusers.d/residentd.conf \
  usr/lib/tmpfiles.d/residentd.conf usr/lib/udev/rules.d/80-residentd.rules etc/residentd/config.toml usr/share/man/man1/residentctl.1.gz \
  usr/share/man/man8/residentd.8.gz usr/share/bash-completion/completions/residentctl usr/share/zsh/vendor-completions/_residentctl \
  usr/share/fish/vendor_completions.d/residentctl.fish usr/share/doc/residentd/copyright usr/share/doc/residentd/changelog.gz \
  usr/share/doc/residentd/changelog.Debian.gz usr/share/doc/residentd/licences-of-crates.txt.gz usr/share/doc/residentd/residentd.cdx.json.gz; do
  grep -qx "./$wanted" "$scratch/contents" || die "$wanted is missing"
done
dpkg-deb -x "$package" "$scratch/files"
(cd "$out" && sha256sum --quiet --check SHA256SUMS) || die 'SHA256SUMS does not fit'
# every setting that there is stands in the configuration, and the file as it comes is right
settings=$(grep -c '^| `' "$top/docs/configuration.md")
[ "$(grep -c '^#[a-z_]* = ' "$scratch/files/etc/residentd/config.toml")" = "$settings" ] || die 'a setting is missing in config.toml'
gunzip -c "$scratch/files/usr/share/doc/residentd/residentd.cdx.json.gz" > "$scratch/bill"
python3 - "$scratch/bill" << 'PYTHON' || die 'the bill of materials is not right'
import json, sys
bill = json.load(open(sys.argv[1]))
names = {c["name"] for c in bill["components"]}
assert bill["bomFormat"] == "CycloneDX" and {"tokio", "rustls", "webrtc"} <= names, names
assert "residentd-lab" not in names, "the lab is no part of the product"
print(f"bill of materials: CycloneDX {bill['specVersion']}, {len(names)} components")
PYTHON
# the list of crates that cargo-auditable has put into the program, compressed
objcopy -O binary --only-section=.dep-v0 --set-section-flags .dep-v0=alloc "$scratch/files/usr/bin/residentd" "$scratch/dep" 2> /dev/null ||
  "$gnu-objcopy" -O binary --only-section=.dep-v0 --set-section-flags .dep-v0=alloc "$scratch/files/usr/bin/residentd" "$scratch/dep"
python3 - "$scratch/dep" << 'PYTHON' || die 'cargo-auditable left no list of crates in the program'
import json, sys, zlib
found = json.loads(zlib.decompress(open(sys.argv[1], "rb").read()))["packages"]
assert any(p["name"] == "tokio" for p in found)
print(f"cargo-auditable: {len(found)} crates in the program")
PYTHON

# the newest C library that the program asks for is no newer than what the package depends on; packed relocations need 2.36
needs=$( (LC_ALL=C readelf --wide --version-info "$scratch/files/usr/bin/residentd" | sed -n 's/.*Name: GLIBC_\([0-9.]*\) .*/\1/p; s/.*Name: GLIBC_ABI_DT_RELR .*/2.36/p') | sort -V | tail -1)
says=$(dpkg-deb --field "$package" Depends | sed -n 's/.*libc6 (>= \([0-9.]*\)).*/\1/p')
[ -n "$needs" ] && dpkg --compare-versions "$needs" le "$says" || die "the program needs glibc ${needs:-unknown}, the package says ${says:-nothing}"
printf 'glibc: %s needed, %s or newer asked for\n' "$needs" "$says"

if [ -n "$qemu" ] && [ "$deb" != "$(dpkg --print-architecture)" ]; then
  say 'the program under qemu, with the configuration of the package'
  "$here/sysroot.sh" "$name" > /dev/null
  "$here/root.sh" "$name" "$scratch/files/usr/bin/residentd" --version
  cp "$scratch/files/etc/residentd/config.toml" "$scratch/config.toml"
  "$here/root.sh" "$name" "$scratch/files/usr/bin/residentd" --config "$scratch/config.toml" --check-config || die 'it does not take its own configuration'
fi
[ "$(id -u)" = 0 ] || die 'making a machine for it needs root'
exec "$top/packaging/install-check.sh" "$package"
