#!/bin/sh
# Writes .env for compose.yaml: a random password for each variable of .env.example that has none.
set -eu
cd "$(dirname "$0")/.."
if [ -e .env ]; then
  echo ".env is there already; remove it to begin anew (the servers keep their old passwords)" >&2
  exit 1
fi
umask 077
while IFS= read -r line; do
  case $line in
  '#'* | '') ;;
  *=) line=$line$(head -c 24 /dev/urandom | od -A n -t x1 | tr -d ' \n') ;;
  esac
  printf '%s\n' "$line"
done <.env.example >.env
