#!/usr/bin/env bash
# Runs `lcma launch` as the entrypoint of a RayJob; the image has it as `lcma-launch`.
#
# After any exit code except 0, KubeRay starts a new cluster with all its GPUs. That helps if the head
# was lost. It does not help after a diverged trial (1), a mistake (2), `lcma stop` (3) or a limit of
# hours (4), so these end the RayJob. The job's last line says which it was.
set -uo pipefail

code=0
lcma launch "$@" --ray auto &
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
