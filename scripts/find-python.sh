#!/bin/sh
# Print an interpreter that can make the virtual environment: the one it has already, else 3.13 if there is one, else
# the newest from 3.11 on. Each candidate is started, because a version manager's shim may stand on the path and yet
# not run.
usable='import sys, venv, ensurepip; sys.exit(not ((3, 11) <= sys.version_info[:2] < (3, 15)))'
unset PYTHONPATH PYTHONHOME
if [ -n "$PYTHON" ]; then
    "$PYTHON" -c "$usable" 2>/dev/null && { command -v "$PYTHON"; exit 0; }
    echo "PYTHON=$PYTHON is not a Python from 3.11 to 3.14 with venv and ensurepip." >&2
    exit 1
fi
# A second 'make' keeps the interpreter that the first was told to take: only PYTHON= or 'make clean' changes it.
if .venv/bin/python -c "$usable" 2>/dev/null; then
    echo .venv/bin/python
    exit 0
fi
for version in 3.13 3.14 3.12 3.11; do
    for candidate in "python$version" "${PYENV_ROOT:-$HOME/.pyenv}/versions/$version".*/bin/python3 \
        "${XDG_DATA_HOME:-$HOME/.local/share}/uv/python/cpython-$version".*/bin/python3 \
        "/opt/homebrew/bin/python$version" "/usr/local/bin/python$version"; do
        if "$candidate" -c "$usable" 2>/dev/null; then
            command -v "$candidate"
            exit 0
        fi
    done
done
for candidate in python3 python; do
    if "$candidate" -c "$usable" 2>/dev/null; then
        command -v "$candidate"
        exit 0
    fi
done
echo "Loupe needs Python 3.11 or newer (3.13 is best) with venv and ensurepip, and found none." >&2
echo "Install one (Debian and Ubuntu: apt install python3 python3-venv) or name it: make setup PYTHON=/path/to/python3" >&2
exit 1
