#!/bin/sh
# km with the Node that came with it. A symlink named km-<command> runs that command.
lib=$(dirname "$(readlink -f "$0")")/../lib
case $(basename "$0") in
  km-*) set -- "$(basename "$0" | sed s/^km-//)" "$@" ;;
esac
# An executor shares its machine with the work of others: it collects garbage early, and hands back what it no longer uses.
heap=
if [ "${1:-}" = executor ]; then
  heap='--max-semi-space-size=1 --heap-growing-percent=20'
  export MALLOC_ARENA_MAX=1 MALLOC_TRIM_THRESHOLD_=65536 MALLOC_MMAP_THRESHOLD_=65536
fi
# shellcheck disable=SC2086
exec "$lib/node" $heap "$lib/km/cli/km.js" "$@"
