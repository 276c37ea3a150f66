# Shared by the scripts of this folder: the project's own Python environment. Sourced, not run, with
# the path of the script itself (no symbolic link to it) in $script.

CDPATH='' cd -P -- "$(dirname "$script")/.." || exit 1
venv=.venv
log=.cache/setup.log
counterparts=.cache/counterparts
mkdir -p .cache

fail() {
    echo "$*" >&2
    exit 1
}

# ensure_environment EXTRAS: make the environment if there is none or the clone was moved since (it
# holds absolute paths), and install the project into it with these extras, unless that was done for
# the present pyproject.toml.
ensure_environment() {
    python=${PYTHON:-python3}
    command -v "$python" >/dev/null 2>&1 ||
        fail "Python 3.11 or later is needed (Debian, Ubuntu: apt-get install python3 python3-venv)."
    "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
        fail "Python 3.11 or later is needed; $("$python" --version 2>&1) was found. Set PYTHON to another."
    clone=$(pwd -P)
    if [ "$(cat "$venv/.clone" 2>/dev/null)" != "$clone" ] || ! "$venv/bin/python" -c '' 2>/dev/null; then
        "$python" -m venv --clear "$venv" >"$log" 2>&1 || {
            cat "$log" >&2
            rm -rf "$venv"
            fail "No virtual environment could be made (Debian, Ubuntu: apt-get install python3-venv)."
        }
        echo "$clone" >"$venv/.clone"
    fi
    stamp="$venv/.installed-$1"
    wanted=$(cksum <pyproject.toml)
    if [ "$(cat "$stamp" 2>/dev/null)" != "$wanted" ]; then
        "$venv/bin/python" -m pip install --disable-pip-version-check -q -e ".[$1]" >"$log" 2>&1 || {
            cat "$log" >&2
            fail "Installing failed (see above). Is a package registry reachable?"
        }
        echo "$wanted" >"$stamp"
    fi
}

# run COMMAND…: run quietly; show what it printed only if it fails.
run() {
    "$@" >.cache/step.log 2>&1 || {
        cat .cache/step.log >&2
        fail "failed: $*"
    }
}
