#!/usr/bin/env bash
# Runs foreign.py in a Python environment of its own, made once: run.sh FOLDER ARGUMENT...
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
folder=$1
shift
command -v python3 >/dev/null && python3 -c 'import ensurepip' 2>/dev/null || {
    echo "Python or its venv is missing. On Debian or Ubuntu: sudo apt-get install --yes python3 python3-venv" >&2
    exit 1
}
wanted=$(sha256sum <"$here/requirements.txt")
mkdir -p "$folder"
exec 9>"$folder.lock"
flock 9
if [[ $(cat "$folder/made-from" 2>/dev/null) != "$wanted" ]]; then
    rm -rf "$folder"
    python3 -m venv "$folder"
    "$folder/bin/pip" install --quiet --disable-pip-version-check -r "$here/requirements.txt" >&2
    echo "$wanted" >"$folder/made-from"
fi
flock -u 9
exec "$folder/bin/python" "$here/foreign.py" "$@"
