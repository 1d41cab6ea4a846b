"""The script of a bundle: an environment and mimctl in it, with nothing at hand but Python."""

from __future__ import annotations

SCRIPT = """\
#!/bin/sh
# Install this bundle: sh install.sh [FOLDER | --python PATH]
#   FOLDER         where a new virtual environment is made (default: .venv)
#   --python PATH  install into the environment of this interpreter instead
# PYTHON names the Python that makes the new environment (default: python3). No network is used.
set -eu
here=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd)
if [ "${1:-}" = "--python" ]; then
    target=$2
else
    folder=${1:-.venv}
    base=${PYTHON:-python3}
    "$base" "$here/check.py"
    if [ ! -e "$folder/bin/python" ]; then
        "$base" -m venv "$folder" || {
            echo "hint: this Python makes no environments (on Debian: python3-venv is missing);" >&2
            echo "hint: name another (PYTHON=/path/to/python3), or an environment: --python PATH" >&2
            exit 1
        }
    fi
    target=$folder/bin/python
fi
"$target" "$here/check.py"
"$target" -m pip install --quiet --disable-pip-version-check --no-input --no-index --no-build-isolation \\
    --only-binary :all: --find-links "$here/index/files" --find-links "$here/wheels" mimctl "packaging>=26"
exec "$target" -m mimctl install --bundle "$here" --python "$target" --yes
"""
