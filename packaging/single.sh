#!/bin/sh
# km VERSION for MACHINE, with its Node: unpacks itself once for each user, and runs from there. What follows this script is a tar.gz.
# Where to: $KM_UNPACK_DIR, else the user's cache directory, /var/cache/km for root without a home, or the sandbox of a Mesos task.
set -eu
say() { echo "km: $1" >&2; exit 1; }
home=${HOME:-}
if [ -n "${KM_UNPACK_DIR:-}" ]; then base=$KM_UNPACK_DIR
elif [ -n "$home" ] && [ -O "$home" ]; then base=${XDG_CACHE_HOME:-$home/.cache}/km
elif [ "$(id -u)" = 0 ]; then base=/var/cache/km
elif [ -n "${MESOS_SANDBOX:-}" ]; then base=$MESOS_SANDBOX/.km
else say 'there is no home directory to unpack into: set KM_UNPACK_DIR to a directory of yours'
fi
dir=$base/MACHINE-DIGEST
if [ ! -x "$dir/bin/km" ]; then
  umask 022
  mkdir -p "$base" || say "cannot unpack into $base: set KM_UNPACK_DIR to a directory of yours"
  new=$(mktemp -d "$base/.new.XXXXXX") || say "cannot unpack into $base: set KM_UNPACK_DIR to a directory of yours"
  trap 'rm -rf "$new"' EXIT
  tail -n +LINES "$0" | tar -xz -C "$new" --strip-components 1 ||
    say "cannot unpack into $base: there is too little room, no tar and gzip, or this file is not whole (see SHA256SUMS)"
  chmod 755 "$new"
  # Another one may have been faster.
  mv -T "$new" "$dir" 2>/dev/null || [ -x "$dir/bin/km" ] || say "cannot move $new to $dir"
  rm -rf "$new"
  trap - EXIT
fi
# What others have put there is not run.
[ -O "$dir" ] || say "$dir belongs to somebody else: set KM_UNPACK_DIR to a directory of yours"
case $(basename "$0") in
  km-[a-z]*) set -- "$(basename "$0" | sed s/^km-//)" "$@" ;;
esac
exec "$dir/bin/km" "$@"
