#!/usr/bin/env bash
# Sets up CellSeg1 Studio from this checkout and does one thing with it:
#   bash installer/from_source.sh demo|studio|test|test-all|coverage|lint|format|setup
# Everything goes into one virtual environment, .venv here or the folder named by VENV; it is made when missing and
# brought up to date when pyproject.toml changed.  PYTHON chooses the interpreter (3.11 or 3.12).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
venv=${VENV:-.venv}
what=${1:-demo}

usable() { "$1" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 12))' 2>/dev/null; }

find_python() {
    local name
    for name in ${PYTHON:+"$PYTHON"} python3 python3.12 python3.11; do
        if command -v "$name" >/dev/null && usable "$name"; then echo "$name"; return; fi
    done
}

apt_install() {
    local sudo=
    [ "$(id -u)" = 0 ] || sudo=sudo
    command -v apt-get >/dev/null || { echo "Please install $* with your system's package manager." >&2; exit 2; }
    $sudo apt-get update -qq
    $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@"
}

setup() {
    local python stamp
    stamp=$venv/.cellseg1-$({ sha256sum pyproject.toml; pwd; } | sha256sum | cut -c1-16)
    # A half-made environment (an interrupted install, an interpreter that is gone) is made anew.
    if [ -e "$stamp" ] && "$venv/bin/python" -c 'import torch, torchvision, cv2, skimage' 2>/dev/null; then return; fi
    python=$(find_python)
    if [ -z "$python" ]; then apt_install python3 python3-venv; python=$(find_python); fi
    [ -n "$python" ] || { echo "CellSeg1 needs Python 3.11 or 3.12; install one and name it with PYTHON=..." >&2; exit 2; }
    "$python" -c 'import ensurepip, venv' 2>/dev/null || apt_install python3-venv
    if ! "$venv/bin/python" -c 'import pip' 2>/dev/null; then
        if [ -e "$venv" ] && [ ! -e "$venv/pyvenv.cfg" ] && [ -n "$(ls -A "$venv")" ]; then
            echo "$venv is in the way and is not a virtual environment; name another folder with VENV=..." >&2
            exit 2
        fi
        "$python" -m venv --clear "$venv"
    fi
    echo "Installing into $venv (the first time some 5 GB, a few minutes) ..." >&2
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
    rm -f "$venv"/.cellseg1-*
    touch "$stamp"
}

lint() {
    "$venv/bin/ruff" format --check --quiet cellseg1 app installer tests
    "$venv/bin/ruff" check --quiet cellseg1 app installer tests
    "$venv/bin/mypy"
    "$venv/bin/lint-imports" --no-cache >/dev/null || { "$venv/bin/lint-imports" --no-cache; exit 1; }
}

# The window's tests need Qt's system libraries, and those that drive it from outside a screen without a monitor.
screen() {
    local missing=() tool
    [ "$(uname -s)" = Linux ] || return 0
    for tool in Xvfb:xvfb xdotool:xdotool openbox:openbox; do
        command -v "${tool%%:*}" >/dev/null || missing+=("${tool##*:}")
    done
    ldconfig -p | grep -q libxcb-cursor || missing+=(libxcb-cursor0)
    ldconfig -p | grep -q libEGL.so || missing+=(libegl1)
    ldconfig -p | grep -q libxkbcommon-x11 || missing+=(libxkbcommon-x11-0)
    ldconfig -p | grep -q libxcb-icccm || missing+=(libxcb-icccm4)
    ldconfig -p | grep -q libxcb-keysyms || missing+=(libxcb-keysyms1)
    [ ${#missing[@]} = 0 ] && return 0
    # Without them those tests say that they were skipped.
    apt_install "${missing[@]}" >/dev/null || echo "Not installed: ${missing[*]}; tests that need them are skipped." >&2
}

# Library and window are tested at the same time, each in a process of its own: half of the time on two cores.
test_both() {
    local shown code=0
    shown=$(mktemp)
    "$venv/bin/python" -m pytest -m "not slow" -p no:cacheprovider tests/app tests/e2e >"$shown" 2>&1 &
    "$venv/bin/python" -m pytest -m "not slow" --ignore tests/app --ignore tests/e2e || code=1
    wait $! || code=1
    cat "$shown"
    rm -f "$shown"
    return "$code"
}

# Two threads: more do not help networks of this size, and tests must not depend on the computer's cores.
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-2}
case $what in
setup) setup ;;
demo) setup; exec "$venv/bin/cellseg1" demo "${@:2}" ;;
studio) setup; exec "$venv/bin/python" -m app "${@:2}" ;;
lint) setup; lint ;;
docs)
    setup
    "$venv/bin/python" -c 'import sphinx, myst_parser, furo' 2>/dev/null ||
        "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --editable '.[docs]'
    "$venv/bin/python" -m sphinx -W --keep-going --quiet -b html docs site "${@:2}"
    echo "The documentation is site/index.html" ;;
lock)
    # What was tried together, for all systems, with hashes; no place to fetch it from is named.
    setup
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check 'uv>=0.7,<1'
    "$venv/bin/uv" pip compile pyproject.toml --quiet --universal --python-version 3.11 --extra app --extra dev \
        --extra docs --generate-hashes --no-emit-index-url --no-emit-find-links --no-annotate \
        --custom-compile-command "bash installer/from_source.sh lock" --output-file requirements.lock "${@:2}" ;;
format) setup; "$venv/bin/ruff" check --fix --quiet cellseg1 app installer tests; "$venv/bin/ruff" format cellseg1 app installer tests ;;
test)
    setup; screen; lint
    # With arguments, such as one file: those tests alone.
    if [ $# -gt 1 ]; then exec "$venv/bin/python" -m pytest -m "not slow" "${@:2}"; fi
    test_both ;;
coverage) setup; screen; exec "$venv/bin/python" -m pytest -m "not slow" --cov=cellseg1 --cov=app --cov-report=term:skip-covered "${@:2}" ;;
test-all) setup; screen; lint; exec "$venv/bin/python" -m pytest "${@:2}" ;;
*) echo "usage: bash installer/from_source.sh demo|studio|test|test-all|coverage|lint|format|docs|lock|setup" >&2; exit 2 ;;
esac
