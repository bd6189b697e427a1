#!/usr/bin/env bash
# Tests that need packages of the operating system. Installs them with apt when it may, and says what it left out.
set -euo pipefail
cd "$(dirname "$0")/.."

have() { command -v "$1" >/dev/null 2>&1; }

install() {
    if have apt-get && [ "$(id -u)" = 0 ]; then
        apt-get update -qq
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null
    else
        return 1
    fi
}

postgres_bin() { ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -n 1; }

[ -n "$(postgres_bin)" ] || install postgresql || true
have chromium || install chromium || true

if [ -n "$(postgres_bin)" ]; then
    export CROUPIER_TEST_POSTGRES_BIN="$(postgres_bin)"
    .venv/bin/python -m tests.system.other_server -n "${TEST_PROCESSES:-2}"
else
    echo "left out: the suite on another PostgreSQL (no server package, and it could not be installed)"
fi

if have chromium; then
    .venv/bin/pytest tests/browser -m system -n 0
else
    echo "left out: the browser tests (no chromium, and it could not be installed)"
fi
