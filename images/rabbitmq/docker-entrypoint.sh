#!/bin/bash
# Starts a RabbitMQ command as the user rabbitmq, under the rules of the official image.
set -euo pipefail

# The official image refuses these too: RabbitMQ itself reads none of them, so a value here would be lost silently.
refused=()
for name in RABBITMQ_DEFAULT_USER_FILE RABBITMQ_DEFAULT_PASS_FILE RABBITMQ_VM_MEMORY_HIGH_WATERMARK; do
  [[ -z "${!name:-}" ]] || refused+=("$name")
done
if ((${#refused[@]})); then
  echo "error: ${refused[*]}: not supported; write a file in /etc/rabbitmq/conf.d instead" >&2
  exit 1
fi

# A host name with a domain needs Erlang's long node names.
if [[ -z "${RABBITMQ_USE_LONGNAME:-}" && "$(</proc/sys/kernel/hostname)" == *.* ]]; then
  export RABBITMQ_USE_LONGNAME=true
fi

if [[ "$1" == rabbitmq* && "$(id -u)" == 0 ]]; then
  find "$RABBITMQ_DATA_DIR" ! -user rabbitmq -exec chown rabbitmq:rabbitmq {} +
  exec setpriv --reuid=rabbitmq --regid=rabbitmq --clear-groups -- "$@"
fi
exec "$@"
