# What setup.sh and uninstall.sh share: the program's entry in the user's desktop, and removing listed files.

data=${XDG_DATA_HOME:-$HOME/.local/share}
links=$HOME/.local/bin
entry=$data/applications/cellseg1-studio.desktop
types=$data/mime/packages/cellseg1-studio.xml
sizes="16 24 32 48 64 128 256 512"

# Where the menu's program is installed; empty when there is none.
installed_prefix() {
    [ -f "$entry" ] || return 0
    sed -n 's/^X-CellSeg1-Prefix=//p' "$entry"
}

# A path as a word of the key Exec: in quotes, with the four signs that stay special there, and for the file's own
# syntax every backslash twice; a percent sign would begin a field code.
exec_word() {
    printf '"%s"' "$(printf '%s' "$1" | sed 's/[\\"`$]/\\&/g; s/\\/\\\\/g; s/%/%%/g')"
}

# A path as an argument of sed's s command with | between its parts.
for_sed() { printf '%s' "$1" | sed 's/[\\&|]/\\&/g'; }

add_to_desktop() {
    share=$1/share
    mkdir -p "$data/applications" "$data/mime/packages" "$links"
    word=$(exec_word "$1/cellseg1-studio")
    sed -e "s|@EXEC@|$(for_sed "$word")|" -e "s|@TRYEXEC@|$(for_sed "$1/cellseg1-studio")|" \
        "$share/applications/cellseg1-studio.desktop" >"$entry.new"
    printf 'X-CellSeg1-Prefix=%s\n' "$1" >>"$entry.new"
    mv "$entry.new" "$entry"
    cp "$share/mime/packages/cellseg1-studio.xml" "$types"
    for size in $sizes; do
        place=$data/icons/hicolor/${size}x$size/apps
        mkdir -p "$place"
        cp "$share/icons/hicolor/${size}x$size/apps/cellseg1-studio.png" "$place/"
    done
    mkdir -p "$data/icons/hicolor/scalable/apps"
    cp "$share/icons/hicolor/scalable/apps/cellseg1-studio.svg" "$data/icons/hicolor/scalable/apps/"
    for name in cellseg1 cellseg1-studio; do
        # Somebody else's command of that name stays.
        if [ ! -e "$links/$name" ] || [ -L "$links/$name" ]; then
            ln -sfn "$1/$name" "$links/$name"
        fi
    done
    refresh_desktop
}

# Takes the entry away again if it is this installation's; another one may have taken its place.
remove_from_desktop() {
    for name in cellseg1 cellseg1-studio; do
        if [ -L "$links/$name" ] && [ "$(readlink "$links/$name")" = "$1/$name" ]; then
            rm -f "$links/$name"
        fi
    done
    [ "$(installed_prefix)" = "$1" ] || return 0
    rm -f "$entry" "$types" "$data/icons/hicolor/scalable/apps/cellseg1-studio.svg"
    for size in $sizes; do
        rm -f "$data/icons/hicolor/${size}x$size/apps/cellseg1-studio.png"
        rmdir "$data/icons/hicolor/${size}x$size/apps" "$data/icons/hicolor/${size}x$size" 2>/dev/null || true
    done
    refresh_desktop
    rmdir "$data/icons/hicolor/scalable/apps" "$data/icons/hicolor/scalable" 2>/dev/null || true
    # What these tools made of our files alone goes with them.
    if [ -d "$data/mime" ] && [ -z "$(ls -A "$data/mime/packages" 2>/dev/null)" ]; then
        for name in aliases generic-icons globs globs2 icons magic mime.cache subclasses treemagic types version \
            XMLnamespaces; do
            rm -f "$data/mime/$name"
        done
        rmdir "$data/mime/application" "$data/mime/packages" "$data/mime" 2>/dev/null || true
    fi
    if [ "$(ls -A "$data/applications" 2>/dev/null)" = mimeinfo.cache ]; then
        rm -f "$data/applications/mimeinfo.cache"
    fi
    if [ "$(ls -A "$data/icons/hicolor" 2>/dev/null)" = icon-theme.cache ]; then
        rm -f "$data/icons/hicolor/icon-theme.cache"
    fi
    rmdir "$data/icons/hicolor" "$data/icons" "$data/applications" "$links" "$data" "$HOME/.local" 2>/dev/null || true
}

refresh_desktop() {
    command -v update-mime-database >/dev/null && update-mime-database "$data/mime" >/dev/null 2>&1 || true
    command -v update-desktop-database >/dev/null && update-desktop-database "$data/applications" >/dev/null 2>&1 || true
    if command -v gtk-update-icon-cache >/dev/null && [ -d "$data/icons/hicolor" ]; then
        gtk-update-icon-cache -qtf "$data/icons/hicolor" >/dev/null 2>&1 || true
    fi
}

# remove_listed FOLDER LIST: removes the files of the list, and then the folders that are empty.
remove_listed() {
    # Nothing outside the folder, whatever the list says.
    (cd "$1" && grep -v -e '^/' -e '^\.\./' -e '/\.\./' "$2" | tr '\n' '\0' | xargs -0 rm -f)
    find "$1" -depth -mindepth 1 -type d -exec rmdir {} + 2>/dev/null || true
}

# remove_up FOLDER UPTO: removes the folder and those above it, below UPTO, as far as they are empty; tells whether the
# folder itself is gone.
remove_up() {
    folder=$1
    while [ "$folder" != "$2" ] && [ "$folder" != / ] && rmdir "$folder" 2>/dev/null; do
        folder=$(dirname "$folder")
    done
    [ ! -d "$1" ]
}
