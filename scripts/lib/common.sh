# What the scripts here share; sourced, not run. Expects `set -euo pipefail` in the caller.
# shellcheck shell=bash

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)

# rustup puts cargo where a bare PATH does not look; it goes before a distribution's, which is older.
PATH="${CARGO_HOME:-${HOME:-}/.cargo}/bin:$PATH"
export PATH
# shellcheck disable=SC2034 # read by those who source this
cargo=${CARGO:-cargo}

say() { printf '%s\n' "$*" >&2; }

die() {
  say "$*"
  exit 1
}

# The first sentence of the comment behind the shebang of a script.
headline() {
  awk 'NR == 1 { next }
       !/^#/ { exit }
       { sub(/^# ?/, ""); text = text (text == "" ? "" : " ") $0 }
       END { sub(/[.:] .*/, ".", text); print text }' "$1"
}

# `areas DIRECTORY`: the names of the scripts in it, one a line.
areas() {
  local file
  for file in "$root/$1"/*; do
    [[ -f $file && -x $file ]] && printf '%s\n' "${file##*/}"
  done
  return 0
}

# `dispatch NAME "$@"`: runs scripts/NAME.d/AREA with the other arguments, all of them, or lists them.
dispatch() {
  local name=$1 area=${2:-} each failed=()
  shift 2 2>/dev/null || shift
  if [[ -z $area || $area == -h || $area == --help ]]; then
    printf 'scripts/%s AREA [ARGUMENT...]   or   scripts/%s all\n\n' "$name" "$name"
    while read -r each; do
      printf '  %-12s %s\n' "$each" "$(headline "$root/scripts/$name.d/$each")"
    done < <(areas "scripts/$name.d")
    return 0
  fi
  cd "$root" || return 1
  if [[ $area == all ]]; then
    while read -r each <&3; do
      say "== $name $each"
      "scripts/$name.d/$each" "$@" || failed+=("$each")
    done 3< <(areas "scripts/$name.d")
    ((${#failed[@]} == 0)) || die "$name: failed: ${failed[*]}"
    return 0
  fi
  if ! areas "scripts/$name.d" | grep -qxF -- "$area"; then
    say "scripts/$name: there is no area '$area'; there are: $(areas "scripts/$name.d" | paste -sd ' ')"
    return 2
  fi
  exec "scripts/$name.d/$area" "$@"
}
