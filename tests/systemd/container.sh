#!/bin/bash
# SPDX-License-Identifier: MIT
#
# A machine of its own with systemd as its first process: this machine's files, under an overlay that is thrown away,
# with berth installed from a build folder, or with none of it. Needs root, and nothing from the network.
#
#   container.sh DIRECTORY BUILD|none prints "leader PID" when it runs (nsenter -t PID -a -r -w COMMAND gets in);
#                                     ends with its standard input, or when the machine is switched off
set -eu

if [ "${3-}" != inside ]; then
        # Mounts are nobody else's, and are gone with the last process that sees them.
        exec unshare --mount --propagation private "$0" "$1" "$2" inside
fi
directory=$1 build=$2 name=berth-$$
root=$directory/root cgroup=/sys/fs/cgroup/$name
nspawn=

tidy() {
        if [ -n "$nspawn" ]; then
                leader=$(pgrep -P "$nspawn") && kill -RTMIN+4 "$leader" # its PID 1 switches off
                for _ in $(seq 100); do
                        kill -0 "$nspawn" 2>/dev/null || break
                        sleep .05
                done
                kill -KILL $leader 2>/dev/null || :
                wait "$nspawn" || :
        fi
        find "$cgroup" -depth -type d -exec rmdir {} + 2>/dev/null || :
}

mount -t tmpfs tmpfs "$directory" -o mode=755
mkdir "$directory/upper" "$directory/work" "$root"
mount -t overlay overlay -o "lowerdir=/,upperdir=$directory/upper,workdir=$directory/work" "$root"
# Wherever cgroups stand here, or do not: a view of the unified hierarchy is enough.
[ "$(stat -f -c %T /sys/fs/cgroup)" = cgroup2fs ] || mount -t cgroup2 cgroup2 /sys/fs/cgroup

# A machine that has never been booted, and runs nothing of what this one may have enabled.
: >"$root/etc/machine-id"
rm -rf "$root"/etc/systemd/system/* "$root"/etc/systemd/user/* "$root/var/log/journal" "$root/etc/berth" "$root/var/lib/berth"
# As on a machine that people install packages on: services start, and manuals come along.
rm -rf "$root/usr/sbin/policy-rc.d" "$root"/etc/dpkg/dpkg.cfg.d/*
if [ "$build" != none ]; then
        DESTDIR=$root cmake --install "$build" >"$directory/install.log"
        chroot "$root" ldconfig
        mkdir -p "$root/etc/berth" "$root/etc/systemd/system/sockets.target.wants" "$root/etc/systemd/system/berthd.service.d"
        ln -s /usr/local/lib/systemd/system/berthd.socket "$root/etc/systemd/system/sockets.target.wants/"
        # A sanitizer's search for leaks would want ptrace(2), which the unit forbids.
        printf '[Service]\nEnvironment=ASAN_OPTIONS=detect_leaks=0\n' >"$root/etc/systemd/system/berthd.service.d/test.conf"
        mkdir -p "$root/etc/systemd/user/berthd.service.d"
        cp "$root/etc/systemd/system/berthd.service.d/test.conf" "$root/etc/systemd/user/berthd.service.d/"
fi

mkdir "$cgroup"
trap tidy EXIT
trap 'exit 1' TERM INT HUP
# The container's manager must not share a cgroup with anybody.
(
        echo $BASHPID >"$cgroup/cgroup.procs"
        exec setsid systemd-nspawn --quiet --register=no --keep-unit --console=pipe --machine="$name" --directory="$root" \
                --boot systemd.unit=basic.target </dev/null >"$directory/console" 2>&1
) &
nspawn=$!
leader=
for _ in $(seq 600); do
        if ! kill -0 $nspawn 2>/dev/null; then
                echo "container: systemd-nspawn has ended: $(tail -n 5 "$directory/console")" >&2
                exit 1
        fi
        leader=$(pgrep -P $nspawn || :)
        [ -z "$leader" ] || [ "$(cat /proc/"$leader"/comm 2>/dev/null)" != systemd ] || break
        sleep .05
done
echo "leader $leader"
# Until whoever asked for it has gone, or it has.
while kill -0 $nspawn 2>/dev/null; do
        read -r -t 1 _ && continue
        [ $? -gt 128 ] || break # the end of input; above: nothing came within a second
done
