# Checks and joins the parts of a large file in any POSIX shell; source it.  The list NAME.parts is written by split.py:
# lines of SHA256, SIZE and NAME, one for each part in order and one for the whole file; the parts lie beside it.

# cs1_check_parts LIST: 0 when all parts are there and whole; else 2, with one sentence on standard error.
cs1_check_parts() {
    cs1_dir=$(dirname "$1")
    [ -r "$1" ] || { echo "The list of parts $1 is missing. Put all files of this download into one folder." >&2; return 2; }
    sed '$d' "$1" | while read -r cs1_sum cs1_size cs1_name; do
        cs1_file=$cs1_dir/$cs1_name
        if [ ! -f "$cs1_file" ]; then
            echo "The part $cs1_name is missing in $cs1_dir. Put all parts into one folder, then start this again." >&2
            exit 2
        fi
        cs1_found=$(wc -c <"$cs1_file" | tr -d ' ')
        if [ "$cs1_found" != "$cs1_size" ]; then
            echo "The part $cs1_name has $cs1_found of $cs1_size bytes. Copy or download it again." >&2
            exit 2
        fi
        if [ "$(sha256sum <"$cs1_file" | cut -d' ' -f1)" != "$cs1_sum" ]; then
            echo "The part $cs1_name is damaged. Copy or download it again." >&2
            exit 2
        fi
    done
}

# cs1_cat_parts LIST: the whole file on standard output.
cs1_cat_parts() {
    cs1_dir=$(dirname "$1")
    sed '$d' "$1" | while read -r cs1_sum cs1_size cs1_name; do
        cat "$cs1_dir/$cs1_name" || exit 2
    done
}
