# Sourced by what installs a server from apt for the tests and the sandbox: where that needs no question, and starting no service.

as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi; }

policy=/usr/sbin/policy-rc.d  # asked by Debian's packages before they start a service; 101 forbids it

# install_quietly PACKAGE SERVICE ...
install_quietly() {
    local package=$1
    shift
    as_root apt-get update -qq
    if [ ! -e "$policy" ]; then
        trap 'as_root rm -f "$policy"' EXIT
        printf '#!/bin/sh\nexit 101\n' | as_root tee "$policy" >/dev/null
        as_root chmod 755 "$policy"
    fi
    as_root env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 \
        apt-get install -y -qq --no-install-recommends "$package" >/dev/null
    # Nor shall the next boot start what nobody asked for.
    if command -v systemctl >/dev/null; then
        as_root systemctl disable --quiet "$@" 2>/dev/null || true
    fi
}

can_install() { command -v apt-get >/dev/null && as_root true 2>/dev/null; }
