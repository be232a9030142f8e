#!/bin/bash
# SPDX-License-Identifier: MIT
#
# A throwaway PostgreSQL cluster for tests, on a Unix socket and a loopback port.
#
#   pg-cluster.sh start DIR [CONF...]     make the cluster in DIR if there is none, start it, wait until it answers;
#                                         prints "host=DIR/socket port=N"
#   pg-cluster.sh standby DIR PRIMARY     the same, as a hot standby of the running cluster in the folder PRIMARY
#   pg-cluster.sh stop DIR [MODE]         MODE: fast (default), immediate, smart
#   pg-cluster.sh remove DIR              stop it at once and delete DIR
#
# A CONF is a line of postgresql.conf ("max_connections = 40"), or "hba:LINE", put in front of pg_hba.conf's lines,
# which trust everybody. It is added at each start, so that a later start may overrule an earlier one.
# The superuser is "postgres". PostgreSQL refuses to run as root: root runs it as the user postgres (PG_USER).
# PG_BIN names the folder of initdb; by default the newest below /usr/lib/postgresql.
set -eu

fail() {
        echo "pg-cluster: $*" >&2
        exit 1
}

run() {
        if [ "$(id -u)" = 0 ]; then
                (cd / && runuser -u "${PG_USER:-postgres}" -- "$@")
        else
                "$@"
        fi
}

# Each cluster draws its port once and keeps it over restarts.
draw_port() {
        echo $((20000 + ((RANDOM << 15) | RANDOM) % 12000))
}

pg_start() {
        run "$bin/pg_ctl" start -D "$dir/data" -l "$dir/log" -w -t 60 -s \
                -o "-p $(cat "$dir/port")" </dev/null >"$dir/pg_ctl.out" 2>&1
}

# Somebody else may have the port, or take it between our look and the server's: draw again.
launch() {
        local attempt

        for attempt in 1 2 3 4 5 6 7 8; do
                [ -s "$dir/port" ] || draw_port >"$dir/port"
                : >>"$dir/log"
                if pg_start; then
                        echo "host=$dir/socket port=$(cat "$dir/port")"
                        return
                fi
                tail -n 5 "$dir/log" | grep -q "could not create any TCP/IP sockets\|lock file .* already exists" ||
                        break
                rm -f "$dir/port"
        done
        cat "$dir/pg_ctl.out" >&2
        tail -n 20 "$dir/log" >&2
        fail "the server did not start (attempt $attempt); see above"
}

make_folder() {
        [ ${#dir} -le 80 ] || fail "$dir is too long for a Unix socket in it; take a shorter one"
        mkdir -p "$dir/socket"
        : >>"$dir/log"
        [ "$(id -u)" != 0 ] || chown -R "${PG_USER:-postgres}" "$dir"
}

write_settings() {
        cat >>"$dir/data/postgresql.conf" <<-END
	listen_addresses = '127.0.0.1'
	unix_socket_directories = '$dir/socket'
	fsync = off
	synchronous_commit = off
	full_page_writes = off
	max_prepared_transactions = 10
	END
}

start() {
        local line

        if [ ! -e "$dir/data/PG_VERSION" ]; then
                make_folder
                run "$bin/initdb" -D "$dir/data" -U postgres --auth=trust --encoding=UTF8 --locale=C --no-sync \
                        >"$dir/initdb.out" 2>&1 || { cat "$dir/initdb.out" >&2; fail "initdb failed"; }
                write_settings
        fi
        for line; do
                case $line in
                hba:*) sed -i "1i ${line#hba:}" "$dir/data/pg_hba.conf" ;;
                *) echo "$line" >>"$dir/data/postgresql.conf" ;;
                esac
        done
        launch
}

standby() {
        local primary=$1

        if [ ! -e "$dir/data/PG_VERSION" ]; then
                make_folder
                run "$bin/pg_basebackup" -h "$primary/socket" -p "$(cat "$primary/port")" -U postgres \
                        -D "$dir/data" -R -c fast --no-sync || fail "pg_basebackup of $primary failed"
                echo "unix_socket_directories = '$dir/socket'" >>"$dir/data/postgresql.conf"
        fi
        launch
}

stop() {
        [ ! -e "$dir/data/postmaster.pid" ] || run "$bin/pg_ctl" stop -D "$dir/data" -m "$1" -w -s
}

[ $# -ge 2 ] || fail "usage: pg-cluster.sh start|standby|stop|remove DIR ..."
verb=$1
dir=$(realpath -m "$2")
shift 2
bin=${PG_BIN:-$(find /usr/lib/postgresql -mindepth 2 -maxdepth 2 -name bin 2>/dev/null | sort -V | tail -n 1)}
[ -x "$bin/initdb" ] || fail "no initdb in '$bin'; install postgresql, or set PG_BIN to the folder of initdb"

case $verb in
start) start "$@" ;;
standby) standby "$(realpath -m "${1:?the primary is missing}")" ;;
stop) stop "${1:-fast}" ;;
remove) stop immediate && rm -rf -- "$dir" ;;
*) fail "unknown verb $verb; use start, standby, stop or remove" ;;
esac
