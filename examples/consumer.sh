#!/bin/sh
# Works off rows of the endpoint log, each at least once: see README.md.
set -eu
dir=$(mktemp -d)
trap 'rm -r "$dir"' EXIT
mkfifo "$dir/done"
"$@" <"$dir/done" | {
    exec 3>"$dir/done"
    while IFS= read -r row; do
        printf '%s\n' "$row"
        # Only now it is done: after a crash before this line it comes again.
        position=${row#*\"position\":\"}
        printf '%s\n' "${position%%\"*}" >&3
    done
}
