#!/bin/sh
# SPDX-License-Identifier: MIT
# plant.sh SED SOURCE TARGET: a copy of the source without one of its protections. One that changes nothing, because
# the source has moved on, is an error.
set -eu
sed -f "$1" "$2" > "$3.new"
if cmp -s "$2" "$3.new"; then
        echo "$1 changes nothing in $2: what it takes away looks different now; write it anew" >&2
        exit 1
fi
mv "$3.new" "$3"
