#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Prints the path of a varlinkctl that runs here: the system's, or, since Debian 12 has none, a newer one unpacked
# beside the system from the same package mirror, with its signatures checked. Nothing is installed.
#
# VARLINKCTL_DIR: where it is unpacked (default: below /var/tmp). Exit status 1: it cannot be had, and why.
set -eu

found=$(command -v varlinkctl || true)
[ -z "$found" ] || { echo "$found"; exit 0; }

dir=${VARLINKCTL_DIR:-/var/tmp/berth-varlinkctl-$(id -u)}
if [ ! -x "$dir/varlinkctl" ]; then
        mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Release: bookworm' 2>/dev/null | head -n 1)
        [ -n "$mirror" ] || { echo "varlinkctl: apt has no package lists of bookworm; apt-get update" >&2; exit 1; }
        rm -rf "$dir.new"
        mkdir -p "$dir.new/lists/partial" "$dir.new/deb"
        cd "$dir.new/deb"
        echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror forky main" >../sources.list
        # A stored copy of the mirror may be past its date; the signatures are checked all the same.
        apt="apt-get -qq -o Acquire::Check-Valid-Until=false -o Dir::Etc::SourceList=$dir.new/sources.list -o Dir::Etc::SourceParts=-
                -o Dir::State::Lists=$dir.new/lists -o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache="
        [ "$(id -u)" != 0 ] || apt="$apt -o APT::Sandbox::User=root"
        # shellcheck disable=SC2086 # words
        { $apt update && $apt download systemd libsystemd-shared; } >&2 ||
                { echo "varlinkctl: the mirror has no forky" >&2; exit 1; }
        for package in *.deb; do dpkg -x "$package" ..; done
        cd /
        cat >"$dir.new/varlinkctl" <<-END
	#!/bin/sh
	export LD_LIBRARY_PATH=$dir/usr/lib/$(dpkg-architecture -qDEB_HOST_MULTIARCH 2>/dev/null || echo x86_64-linux-gnu)/systemd
	exec $dir/usr/bin/varlinkctl "\$@"
	END
        chmod +x "$dir.new/varlinkctl"
        rm -rf "$dir.new/deb" "$dir.new/lists" "$dir"
        mv "$dir.new" "$dir"
fi
"$dir/varlinkctl" --version >/dev/null || { echo "varlinkctl: $dir/usr/bin/varlinkctl does not run here" >&2; exit 1; }
echo "$dir/varlinkctl"
