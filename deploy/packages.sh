#!/usr/bin/env bash
# Installs the Debian packages that the tests need and that are not here yet; where it may not, it says what to install.
#   packages.sh [ROOT]     looks for them, and configures them, below another root directory
set -euo pipefail
system=${1:-}

# A package, and the file that shows it is here.
needed=(
    "postgresql /usr/lib/postgresql/*/bin/postgres"
    "prometheus /usr/bin/promtool"
    "redis-server /usr/bin/redis-server"
)

missing=()
for line in "${needed[@]}"; do
    read -r package shown <<<"$line"
    compgen -G "$system$shown" >/dev/null || missing+=("$package")
done
((${#missing[@]})) || exit 0

die() {
    printf '\nerror: the tests need %s: %s\n' "${missing[*]}" "$*" >&2
    exit 1
}

command -v apt-get >/dev/null || die "install it with your system's package manager"
root=()
if [ "$(id -u)" != 0 ]; then
    sudo -n true 2>/dev/null || die "run this once: sudo apt-get install --no-install-recommends ${missing[*]}"
    root=(sudo)
fi

# The tests start servers of their own: none is wanted for the whole machine, neither a database cluster nor a service.
no_cluster=$system/etc/postgresql-common/createcluster.d/twinpin-tests.conf
no_service=$system/usr/sbin/policy-rc.d
made=("$no_cluster")
trap '"${root[@]}" rm -f "${made[@]}"' EXIT
"${root[@]}" mkdir -p "$(dirname "$no_cluster")" "$(dirname "$no_service")"
echo "create_main_cluster = false" | "${root[@]}" tee "$no_cluster" >/dev/null
if [ ! -e "$no_service" ]; then
    made+=("$no_service")
    printf '#!/bin/sh\nexit 101\n' | "${root[@]}" tee "$no_service" >/dev/null
    "${root[@]}" chmod 755 "$no_service"
fi

echo "installing ${missing[*]}"
"${root[@]}" apt-get update -qq || die "apt-get cannot reach its sources"
"${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "${missing[@]}" >/dev/null ||
    die "apt-get could not install it"
