#!/bin/sh
# Install dam-warning on this host as a service, from a clone:
#   sudo sh deploy/install.sh             from nothing to a running service; again: whatever is missing or differs
#   sudo sh deploy/install.sh upgrade     back the record up, install this clone's program, restart, or go back
#   sudo sh deploy/install.sh uninstall   remove the program and its units; the record and the configuration stay
# Options: --root DIR          work on the system below DIR (an image, a test; the program there is tied to that path)
#          --without-backup    upgrade although the record cannot be backed up
# Made for Debian 12, Ubuntu 24.04 and newer. Elsewhere it installs what it can and says what it could not do.
set -eu
umask 022 # what it installs is for the account too, whatever root's own umask is

source=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
root='' action=install with_backup=yes changed=0 changed_units=0
while [ $# -gt 0 ]; do
    case $1 in
    install | upgrade | uninstall) action=$1 ;;
    --root) [ $# -gt 1 ] || { echo "deploy/install.sh: --root needs a folder" >&2; exit 2; }
        shift && root=$(CDPATH='' cd -- "$1" && pwd) ;;
    --without-backup) with_backup=no ;;
    -h | --help) sed -n '2,8s/^# \{0,1\}//p' "$0" && exit 0 ;;
    *) echo "deploy/install.sh: unknown word \"$1\"; see --help" >&2 && exit 2 ;;
    esac
    shift
done

program=$root/opt/dam-warning
venv=$program/.venv # a link to one of the releases, so that an upgrade is one step forward, or back
releases=$program/releases
config=$root/etc/dam-warning
state=$root/var/lib/dam-warning
units=$root/etc/systemd/system
command=$root/usr/local/bin/dam-warning

say() { echo "$*"; }
did() { changed=$((changed + 1)) && say "  $*"; }
kept() { say "  $* (unchanged)"; }
fail() { echo "deploy/install.sh: $*" >&2; exit 1; }
have() { command -v "$1" >/dev/null 2>&1; }
booted() { [ -d "$root/run/systemd/system" ] && have systemctl; } # as sd_booted(3) asks

[ -n "$root" ] || [ "$(id -u)" = 0 ] || fail "needs to be root: sudo sh deploy/install.sh $action"

# ---- the program ---------------------------------------------------------------------------------

new_enough() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }
has_venv() { "$1" -c 'import ensurepip, venv' 2>/dev/null; }
find_python() { # sets $python
    for python in python3.14 python3.13 python3.12 python3.11 python3; do
        if new_enough "$python" && has_venv "$python"; then return 0; fi
    done
    return 1
}
need_python() {
    find_python && return
    if have apt-get; then
        say "  installing python3 and python3-venv by apt"
        # a host's package lists may be stale; without them apt may find nothing
        DEBIAN_FRONTEND=noninteractive apt-get update -q >/dev/null &&
            DEBIAN_FRONTEND=noninteractive apt-get install -q -y python3 python3-venv ca-certificates >/dev/null &&
            find_python && did "python3-venv installed" && return
    fi
    fail "needs Python 3.11 or newer with its venv module; found $(python3 -V 2>/dev/null || echo none)"
}

release_name() { # the same for the same program, versions of what it stands on, and Python
    sum=$(cd "$source" && find warning pyproject.toml deploy/constraints.txt -type f ! -name '*.pyc' |
        LC_ALL=C sort | xargs cat | cksum | cut -d ' ' -f 1)
    echo "$("$python" -c 'import sys; print("py%d.%d" % sys.version_info[:2])')-$sum"
}

build_release() { # sets $release; what was interrupted is built anew
    release=$releases/$(release_name)
    if [ -e "$release/complete" ]; then return; fi
    say "  installing the program into $release: minutes, depending on the network (PyTorch is large)"
    rm -rf "$release"
    mkdir -p "$releases"
    "$python" -m venv "$release"
    copy=$(mktemp -d) # pip would leave its build folders in the clone
    cp -R "$source/warning" "$source/pyproject.toml" "$source/README.md" "$source/LICENSE" "$copy/"
    "$release/bin/python" -m pip install -q --disable-pip-version-check "$copy" -c "$source/deploy/constraints.txt" || {
        rm -rf "$copy" "$release"
        fail "the program could not be installed; nothing else was changed. Is the package index reachable?"
    }
    rm -rf "$copy"
    : >"$release/complete"
}

switch_to() { # $1: a release
    ln -sfn "$1" "$venv.next"
    mv -T "$venv.next" "$venv" 2>/dev/null || { rm -f "$venv" && mv "$venv.next" "$venv"; }
}

# ---- files ---------------------------------------------------------------------------------------

place() { # $1 from, $2 to, $3 mode; sets $placed to yes where something was written
    placed=no
    if cmp -s "$1" "$2"; then kept "$2" && return; fi
    mkdir -p "$(dirname "$2")"
    cp "$1" "$2.new" && chmod "$3" "$2.new" && mv "$2.new" "$2"
    placed=yes
    did "$2 written"
}

