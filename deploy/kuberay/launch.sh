#!/usr/bin/env bash
# `lcma launch` as the entrypoint of a RayJob, in the image as `lcma-launch`.
#
# KubeRay starts a new cluster, GPUs and all, after any exit code but 0. That mends a lost head; it
# mends no diverged trial (1), no mistake (2), no `lcma stop` (3) and no limit of hours (4), so these
# end the RayJob. `lcma status` and the job's last line say which it was.
set -uo pipefail

code=0
lcma launch "$@" --ray auto --no-pictures &
launch=$!
trap 'kill -TERM "$launch" 2>/dev/null' TERM INT
wait "$launch" || code=$?
while kill -0 "$launch" 2>/dev/null; do   # a signal ended the wait, not the launch
  code=0
  wait "$launch" || code=$?
done

echo "lcma launch ended with exit code $code"
((code > 4)) || exit 0
exit "$code"
