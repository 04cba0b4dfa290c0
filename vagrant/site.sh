#!/usr/bin/env bash
# Make vagrant/site: the Python packages that ovlctl and its tests need, for the guest's Python, from wheels. They travel
# with the source, so the guest needs neither a network nor pip. A second call does nothing.
#
#     vagrant/site.sh
set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")"

# Debian 12's. Wheels in pure Python fit any, the others have to be for this one.
readonly python=3.11
readonly platforms=(manylinux2014_x86_64 manylinux_2_17_x86_64 manylinux_2_27_x86_64 manylinux_2_28_x86_64)

say() { echo "site: $*" >&2; }
fail() { say "$@"; exit 1; }

venv=$(../scripts/bootstrap dev)

# One requirement a line: what is in pyproject.toml, and the pytest of the host, since the guest's speaks to it.
requirements() {
    "$venv/bin/python" - <<-'END'
	import importlib.metadata, tomllib
	with open("../pyproject.toml", "rb") as file:
	    project = tomllib.load(file)
	needed = list(project["project"]["dependencies"])
	for extra in project["project"]["optional-dependencies"].values():
	    needed += extra
	needed += project["dependency-groups"]["test"]
	# Built for every x86-64; later ones want a processor that emulation does not give.
	needed.append("numpy<2.4")
	print(*sorted(set(needed)), f"pytest=={importlib.metadata.version('pytest')}", sep="\n")
	END
}

wanted=$(requirements)
if [[ -f site/.made-from && $(cat site/.made-from) == "$wanted" ]]; then exit; fi

say 'getting packages for the guest, once'
new=$(mktemp -d "$PWD/site.XXXXXX")
trap 'rm -rf -- "$new"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
printf '%s\n' "$wanted" >"$new/.made-from"

if "$venv/bin/python" -m pip --version >/dev/null 2>&1; then
    "$venv/bin/python" -m pip --disable-pip-version-check install --quiet --target "$new" --only-binary :all: --no-compile \
        --implementation cp --python-version "$python" "${platforms[@]/#/--platform=}" --requirement "$new/.made-from" >&2 ||
        fail 'pip could not get them; is there a network or a package index?'
else
    uv pip install --quiet --target "$new" --only-binary :all: --python-version "$python" \
        --python-platform x86_64-manylinux_2_28 --requirement "$new/.made-from" >&2 ||
        fail 'uv could not get them; is there a network or a package index?'
fi
chmod 755 "$new"
rm -rf -- site
mv -- "$new" site
