#!/usr/bin/env bash
# The tutorial from end to end (docs/tutorial/first-detector.md): wheels → index → install → data → train → test → infer.
# Run by `make demo` with the clone's own environment first on PATH. Everything it makes lies in demo/.
set -euo pipefail
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
clone="$(cd "$here/../.." && pwd)"

say() { printf '\n$ %s\n' "$*"; "$@"; }

cd "$clone"
mkdir -p demo
# Of an earlier state of the clone: an index never gives one name to two contents, and mimctl remembers what it gave.
rm -rf demo/wheels demo/index demo/cache
export MIMCTL_CACHE_DIR="$clone/demo/cache"
say mimctl wheels build --out demo/wheels
say mimctl index build --wheels demo/wheels --out demo/index
export MIMCTL_INDEX_URL="$clone/demo/index"

cd demo
# --torch cpu: the demo trains on the CPU, also where there is a GPU; its index has no operators for one.
say mimctl install det --yes --torch cpu
say mimctl install det --yes --torch cpu
say mimctl download det --config rtmdet_nano --dest zoo
say python -m pip install --quiet --disable-pip-version-check scikit-learn
say python "$here/make_digits.py" data/digits
say mimctl train det rtmdet_nano_digits --gpus 0 --seed 0
say mimctl test det rtmdet_nano_digits --gpus 0 --checkpoint last
say mimctl infer det zoo/rtmdet_nano_digits.safetensors data/digits/test/00003.jpg --out-dir pictures
