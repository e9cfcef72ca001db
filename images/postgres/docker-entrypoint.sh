#!/bin/bash
# Starts PostgreSQL and makes its database at the first start, with the variables of the official image:
# POSTGRES_USER, POSTGRES_PASSWORD, POSTGRES_DB (each also with _FILE), POSTGRES_INITDB_ARGS, POSTGRES_HOST_AUTH_METHOD.
set -Eeuo pipefail

# The value of a variable, or the content of the file that <variable>_FILE names.
setting() {
  local name=$1 file="${1}_FILE" value="${2:-}"
  if [[ -n "${!name:-}" && -n "${!file:-}" ]]; then
    echo "error: both $name and $file are set: choose one" >&2
    exit 1
  fi
  if [[ -n "${!name:-}" ]]; then value="${!name}"; elif [[ -n "${!file:-}" ]]; then value="$(<"${!file}")"; fi
  unset "$file"
  export "$name=$value"
}

run_sql() {
  PGHOST='' psql --no-psqlrc --no-password --set=ON_ERROR_STOP=1 --username="$POSTGRES_USER" "$@"
}

run_file() {
  echo "$0: $1"
  case "$1" in
    *.sh) if [[ -x "$1" ]]; then "$1"; else source "$1"; fi ;;
    *.sql) run_sql --dbname="$POSTGRES_DB" --file="$1" ;;
    *.sql.gz) gunzip --stdout "$1" | run_sql --dbname="$POSTGRES_DB" ;;
    *) echo "$0: $1 is neither .sh, .sql nor .sql.gz: ignored" ;;
  esac
}

make_database() {
  if [[ -z "$POSTGRES_PASSWORD" && "${POSTGRES_HOST_AUTH_METHOD:-}" != trust ]]; then
    echo "error: set POSTGRES_PASSWORD or POSTGRES_PASSWORD_FILE: a new database gets no empty password" >&2
    exit 1
  fi
  local arguments=()
  read -r -a arguments <<<"${POSTGRES_INITDB_ARGS:-}"
  # The extra newline: initdb refuses an empty password file, which `trust` may mean.
  initdb --username="$POSTGRES_USER" --pwfile=<(printf '%s\n' "$POSTGRES_PASSWORD") "${arguments[@]}"
  echo "host all all all ${POSTGRES_HOST_AUTH_METHOD:-scram-sha-256}" >>"$PGDATA/pg_hba.conf"

  # Nobody but this script may connect before everything is in place.
  export PGPASSWORD="$POSTGRES_PASSWORD"
  PGUSER="$POSTGRES_USER" pg_ctl --pgdata="$PGDATA" --wait start \
    --options="$(printf '%q ' "$@" -c listen_addresses=)"
  if [[ "$POSTGRES_DB" != postgres ]]; then
    run_sql --dbname=postgres --set=name="$POSTGRES_DB" <<<'CREATE DATABASE :"name";'
  fi
  local file
  for file in /docker-entrypoint-initdb.d/*; do
    [[ ! -e "$file" ]] || run_file "$file"
  done
  pg_ctl --pgdata="$PGDATA" --mode=fast --wait stop
  unset PGPASSWORD
}

[[ "${1:-}" != -* ]] || set -- postgres "$@"
if [[ "$1" == postgres ]]; then
  if [[ "$(id -u)" == 0 ]]; then
    mkdir -p "$PGDATA"
    find "$PGDATA" /var/run/postgresql ! -user postgres -exec chown postgres:postgres {} +
    exec setpriv --reuid=postgres --regid=postgres --init-groups -- "$0" "$@"
  fi
  mkdir -p "$PGDATA"
  chmod 0700 "$PGDATA"
  if [[ ! -s "$PGDATA/PG_VERSION" ]]; then
    setting POSTGRES_PASSWORD
    setting POSTGRES_USER postgres
    setting POSTGRES_DB "$POSTGRES_USER"
    make_database "${@:2}"
  fi
  unset POSTGRES_PASSWORD
fi
exec "$@"
