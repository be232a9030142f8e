#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Installs what is missing of Debian's packages, as root or with sudo, and says so.
#
#   packages.sh GROUP...      groups: build, example (what docs/quickstart needs besides), packaging (what
#                             systemd/packages needs besides), test
set -eu

build="build-essential cmake ninja-build pkg-config libevent-dev libpq-dev libsqlite3-dev libcjson-dev libinih-dev
        libmd-dev libncurses-dev libsystemd-dev uthash-dev"
example="postgresql python3-pytest python3-pytest-xdist python3-psycopg2 procps util-linux"
packaging="debhelper dh-python pybuild-plugin-pyproject python3-all python3-setuptools python3-wheel dpkg-dev"
documents="lintian mandoc zsh bash-completion"
test="$example $packaging $documents git libcmocka-dev python3-psycopg python3-sqlalchemy python3-asyncpg python3-django
        python3-greenlet python3-jsonschema
        python3-prometheus-client python3-pyte python3-pytest-timeout python3-pexpect
        python3-pytest-django python3-alembic python3-factory-boy tmux mypy
        python3-pip sqlite3 spin gcovr pgbouncer openssl systemd-container dbus libpam-systemd"

wanted=
for group; do
        wanted="$wanted ${!group}"
done

missing=
for package in $wanted; do
        [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] ||
                missing="$missing $package"
done
[ -n "$missing" ] || exit 0

as_root=
if [ "$(id -u)" != 0 ]; then
        command -v sudo >/dev/null || {
                echo "packages: not installed:$missing; run as root, or install them: apt-get install$missing" >&2
                exit 1
        }
        as_root=sudo
fi
echo "installing Debian packages:$missing"
log=$(mktemp)
# shellcheck disable=SC2086 # a list of words
if ! { $as_root apt-get update -q && $as_root env DEBIAN_FRONTEND=noninteractive \
        apt-get install -y -q --no-install-recommends $missing; } >"$log" 2>&1 </dev/null; then
        tail -n 20 "$log" >&2
        echo "packages: apt-get failed; the whole log is $log" >&2
        exit 1
fi
rm -f "$log"
