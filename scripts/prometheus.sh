#!/usr/bin/env bash
# Unpacks Debian's Prometheus (prometheus and promtool) below .cache/prometheus, for the system suite: nothing is installed,
# no service starts. What is in the PATH already is used as it is.
set -euo pipefail
cd "$(dirname "$0")/.."
command -v promtool >/dev/null && command -v prometheus >/dev/null && exit 0
[ -x .cache/prometheus/root/usr/bin/promtool ] && exit 0
mkdir -p .cache/prometheus
cd .cache/prometheus
apt-get download -q prometheus || { apt-get update -q && apt-get download -q prometheus; }
dpkg-deb -x prometheus_*.deb root
