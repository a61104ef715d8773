# Sourced by the other scripts: where the checkout is, how to say something, and whether a step is still up to date.
# shellcheck shell=bash

set -euo pipefail
root=$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/.." && pwd)
cd "$root"

# iproute2, iptables and ipset live in sbin, which is not on everybody's PATH.
export PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin"

say() { printf '%s\n' "$*"; }
warn() { printf '%s\n' "$*" >&2; }

has() { command -v "$1" >/dev/null 2>&1; }
is_root() { [ "$(id -u)" -eq 0 ]; }

# One hash over the names and contents of all files under the given paths; paths that do not exist count as empty.
fingerprint() {
  { find "$@" \( -name node_modules -o -name build -o -name build-asan \) -prune -o -type f -print0 2>/dev/null || true; } |
    LC_ALL=C sort -z | xargs -0 -r sha256sum | sha256sum | cut -d' ' -f1
}

# is_current STAMP HASH: whether the step that wrote STAMP last saw the inputs that HASH stands for.
is_current() { [ -f "$1" ] && [ "$(cat "$1")" = "$2" ]; }

# quietly LOG COMMAND...: the command's output goes to LOG and is shown only when it fails.
quietly() {
  local log=$1
  shift
  "$@" >"$log" 2>&1 </dev/null && return
  local status=$?
  head -n 20 "$log" >&2
  [ "$(wc -l <"$log")" -le 20 ] || { warn '...' && tail -n +21 "$log" | tail -n 20 >&2; }
  warn "(the whole output: $log)"
  return "$status"
}
