# shellcheck shell=bash disable=SC2034 # what it sets is read by who sources it
# A machine of its own for a root: systemd as its first process, in namespaces (processes, mounts, network with a loopback only) and a
# control group that nothing else shares. No virtualisation and no daemon is needed, only root. Sourced by install-check.sh.
#
#   boot ROOT   starts it and waits until it is up; sets machine: the process id of its systemd, as this system has it
#   inside …    runs a command in it
#   nearby …    runs a command of this system in its network
#   halt        ends all of it
machine='' within='' group=''

boot() {
  local all=/sys/fs/cgroup
  [ ! -d $all/unified ] || all=$all/unified
  group=$all/residentd-machine-$$
  mkdir "$group"
  # shellcheck disable=SC2016 # the script is the machine's
  (
    echo "$BASHPID" > "$group/cgroup.procs"
    exec env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin container=residentd-machine \
      unshare --fork --kill-child --pid --mount --uts --ipc --net --cgroup --propagation private bash -ec '
        cd "$1"
        ip link set lo up
        mount --bind . .
        cd "$1" # the one on top
        mount -t proc proc proc
        mount -t sysfs -o ro sysfs sys
        mount -t cgroup2 cgroup2 sys/fs/cgroup
        mount -t tmpfs -o mode=755 tmpfs run
        mount -t tmpfs -o mode=1777 tmpfs tmp
        mount -t tmpfs -o mode=755 tmpfs dev
        mkdir dev/pts dev/shm
        for node in null zero full random urandom tty; do
          touch dev/$node
          mount --bind /dev/$node dev/$node
        done
        mount -t devpts -o newinstance,ptmxmode=0666,mode=620,gid=5 devpts dev/pts
        mount -t tmpfs -o mode=1777 tmpfs dev/shm
        ln -s pts/ptmx dev/ptmx
        ln -s /proc/self/fd dev/fd
        pivot_root . mnt
        umount --lazy /mnt
        # as systemd itself does where it is not told that this is a container: credentials come to services by propagation
        mount --make-rshared /
        exec /lib/systemd/systemd --log-target=console --log-level=warning --unit=multi-user.target
      ' machine "$1" < /dev/null > "$2" 2>&1
  ) &
  within=$!
  local from=$SECONDS
  until machine=$(pgrep --parent $within --full '^/lib/systemd/systemd') && inside systemctl is-system-running --wait 2> /dev/null | grep -qx running; do
    kill -0 $within 2> /dev/null && [ $((SECONDS - from)) -lt 60 ] || {
      echo "the machine does not come up; its systemd says:" >&2
      cat "$2" >&2
      inside systemctl --failed >&2 || true
      return 1
    }
    sleep 0.1
  done
}

inside() {
  nsenter --target "$machine" --mount --uts --ipc --net --pid --cgroup \
    env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive "$@"
}

nearby() { exec nsenter --target "$machine" --net "$@"; }

halt() {
  [ -z "$machine" ] || kill -KILL "$machine" 2> /dev/null || true
  [ -z "$within" ] || wait "$within" 2> /dev/null || true
  [ -z "$group" ] || find "$group" -depth -type d -exec rmdir {} + 2> /dev/null || true
  machine='' within='' group=''
}
