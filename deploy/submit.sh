#!/usr/bin/env bash
# A sweep as a job of a running Ray cluster. The folder that this is called in goes along: the
# sweep file belongs in it, and nothing large.
#
#     export RAY_API_SERVER_ADDRESS=http://127.0.0.1:8265
#     deploy/submit.sh mine.yaml --seeds 6
#
# Arguments are those of `lcma launch`; LCMA_DB, LCMA_RUNS and LCMA_DATA name places that all nodes
# reach, AWS_ENDPOINT_URL and AWS_REGION where an s3:// among them is. docs/cluster.md says more.
set -euo pipefail

if (($# == 0)); then
  echo "usage: deploy/submit.sh SWEEP [options of lcma launch]" >&2
  exit 2
fi
: "${LCMA_DB:?name the database: postgresql://USER@HOST/DATABASE}"
: "${LCMA_RUNS:?name a place for checkpoints that all nodes see}"
: "${LCMA_DATA:?name the folder of prepared data that all nodes see}"
secret='://[^@/]*:[^@/]*@'
if [[ $LCMA_DB =~ $secret ]]; then
  echo "LCMA_DB has a password, and Ray shows a job's variables to all: use ~/.pgpass there" >&2
  exit 2
fi
if [[ "$LCMA_RUNS ${AWS_ENDPOINT_URL-} ${AWS_ENDPOINT_URL_S3-}" =~ $secret ]]; then
  echo "a place has a password, and Ray shows a job's variables to all: use ~/.aws there" >&2
  exit 2
fi

variables=$(python3 -c '
import json, os, sys
print(json.dumps({"env_vars": {n: os.environ[n] for n in sys.argv[1:] if n in os.environ}}))
' LCMA_DB LCMA_RUNS LCMA_DATA LCMA_PLUGINS \
  AWS_ENDPOINT_URL AWS_ENDPOINT_URL_S3 AWS_REGION AWS_DEFAULT_REGION)

exec ray job submit --working-dir . --runtime-env-json "$variables" -- \
  lcma launch "$@" --ray auto --no-pictures
