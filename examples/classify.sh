#!/bin/sh
# Classify image files: LOUPE_URL=https://.../live/ LOUPE_API_KEY=... sh classify.sh photo.jpg ...
# Each answer is a line of JSON; --fail-with-body prints the problem and ends with 22.
set -eu
for image in "$@"; do
    curl --silent --show-error --fail-with-body --max-time 30 --header "x-api-key: ${LOUPE_API_KEY:-}" \
        --data-binary "@${image}" "${LOUPE_URL%/}/v1/classify"
    echo
done
