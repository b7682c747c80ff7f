#!/usr/bin/env bash
# Makes the passwords that compose.yaml names, each in a file of its own, and changes none that is there.
#
#   docker/secrets.sh [FOLDER]      default: docker/.secrets
#
# The folder is its owner's alone. A file in it is readable, because an engine mounts it into a
# container as it is, where another user reads it; nobody else passes the folder.
set -euo pipefail
here=$(dirname "$0")
folder=${1:-${PERENNIAL_SECRETS:-$here/.secrets}}
mkdir -p -m 700 "$folder"
chmod 700 "$folder"
# What the set's database, or what is in it, was made with: another one would fit nothing there.
for name in pii_key postgres airflow_fernet; do
  if [[ -e $folder/loader && ! -e $folder/$name ]]; then
    echo "error: $folder/$name is gone, and the set's data were made with it: bring it back from where" \
      "you keep the passwords, or delete $folder if the set was never started" >&2
    exit 1
  fi
done
sed -n 's|^ *file: .*/\([a-z_.]*\)$|\1|p' "$here/compose.yaml" | while read -r name; do
  [[ -e $folder/$name ]] && continue
  # settings.env holds what you write into it
  if [[ $name == settings.env ]]; then : >"$folder/$name"; else
    head -c 32 /dev/urandom | base64 | tr -d '=\n' | tr '+/' '-_' >"$folder/$name"
  fi
  chmod 644 "$folder/$name"
done
echo "passwords: $folder"
