#!/bin/sh
# The container's default command: the live page on every address of the container, which is as far as the published port
# goes. Its controls are unlocked by HELIX_CONTROL_TOKEN; without one, by a code of this start, printed here: `docker logs`.
# More options of `helix monitor` may follow, for instance: docker run … helix-throttle helix-page --allowed-host my.host
set -eu
case "${HELIX_CONTROL_TOKEN:-}" in
    '' | your-*-here)
        HELIX_CONTROL_TOKEN="$(python -c 'import secrets; print(secrets.token_urlsafe(9))')"
        echo "HELIX_CONTROL_TOKEN is not set. Control code until this container stops: $HELIX_CONTROL_TOKEN"
        export HELIX_CONTROL_TOKEN
        ;;
esac
exec helix monitor --address 0.0.0.0 --port 8501 "$@"