owned() { # $1 mode, $2 what: root's, readable for the account's group where there is one
    chmod "$1" "$2"
    if [ "$(id -u)" = 0 ]; then chown "0:${gid:-0}" "$2"; fi
}

make_account() { # sets $gid
    place "$source/systemd/dam-warning.sysusers" "$root/etc/sysusers.d/dam-warning.conf" 0644
    group_id() { sed -n 's/^dam-warning:[^:]*:\([0-9]*\):.*/\1/p' "$root/etc/group" 2>/dev/null || :; }
    gid=$(group_id)
    if [ -n "$gid" ]; then kept "the account dam-warning" && return; fi
    if have systemd-sysusers && [ -n "$root" ]; then
        systemd-sysusers --root="$root" dam-warning.conf
    elif have systemd-sysusers; then
        systemd-sysusers dam-warning.conf
    elif have useradd && [ -z "$root" ]; then
        useradd --system --user-group --home-dir /var/lib/dam-warning --shell /usr/sbin/nologin dam-warning
    fi
    gid=$(group_id)
    if [ -n "$gid" ]; then
        did "the account dam-warning made"
    else
        say "  NOT DONE: no account dam-warning, because neither systemd-sysusers nor useradd is here; make it yourself"
    fi
}

make_configuration() {
    for folder in "$config" "$config/secrets"; do
        if [ -d "$folder" ]; then kept "$folder" && continue; fi
        mkdir -p "$folder"
        case $folder in */secrets) chmod 0700 "$folder" ;; *) owned 0750 "$folder" ;; esac
        did "$folder made"
    done
    for name in warning.toml reservoirs.toml recipients.toml; do
        if [ -e "$config/$name" ]; then kept "$config/$name, which is yours" && continue; fi
        cp "$source/config/$name" "$config/$name"
        owned 0640 "$config/$name"
        did "$config/$name: a commented sample to fill in"
    done
}

place_unit() { # $1 from, $2 to
    place "$1" "$2" 0644
    if [ "$placed" = yes ]; then changed_units=$((changed_units + 1)); fi
}

make_units() {
    if ! have systemctl; then
        say "  NOT DONE: no systemd here. Let your own supervisor run \"$venv/bin/dam-warning run\" as dam-warning, restart"
        say "  it whenever it ends except with status 78, and then run \"$venv/bin/dam-warning report-failure\""
        return
    fi
    version=$(systemctl --version | sed -n '1s/^systemd \([0-9]*\).*/\1/p')
    [ "${version:-0}" -ge 250 ] ||
        say "  NOTE: systemd ${version:-unknown} cannot hand over a folder of secrets (250 can): the unit may not start"
    place_unit "$source/systemd/dam-warning.service" "$units/dam-warning.service"
    place_unit "$source/systemd/dam-warning-failed.service" "$units/dam-warning-failed.service"
    if [ -e "$root/proc/driver/nvidia/version" ]; then
        place_unit "$source/systemd/nvidia.conf" "$units/dam-warning.service.d/nvidia.conf"
    fi
    if booted && [ "$changed_units" -gt 0 ]; then systemctl daemon-reload; fi
    if [ -L "$units/multi-user.target.wants/dam-warning.service" ]; then
        kept "started at boot"
    elif [ -n "$root" ] && ! booted; then
        systemctl --root="$root" -q enable dam-warning.service && did "will be started at boot"
    else
        systemctl -q enable dam-warning.service && did "will be started at boot"
    fi
}

make_command() {
    if [ "$(readlink "$command" 2>/dev/null)" = "$venv/bin/dam-warning" ]; then kept "$command" && return; fi
    if [ -e "$command" ]; then say "  NOT DONE: $command is something else; remove it, then call this again" && return; fi
    mkdir -p "$(dirname "$command")"
    ln -s "$venv/bin/dam-warning" "$command"
    did "$command made"
}

sound() { "$1/bin/dam-warning" check-config --config "$config"; } # $1: a release

# ---- what this can do ------------------------------------------------------------------------------

start_if_sound() {
    if ! verdict=$(sound "$venv" 2>&1); then
        echo "$verdict" | sed 's/^/    /'
        say "NOT STARTED: the configuration is not sound yet. Fill in $config/*.toml, put secrets into $config/secrets"
        say "(one file each, mode 0600), try \"dam-warning check-config\", then call this again."
        return
    fi
    if ! booted; then
        say "The configuration is sound. NOT STARTED: no systemd runs here."
    elif systemctl -q is-active dam-warning.service && [ "$changed_program$changed_units" = 00 ]; then
        kept "the service runs"
    else
        systemctl restart dam-warning.service || fail "the service did not start: journalctl -u dam-warning -n 50"
        did "the service started"
    fi
}

