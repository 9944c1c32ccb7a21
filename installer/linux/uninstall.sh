#!/bin/sh
# Removes CellSeg1 Studio from the folder in which this script lies.  The user's projects, models and settings stay.
set -eu
quiet=
while [ $# -gt 0 ]; do
    case $1 in
    --quiet | -q) quiet=yes ;;
    *) printf 'Usage: uninstall.sh [--quiet]\n' >&2; exit 2 ;;
    esac
    shift
done
prefix=$(cd "$(dirname "$0")" && pwd)
list=$prefix/.installed-files
[ -f "$list" ] || { printf '%s\n' "$prefix is not an installation of CellSeg1 Studio." >&2; exit 2; }
for link in /proc/[0-9]*/exe; do
    case $(readlink "$link" 2>/dev/null) in
    "$prefix"/*) printf '%s\n' "CellSeg1 Studio is running from $prefix; close it and start this again." >&2; exit 3 ;;
    esac
done
if [ -z "$quiet" ] && [ -t 0 ]; then
    printf 'Remove CellSeg1 Studio from %s? Your projects and models stay. [Y/n] ' "$prefix"
    read -r answer || answer=
    case $answer in [Nn]*) exit 1 ;; esac
fi
. "$prefix/desktop.sh"
remove_from_desktop "$prefix"
cd /
remove_listed "$prefix" "$list"
upto=$(cat "$prefix/.made-in" 2>/dev/null || dirname "$prefix")
rm -f "$list" "$prefix/.made-in"
# Pictures that the program makes again whenever it needs them.
rm -rf "${XDG_CACHE_HOME:-$HOME/.cache}/CellSeg1 Studio"
if remove_up "$prefix" "$upto"; then
    left=
else
    left=" What was put there by others is still in $prefix."
fi
[ -n "$quiet" ] || printf '%s\n' "CellSeg1 Studio was removed.$left Your projects, models and settings are where they were."
