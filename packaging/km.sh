#!/bin/sh
# km with the Node that came with it. A symlink named km-<command> runs that command.
lib=$(dirname "$(readlink -f "$0")")/../lib
case $(basename "$0") in
  km-*) set -- "$(basename "$0" | sed s/^km-//)" "$@" ;;
esac
exec "$lib/node" "$lib/km/cli/km.js" "$@"