install_all() {
    say "Installing dam-warning:"
    need_python
    there=$(readlink "$venv" 2>/dev/null || :)
    if [ -e "$venv/bin/dam-warning" ] && [ "$there" != "$releases/$(release_name)" ]; then
        fail "another version of the program is installed: sh deploy/install.sh upgrade"
    fi
    build_release
    changed_program=0
    if [ "$there" = "$release" ]; then
        kept "$release"
    else
        switch_to "$release"
        changed_program=1
        did "$release installed"
    fi
    make_account
    make_configuration
    make_command
    make_units
    start_if_sound
    if [ "$changed" = 0 ]; then say "Nothing was changed."; fi
}

back_up() { # sets $backup; by the old program, which made the record
    backup=''
    if [ ! -e "$state/journal.sqlite3" ] && ! sound "$venv" >/dev/null 2>&1; then
        say "  no record yet, nothing to back up"
        return
    fi
    backup=$state/backups/before-upgrade-$(date -u +%Y%m%dT%H%M%SZ).sqlite3
    [ ! -d "$state" ] || { mkdir -p "$state/backups" && chmod 0700 "$state/backups"; }
    if words=$("$venv/bin/dam-warning" backup "$backup" --config "$config" 2>&1); then
        did "the record backed up: $backup"
        return
    fi
    case $words in *"there is no record"*) backup='' && say "  no record yet, nothing to back up" && return ;; esac
    say "  $words"
    backup=''
    [ "$with_backup" = no ] || fail "the record could not be backed up, so nothing was changed (--without-backup goes on)"
    say "  the record could NOT be backed up; going on without, as told"
}

upgrade() {
    [ -e "$venv/bin/dam-warning" ] || fail "dam-warning is not installed here: sh deploy/install.sh"
    say "Upgrading dam-warning:"
    need_python
    old=$(readlink "$venv")
    [ "$old" != "$releases/$(release_name)" ] || { say "This version is installed already." && install_all && return; }
    back_up
    build_release
    if ! verdict=$(sound "$release" 2>&1) && { [ -n "$backup" ] || sound "$old" >/dev/null 2>&1; }; then
        echo "$verdict" | sed 's/^/    /'
        rm -rf "$release"
        fail "the new program refuses the configuration, or does not run: the old one stays, and was not stopped"
    fi
    changed_program=1
    rm -rf "$program/units-before" && mkdir "$program/units-before"
    cp "$units"/dam-warning*.service "$program/units-before/" 2>/dev/null || :
    switch_to "$release"
    did "$release installed"
    make_account
    make_configuration
    make_command
    make_units
    if booted && systemctl -q is-active dam-warning.service; then
        systemctl restart dam-warning.service || go_back
        did "the service restarted"
    else
        start_if_sound
    fi
    for other in "$releases"/*; do
        if [ "$other" != "$release" ] && [ "$other" != "$old" ]; then rm -rf "$other"; fi
    done
    say "Upgraded. The program before is still in $old."
}

go_back() {
    say "  the new program did not start; going back to $old"
    switch_to "$old"
    cp "$program/units-before"/*.service "$units/" 2>/dev/null || :
    systemctl daemon-reload
    systemctl restart dam-warning.service && fail "the upgrade was undone and the service runs again: journalctl -u dam-warning"
    fail "the upgrade was undone, but THE SERVICE DOES NOT RUN: journalctl -u dam-warning -n 50. If the record is said to be
newer than the program, put the backup in its place: ${backup:-none was made}"
}

uninstall() {
    say "Removing dam-warning:"
    if booted && [ -e "$units/dam-warning.service" ]; then
        systemctl -q disable --now dam-warning.service && did "the service stopped"
    fi
    for file in "$units/multi-user.target.wants/dam-warning.service" "$units/dam-warning.service" \
        "$units/dam-warning-failed.service" "$units/dam-warning.service.d/nvidia.conf" \
        "$root/etc/sysusers.d/dam-warning.conf"; do
        if [ -e "$file" ] || [ -L "$file" ]; then rm -f "$file" && did "$file removed"; fi
    done
    if booted; then systemctl daemon-reload; fi
    if [ "$(readlink "$command" 2>/dev/null)" = "$venv/bin/dam-warning" ]; then rm -f "$command" && did "$command removed"; fi
    if [ -d "$program" ]; then rm -rf "$program" && did "$program removed"; fi
    if [ "$changed" = 0 ]; then say "Nothing was installed."; fi
    say "Kept, for you to remove or keep: the record and models in $state, the configuration in $config,"
    say "what a drop-in of yours holds in $units/dam-warning.service.d, and the account dam-warning, whose they are."
}

case $action in
install) install_all ;;
upgrade) upgrade ;;
uninstall) uninstall ;;
esac
