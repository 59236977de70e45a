#!/usr/bin/env bash
# Programs beyond Python that some tests drive: Chromium, PostgreSQL, Node.js, systemd's for its units, what closes a
# network, two reverse proxies, and a JDK with Maven.
# In CI (CI set, root, Debian) what is missing is installed. Elsewhere the line to type is printed: nobody's machine is
# changed unasked, and the tests that need a missing program are left out and say so; in CI they fail (tests/conftest.py).
set -euo pipefail

missing=()
command -v chromium chromium-browser google-chrome > /dev/null || missing+=(chromium)
compgen -G '/usr/lib/postgresql/*/bin/initdb' > /dev/null || missing+=(postgresql)
command -v systemd-analyze > /dev/null || missing+=(systemd)
command -v ip > /dev/null || missing+=(iproute2)
command -v unshare > /dev/null || missing+=(util-linux)
command -v nginx > /dev/null || missing+=(nginx-light)
command -v caddy > /dev/null || missing+=(caddy)
command -v mvn > /dev/null || missing+=(maven)
command -v javac > /dev/null || missing+=(openjdk-17-jdk-headless)
command -v zip > /dev/null || missing+=(zip)
command -v unzip > /dev/null || missing+=(unzip)
command -v npm > /dev/null || echo "no phone page: install Node.js 20 or newer"

if [ ${#missing[@]} -eq 0 ]; then
  exit 0
fi
if [ -n "${CI:-}" ] && [ "$(id -u)" -eq 0 ] && command -v apt-get > /dev/null; then
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" > /dev/null
else
  echo "some tests will be left out; to run them all: sudo apt-get install ${missing[*]}"
fi
