#!/bin/sh
# Installs CellSeg1 Studio for one user; started by the .run file, which brings this script and the program.
# The user's projects, models and settings are elsewhere and are never touched.
set -eu

usage() {
    cat <<'END'
Usage: sh CellSeg1-Studio-....run [--quiet] -- [OPTION ...]
  --prefix FOLDER  install into FOLDER (default: ~/.local/opt/cellseg1-studio, or where it is installed already)
  --quiet          ask nothing and say nothing but errors
  --no-menu        no menu entry, icons, file types and command links
  --help           this text
No administrator rights are needed. FOLDER/uninstall.sh removes the program again.
END
}

say() { [ -n "$quiet" ] || printf '%s\n' "$*"; }
refuse() { printf '%s\n' "$1" >&2; exit "${2:-2}"; }

here=$(cd "$(dirname "$0")" && pwd)
prefix= quiet= menu=yes
while [ $# -gt 0 ]; do
    case $1 in
    --prefix) [ $# -gt 1 ] || refuse "--prefix needs a folder."; prefix=$2; shift ;;
    --prefix=*) prefix=${1#--prefix=} ;;
    --quiet | -q) quiet=yes ;;
    --no-menu) menu= ;;
    --help | -h) usage; exit 0 ;;
    *) usage >&2; refuse "$1 is no option of this setup." ;;
    esac
    shift
done

. "$here/facts.sh" # version, variant, glibc_major, glibc_minor, kilobytes, files
. "$here/desktop.sh"

# ---- can it run here?

[ "$(uname -s)" = Linux ] && [ "$(uname -m)" = x86_64 ] ||
    refuse "CellSeg1 Studio needs Linux on a 64-bit PC (x86_64); this is $(uname -s) on $(uname -m)."
libc=$(getconf GNU_LIBC_VERSION 2>/dev/null | sed -n 's/^glibc //p')
major=${libc%%.*} minor=${libc#*.} minor=${minor%%.*}
if [ -z "$libc" ] || [ "$major" -lt "$glibc_major" ] ||
    { [ "$major" -eq "$glibc_major" ] && [ "$minor" -lt "$glibc_minor" ]; }; then
    refuse "This system is too old: CellSeg1 Studio needs glibc $glibc_major.$glibc_minor or newer, here is ${libc:-another C library}."
fi
from=$(cd "${USER_PWD:-$PWD}" && cd "${ARCHIVE_DIR:-.}" && pwd)
if [ ! -f "$here/program.tar.xz" ]; then
    # The program is too large for one file: its parts lie beside the .run file.
    . "$here/parts.sh"
    cs1_check_parts "$from/$parts" || exit 2
fi
command -v xz >/dev/null || refuse "The program xz is missing; install the package xz-utils (or xz) and start this again."

# ---- where to?

default=$HOME/.local/opt/cellseg1-studio
known=$(installed_prefix)
[ -z "$known" ] || default=$known
if [ -z "$prefix" ]; then
    prefix=$default
    if [ -z "$quiet" ] && [ -t 0 ]; then
        printf 'CellSeg1 Studio %s (%s)\nFolder to install into [%s]: ' "$version" "$variant" "$default"
        read -r answer || answer=
        case $answer in "~/"*) answer=$HOME/${answer#"~/"} ;; esac
        [ -z "$answer" ] || prefix=$answer
    fi
fi
case $prefix in
/*) ;;
*) prefix=${USER_PWD:-$PWD}/$prefix ;;
esac
case $prefix in
*"
"*) refuse "The folder's name holds a line break; choose another folder." ;;
esac
prefix=$(printf '%s' "$prefix" | sed 's|//*|/|g; s|\(.\)/$|\1|')
[ "$prefix" != / ] && [ "$prefix" != "$HOME" ] || refuse "$prefix itself cannot be the program's folder; choose one inside it."
[ ! -e "$prefix" ] || [ -d "$prefix" ] || refuse "$prefix is a file; choose a folder."
list=$prefix/.installed-files
if [ ! -f "$list" ] && [ -d "$prefix" ] && [ -n "$(ls -A "$prefix")" ]; then
    refuse "$prefix holds other files; choose an empty or a new folder."
fi

running() {
    for link in /proc/[0-9]*/exe; do
        case $(readlink "$link" 2>/dev/null) in "$prefix"/*) return 0 ;; esac
    done
    return 1
}
! running || refuse "CellSeg1 Studio is running from $prefix; close it and start this again." 3

made=
existing=$prefix
while [ ! -d "$existing" ]; do existing=$(dirname "$existing"); done
[ -d "$prefix" ] || made=yes
mkdir -p "$prefix" 2>/dev/null && [ -w "$prefix" ] || refuse "$prefix cannot be written; choose another folder with --prefix."

new=$prefix/.new-$$
forget() {
    rm -rf "$new"
    [ -z "$made" ] || remove_up "$prefix" "$existing" || true
}
trap 'forget; exit 130' INT TERM HUP
free=$(df -Pk "$prefix" | awk 'NR == 2 { print $4 }')
if [ "$free" -lt "$kilobytes" ]; then
    forget
    refuse "$prefix has $((free / 1024)) MB free and $((kilobytes / 1024)) MB are needed; free some space or choose another folder."
fi

# ---- unpack beside what is there, and only then take its place

say "Installing CellSeg1 Studio $version ($variant) into $prefix ..."
mkdir "$new"
packed() {
    if [ -f "$here/program.tar.xz" ]; then cat "$here/program.tar.xz"; else cs1_cat_parts "$from/$parts"; fi
}
packed | xz -dc | tar -xf - -C "$new" || { forget; refuse "The program could not be unpacked; copy the installer again."; }
[ "$(cd "$new" && find . ! -type d | wc -l)" -eq "$files" ] && [ -x "$new/cellseg1-studio" ] ||
    { forget; refuse "The program could not be unpacked completely; copy the installer again."; }

cp "$here/uninstall.sh" "$here/desktop.sh" "$new/"
chmod 755 "$new/uninstall.sh"
printf '%s\n' "$from" >"$new/installed_from.txt"
(cd "$new" && find . ! -type d | sed 's|^\./||' | LC_ALL=C sort) >"$here/list"

# An older version goes file by file: whatever the user has put into its folder stays.
if [ -f "$list" ]; then
    remove_listed "$prefix" "$list"
fi
for one in "$new"/* "$new"/.[!.]*; do
    [ -e "$one" ] || [ -L "$one" ] || continue
    name=${one##*/}
    if [ -d "$one" ] && [ -d "$prefix/$name" ]; then
        # Something of the user's is in there.
        cp -a "$one/." "$prefix/$name/" && rm -rf "$one"
    else
        mv -f "$one" "$prefix/$name"
    fi
done
rmdir "$new"
cp "$here/list" "$list"
# Folders that were made for it go with it.
[ -z "$made" ] || printf '%s\n' "$existing" >"$prefix/.made-in"
trap - INT TERM HUP

[ -z "$menu" ] || add_to_desktop "$prefix"
say "Done. Start it from the menu, or with: $prefix/cellseg1-studio"
say "To remove it: $prefix/uninstall.sh"
