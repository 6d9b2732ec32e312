#!/bin/sh
# install.sh: puts what residentd is made of where a system expects it. The Debian packages, Yocto's recipe and `make install` all use it.
#
#   DESTDIR     in front of every path (default: none)
#   PREFIX      /usr
#   SYSCONFDIR  /etc
#   UNITDIR     $PREFIX/lib/systemd/system
#   UDEVDIR     $PREFIX/lib/udev
#   BINARIES    the folder with the built programs (default: target/release)
#   WITHOUT     what to leave out, of: binaries config sysusers preset completions man doc
set -eu
top=$(cd "$(dirname "$0")/.." && pwd)
root=${DESTDIR:-}
prefix=${PREFIX:-/usr}
etc=${SYSCONFDIR:-/etc}
lib=$prefix/lib
units=${UNITDIR:-$lib/systemd/system}
udev=${UDEVDIR:-$lib/udev}

with() {
    case " ${WITHOUT:-} " in *" $1 "*) return 1 ;; esac
}
# file MODE FROM TO: installs a file of the sources
file() {
    mkdir -p "$root$(dirname "$3")"
    install -m "$1" "$top/$2" "$root$3"
}
# every MODE FOLDER PATTERN TO: the files of a folder that fit, none being fine
every() {
    for one in "$top/$2"/$3; do
        [ -f "$one" ] || continue
        file "$1" "${one#"$top/"}" "$4/${one##*/}"
    done
}

if with binaries; then
    mkdir -p "$root$prefix/bin"
    install -m 0755 "${BINARIES:-$top/target/release}/residentd" "$root$prefix/bin/residentd"
    ln -sf residentd "$root$prefix/bin/residentctl" # one program, two names
fi
every 0644 systemd '*.service' "$units"
every 0644 systemd '*.socket' "$units"
every 0644 systemd '*.catalog' "$lib/systemd/catalog"
if with sysusers; then file 0644 systemd/residentd.sysusers "$lib/sysusers.d/residentd.conf"; fi
if with preset; then file 0644 systemd/residentd.preset "$lib/systemd/system-preset/80-residentd.preset"; fi
file 0644 systemd/residentd.tmpfiles "$lib/tmpfiles.d/residentd.conf"
file 0644 systemd/residentd.rules "$udev/rules.d/80-residentd.rules"
if with config; then
    install -d "$root$etc/residentd/config.d"
    "$top/packaging/config.sh" > "$root$etc/residentd/config.toml"
    chmod 0644 "$root$etc/residentd/config.toml"
    install -d -m 0700 "$root$etc/residentd/credentials"
fi
if with man; then
    for section in 1 5 8; do every 0644 docs/man "*.$section" "$prefix/share/man/man$section"; done
fi
if with completions; then
    for program in residentd residentctl; do
        for kind in "$program.bash:bash-completion/completions/$program" "_$program:zsh/vendor-completions/_$program" \
            "$program.fish:fish/vendor_completions.d/$program.fish"; do
            [ ! -f "$top/docs/completions/${kind%%:*}" ] || file 0644 "docs/completions/${kind%%:*}" "$prefix/share/${kind#*:}"
        done
    done
fi
if with doc; then
    for page in README.md CHANGELOG.md docs/configuration.md; do file 0644 "$page" "$prefix/share/doc/residentd/${page##*/}"; done
fi
