#!/usr/bin/env bash
# Makes a Python environment from locks. Wants no root, and writes nothing outside the environment but pip's own cache.
#   environment.sh create DIRECTORY GIGABYTES LOCK...   anew, asking for that much free space
#   environment.sh add DIRECTORY LOCK                   what the lock has and the environment has not
#   environment.sh link DIRECTORY                       this checkout, editable
set -euo pipefail
task=$1 directory=$2
shift 2
python=${PYTHON:-python3}
started=$SECONDS

say() { printf '%-8s %4d s  %s\n' "$directory" $((SECONDS - started)) "$*"; }

die() {
    printf '\nerror: %s\n' "$*" >&2
    exit 1
}

check_python() {
    command -v "$python" >/dev/null || die "there is no $python: install Python 3.11 or later, or name one: make run PYTHON=python3.12"
    "$python" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null ||
        die "Twinpin runs on Python 3.11 to 3.13, and $python is $("$python" -V 2>&1 | head -1): name another, as in make run PYTHON=python3.12"
}

check_space() {
    local free
    free=$(df -Pk . | awk 'NR == 2 { print int($4 / 1000000) }')
    [ "$free" -ge "$1" ] || die "making $directory needs $1 GB of free disk, and here are $free GB: free some, then run the same again"
}

# Debian keeps ensurepip in a package of its own: where it is missing, a pip or uv that is there installs from outside.
new_environment() {
    rm -rf "$directory"
    "$python" -m venv "$directory" >/dev/null 2>&1 && return
    rm -rf "$directory"
    "$python" -m venv --without-pip "$directory" || die "$python cannot make environments: install its venv module (Debian: python3-venv)"
}

install() {
    local options=(--no-input --disable-pip-version-check --progress-bar off --no-deps)
    case $(installer) in
    own) "$directory/bin/python" -m pip install "${options[@]}" "$@" ;;
    outer) "$python" -m pip --python "$directory/bin/python" install "${options[@]}" "$@" ;;
    uv) uv pip install --no-deps --python "$directory/bin/python" ${PIP_FIND_LINKS:+--find-links "$PIP_FIND_LINKS"} "$@" ;;
    esac
}

installer() {
    if "$directory/bin/python" -m pip --version >/dev/null 2>&1; then
        echo own
    elif "$python" -m pip --version >/dev/null 2>&1; then
        echo outer
    elif command -v uv >/dev/null; then
        echo uv
    else
        die "$python has no pip: install python3-venv, python3-pip or uv, then run the same again"
    fi
}

# Most of the time goes into downloads, so these are counted, and the large ones named with their size.
install_lock() {
    install --require-hashes -r "$1" | awk -v total="$(grep -c '^[a-z]' "$1")" -v name="$directory" '
        function tell(what) { printf "%-8s         %s\n", name, what; fflush() }
        /^Collecting / && ++n % 30 == 0                        { tell(n " of " total " packages") }
        /^ *Downloading .*\(([5-9][0-9]|[0-9][0-9][0-9]+)(\.[0-9]+)? MB\)/ { sub(/^ */, ""); tell($0) }
        /^Installing collected packages/                       { tell("unpacking " total " packages") }'
}

# A CPU build that only PIP_FIND_LINKS knows has to be asked for by its full version, and first: beside a wheel whose hash the
# index announces, pip would pass it over.
install_torch() {
    if install_lock torch-cpu.lock 2>/dev/null; then
        say "PyTorch is its CPU build"
    else
        say "PyTorch's CPU build is not offered here: taking the one with CUDA, 4 GB more (README.md says how to avoid it)"
        check_space 16
    fi
}

add_cuda() {
    if grep -qE '^Requires-Dist: (nvidia|cuda)' "$directory"/lib/python*/site-packages/torch-*.dist-info/METADATA; then
        say "installing CUDA for PyTorch"
        install_lock torch-cuda.lock
    fi
}

create() {
    check_python
    check_space "$1"
    say "making it with $("$python" -V)"
    new_environment
    installer >/dev/null
    [[ $2 == *-cuda.lock ]] || install_torch
    say "installing $2"
    install_lock "$2"
    [[ $2 == *-cuda.lock ]] || add_cuda
    say "done"
}

case $task in
create) create "$@" ;;
add) say "installing $1" && install_lock "$1" && say "done" ;;
link) install --quiet --no-build-isolation --editable . && say "twinpin linked" ;;
*) die "unknown task $task" ;;
esac
