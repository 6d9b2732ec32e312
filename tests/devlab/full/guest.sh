# shellcheck shell=bash disable=SC2034,SC2154 # what it sets is read by who sources it, who sets $program
# The other guest of the tests: a Debian machine under qemu with the installed package (../test --full sources this).
#
#   ready        has its image, and the package that is to be installed
#   guest …      runs the tests in it
#   not_here     tests that it cannot hold, and why
full=tests/devlab/full
keep=${DEVLAB_KEEP:-target/devlab-full}
package=${DEVLAB_PACKAGE:-}

ready() {
  if [ -z "$package" ]; then
    package=target/package/residentd_$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -1)-1_amd64.deb
    # as it is shipped, and not one that knows nothing of the last change
    if [ ! -e "$package" ] || [ -n "$(find src systemd packaging Cargo.toml Cargo.lock -newer "$package" -print -quit)" ]; then
      say 'making the package, as it is shipped'
      packaging/package.sh x86_64
    fi
  fi
  say "the package: $package, of $(date -r "$package" '+%F %T')"
  # its devices, and what the tests play, read and run
  image=$(tests/machine/image "$package" 'v4l-utils alsa-utils gstreamer1.0-plugins-ugly gstreamer1.0-libav gstreamer1.0-tools' | tail -n 1)
  say "the machine: $image, $(sed -n 's/^\(linux-image-[0-9].*\) \(.*\)/\1 (\2)/p' "$image/versions")"
}

guest() {
  local folder
  folder=$(mktemp -d)
  # its lines and names are all that a test that fails needs of them
  strip --strip-debug -o "$folder/tests" "$program"
  cp "$package" "$folder/residentd.deb"
  local status=0
  tests/machine/run --image "$image" --devices 'vivid snd-aloop' --file "$folder/tests" --file "$folder/residentd.deb" --out "$keep" --timeout "${DEVLAB_TIMEOUT:-3600}" -- "
    set -eo pipefail
    export DEBIAN_FRONTEND=noninteractive DEVLAB_PACKAGE=yes
    dpkg --install residentd.deb | cat # which draws no progress into a file
    # the tests start it, each with its own settings
    systemctl stop residentd
    # GStreamer's list of elements: making it takes an emulated processor longer than a caller waits
    mkdir -p /var/cache/residentd
    cp -r /root/.cache/gstreamer-1.0 /var/cache/residentd/
    chown -R residentd: /var/cache/residentd
    install tests /usr/local/bin/devlab-tests
    exec devlab-tests --ignored --test-threads 1 $(printf ' %q' "$@")" || status=$?
  rm -r "$folder"
  return $status
}

not_here() { sed '/^#/d; /^$/d' $full/skipped; }
