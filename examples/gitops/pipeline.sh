#!/bin/sh
# What a runner calls. It needs no terminal and asks nothing:
#
#   pipeline.sh preview   on a merge request: shows what the merge would do, and leaves it in plan.txt
#   pipeline.sh up        after the merge: does it, or goes on with what a runner that was ended has begun
#
# From the environment: PULUMI_STACK; PULUMI_BACKEND_URL (or PULUMI_ACCESS_TOKEN); PULUMI_CONFIG_PASSPHRASE; LIVEDISK_PRIVATE_KEY, the text
# of the key that signs in to the host, unless the runner has an ssh-agent.
set -eu
cd "$(dirname "$0")"
verb=${1:-}
stack=${PULUMI_STACK:?"name the stack, such as prod"}

case $verb in
  preview | up) ;;
  *) echo "usage: pipeline.sh preview|up" >&2; exit 64 ;;
esac

[ -e node_modules ] || npm ci --no-audit --no-fund
pulumi stack select --create --non-interactive "$stack"
if [ -n "${LIVEDISK_PRIVATE_KEY:-}" ]; then # through standard input: a command line could be read by others
  printf '%s\n' "$LIVEDISK_PRIVATE_KEY" | pulumi config set --secret --stack "$stack" --non-interactive livedisk:privateKey
fi

if [ "$verb" = preview ]; then
  status=0
  pulumi preview --stack "$stack" --non-interactive --diff >plan.txt 2>&1 || status=$?
  cat plan.txt
  exit "$status"
fi

# A runner that was killed has left the stack's lock. That nobody else is at work is the pipeline's to see to (README.md); where it fails
# to, the lock beside each disk's manifest on the host still keeps two runs apart.
pulumi cancel --yes --stack "$stack" --non-interactive >/dev/null 2>&1 || true
exec pulumi up --yes --skip-preview --stack "$stack" --non-interactive # exec: the runner's signals reach the engine
