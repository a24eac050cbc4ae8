#!/usr/bin/env bash
# Submits a sweep as a job of a running Ray cluster. The current folder is sent along: it must have
# the sweep file, and nothing large.
#
#     export RAY_API_SERVER_ADDRESS=http://127.0.0.1:8265
#     deploy/submit.sh mine.yaml --seeds 6
#
# The arguments are those of `lcma launch`. LCMA_DB, LCMA_RUNS and LCMA_DATA name places that all
# nodes reach; AWS_ENDPOINT_URL and AWS_REGION locate an s3:// place. See docs/cluster.md.
set -euo pipefail

if (($# == 0)); then
  echo "usage: deploy/submit.sh SWEEP [options of lcma launch]" >&2
  exit 2
fi
: "${LCMA_DB:?set it to the database: postgresql://USER@HOST/DATABASE}"
: "${LCMA_RUNS:?set it to a place for checkpoints that all nodes see}"
: "${LCMA_DATA:?set it to the folder of prepared data that all nodes see}"
if [[ $LCMA_DB != postgres*://* ]]; then
  echo "LCMA_DB: a cluster needs a server: postgresql://USER@HOST/DATABASE" >&2
  exit 2
fi
# Between :// and the last @, since a password may contain any character.
secret='://.*:.*@|[Pp][Aa][Ss][Ss][Ww][Oo][Rr][Dd]='
if [[ $LCMA_DB =~ $secret ]]; then
  echo "LCMA_DB has a password, and Ray shows a job's variables to everybody: use ~/.pgpass there" >&2
  exit 2
fi
for place in "$LCMA_RUNS" "${AWS_ENDPOINT_URL-}" "${AWS_ENDPOINT_URL_S3-}"; do
  if [[ $place =~ $secret|https?://.*@|://.*[?] ]]; then   # a user of https or a query may be a key
    echo "a place has a password, and Ray shows a job's variables to everybody: use ~/.aws there" >&2
    exit 2
  fi
done
for argument in "$@"; do
  if [[ $argument =~ $secret ]]; then
    echo "an argument has a password, and Ray shows arguments to everybody: leave it out" >&2
    exit 2
  fi
done

variables=$(python3 -c '
import json, os, sys
print(json.dumps({"env_vars": {n: os.environ[n] for n in sys.argv[1:] if n in os.environ}}))
' LCMA_DB LCMA_RUNS LCMA_DATA LCMA_PLUGINS \
  AWS_ENDPOINT_URL AWS_ENDPOINT_URL_S3 AWS_REGION AWS_DEFAULT_REGION)

exec ray job submit --working-dir . --runtime-env-json "$variables" -- \
  lcma launch "$@" --ray auto
