#!/bin/sh
# What burns this server's CPU, why, and which variable remedies it: --help lists the options.
set -eu
# What it writes is for root alone.
umask 077

folder=$(dirname "$(readlink -f "$0")")
if ! command -v python3 >/dev/null; then
  echo "debug_cpu_spike.sh: python3 is not on this server: apt-get install python3-minimal" >&2
  exit 2
fi
# Compiled modules are kept: to compile them each time costs as much as the look itself.
exec python3 -I -S -X pycache_prefix=/var/lib/soundcheck/diagnosis/python "$folder/run.py" "$@"
