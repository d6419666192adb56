#!/usr/bin/env bash
# Brings the clone on a volume to the commit of the image. What earlier tasks computed or ingested
# stays: git refuses a commit that would overwrite it.
set -euo pipefail
from=/opt/eidolon.git
to=/srv/eidolon
commit=$(git --git-dir "$from" rev-parse HEAD)
test -d "$to/.git" || git clone --quiet --no-checkout "$from" "$to"
cd "$to"
git fetch --quiet "$from" HEAD
git checkout --quiet --detach "$commit"
dvc remote modify --local storage url "${EIDOLON_OBJECTS%/*}/dvc"
echo "at $commit"
