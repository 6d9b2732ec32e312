#!/bin/sh
# package.sh TARGET: target/package/residentd_<version>_<architecture>.deb, the bill of materials, and their checksums.
#
#   REVISION   Debian's part of the version (1)
#   BUILD=no   packages what is built already
set -eu
here=$(cd "$(dirname "$0")/../cross" && pwd)
# shellcheck source=cross/targets.sh
. "$here/targets.sh"
target_of "${1:?a target: aarch64, armv7 or x86_64}"
cd "$top"
[ "${BUILD:-yes}" = no ] || "$here/build.sh" "$name"
programs=${CARGO_TARGET_DIR:-$top/target}/$triple/release
out=$top/target/package
stage=$out/stage
doc=$stage/usr/share/doc/residentd
rm -rf "$stage"
mkdir -p "$stage"
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2> /dev/null || echo 0)}
export SOURCE_DATE_EPOCH

# Cargo.toml names the packages of these libraries; one more would be missing on the box.
for library in $(LC_ALL=C objdump -p "$programs/residentd" | sed -n 's/^ *NEEDED *//p' | sort -u); do
    case $library in
    libc.so.6 | libm.so.6 | ld-linux* | libgcc_s.so.1 | libglib-2.0.so.0 | libgobject-2.0.so.0 | libasound.so.2) ;;
    libgstreamer-1.0.so.0 | libgstapp-1.0.so.0 | libgstvideo-1.0.so.0 | libgstaudio-1.0.so.0) ;;
    *)
        echo "the programs need $library, and no package in Cargo.toml's depends brings it" >&2
        exit 1
        ;;
    esac
done

# lib on systems that still have both; packages follow the merged /usr
DESTDIR=$stage BINARIES=$programs packaging/install.sh
packaging/notices.py copyright "$doc/copyright"
packaging/notices.py texts "$doc/licences-of-crates.txt"
# one file for each member of the workspace: only the daemon's stays
"$here/cargo.sh" "$name" cyclonedx --quiet --format json --target "$triple" --override-filename residentd.cdx
rm -f tests/lab/residentd.cdx.json
# where the checkout lies is nobody's business, and would make other bytes in another folder
sed "s|path+file://$top|path+file:///residentd|g" residentd.cdx.json > "$doc/residentd.cdx.json"
rm residentd.cdx.json
mkdir -p "$stage/usr/share/lintian/overrides"
cp packaging/debian/lintian-overrides "$stage/usr/share/lintian/overrides/residentd"
cp "$doc/residentd.cdx.json" "$out/residentd_$deb.cdx.json"
find "$stage/usr/share/man" -type f -exec gzip -9n {} +
mv "$doc/CHANGELOG.md" "$doc/changelog"
gzip -9n "$doc/licences-of-crates.txt" "$doc/changelog" "$doc/residentd.cdx.json"
find "$stage" -newermt "@$SOURCE_DATE_EPOCH" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +

"$here/cargo.sh" "$name" deb --quiet --no-build --no-strip --target "$triple" --deb-revision "${REVISION:-1}" --output "$out/"
cd "$out"
sha256sum -- *.deb *.cdx.json > SHA256SUMS
made=residentd_$(sed -n 's/^version = "\(.*\)"/\1/p' "$top/Cargo.toml" | head -1)-${REVISION:-1}_$deb.deb
dpkg-deb --field "$made" Package Version Architecture Installed-Size Depends
printf '%s  %s bytes\n' "$out/$made" "$(stat -c %s "$made")"
