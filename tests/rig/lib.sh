# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Private libvirt hosts in namespaces of this machine, for tests on real guests. A host has its own
# mount, UTS, network, IPC, PID and cgroup namespaces: its own /run, /etc, /usr (overlaid), libvirt
# directories, cgroup roots, with virtpin installed at its real paths. Nothing of the machine itself
# is written to but cgroups named virtpin-rig-PID-HOST and a directory under $TMPDIR.
#
# A scenario sources this file and is one executable tests/rig/NN-name.sh:
#
#   . "$(dirname "$0")/lib.sh"
#   rig_need                          # skip unless root and the programs are here
#   rig_up a
#   rig_policy a db <<<$'[policy db]\nmatch-name = db*\nmode = enforce\nplacement = dedicated'
#   rig_guest a db1 vcpus=1
#   check "vCPU 0 is on its CPU" assert_affinity a db1 vcpu 0 1
#
# Checks print "ok NAME", "FAILED NAME: why" or "skip NAME: reason"; the scenario's exit status is
# set by the EXIT trap: 0 all ok, 1 a check failed, 77 skipped.
#
# Variables: BUILD (build), RIG_KEEP=1 (keep the logs' directory), RIG_OVERLAY=no (do without
# overlayfs), RIG_CACHE (where libvirt's probe of QEMU is kept, BUILD/rig), RIG_PATIENCE (1: a factor
# for every wait, on slow machines), RIG_VERBOSE=1.

set -u
export LC_ALL=C

RIG_SRC=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
BUILD=${BUILD:-build}
case $BUILD in /*) ;; *) BUILD=$RIG_SRC/$BUILD ;; esac
RIG_PATIENCE=${RIG_PATIENCE:-1}
RIG_CACHE=${RIG_CACHE:-$BUILD/rig}
# A libvirtd that is slow is not gone: virsh gives it up after half a minute, else.
RIG_VIRSH=(virsh -q)
[ "$RIG_PATIENCE" = 1 ] || RIG_VIRSH+=(-k 0)
# What a service manager gives its services, and no more.
RIG_ENV=(PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C)
RIG_SCENARIO=$(basename "$0" .sh)
RIG_DIR=
RIG_HOSTS=()
RIG_OK=0
RIG_FAILED=0
RIG_SKIPPED=0

# ---- results -------------------------------------------------------------------------------------

rig_say() {
    [ "${RIG_VERBOSE:-0}" = 0 ] || printf '# %s\n' "$*" >&2
}

ok() {
    RIG_OK=$((RIG_OK + 1))
    printf 'ok %s\n' "$1"
}

# failed NAME WHY...: the lines of WHY after the first are indented below it.
failed() {
    local name=$1
    shift
    RIG_FAILED=$((RIG_FAILED + 1))
    printf 'FAILED %s: %s\n' "$name" "$*" | sed '2,$s/^/    /'
}

skip() {
    local name=$1
    shift
    RIG_SKIPPED=$((RIG_SKIPPED + 1))
    printf 'skip %s: %s\n' "$name" "$*"
}

# check NAME COMMAND...: ok if the command ends with 0, else FAILED with what it printed.
check() {
    local name=$1 out
    shift
    if out=$("$@" 2>&1); then
        ok "$name"
    else
        failed "$name" "${out:-$* ended with an error and said nothing}"
        return 1
    fi
}

# check_not NAME COMMAND...: ok if the command fails.
check_not() {
    local name=$1 out
    shift
    if out=$("$@" 2>&1); then
        failed "$name" "$* was expected to fail, and said: $out"
        return 1
    fi
    ok "$name"
}

# rig_die TEXT...: the scenario cannot go on.
rig_die() {
    failed "$RIG_SCENARIO" "$*"
    exit 1
}

# rig_wait SECONDS COMMAND...: run until it ends with 0; the last output is shown when it never does.
rig_wait() {
    local seconds=$1 end out
    shift
    end=$((${EPOCHREALTIME/./} + seconds * RIG_PATIENCE * 1000000))
    until out=$("$@" 2>&1); do
        if [ "${EPOCHREALTIME/./}" -ge "$end" ]; then
            printf '%s: not within %s s: %s\n' "$*" "$seconds" "$out"
            return 1
        fi
        sleep 0.05
    done
    printf '%s' "$out"
}

# ---- what must be here ---------------------------------------------------------------------------

# rig_need [PROGRAM...]: skip the scenario with the reason where a private host cannot be made.
rig_need() {
    local missing='' p
    if [ "$(id -u)" != 0 ]; then
        rig_skip_all "needs root"
    fi
    for p in libvirtd virtlogd virsh qemu-system-x86_64 ip unshare nsenter findmnt setpriv "$@"; do
        command -v "$p" >/dev/null || [ -x "/usr/sbin/$p" ] || missing="$missing $p"
    done
    [ -z "$missing" ] || rig_skip_all "not installed:$missing"
    unshare -m -u -n -i -C true 2>/dev/null || rig_skip_all "no namespaces here"
    rig_cgroup_mounts | grep -q . || rig_skip_all "no cgroups here"
}

rig_skip_all() {
    skip "$RIG_SCENARIO" "$*"
    exit 77
}

# rig_need_built PROGRAM...: in the build directory
rig_need_built() {
    local p
    for p in "$@"; do
        [ -x "$BUILD/$p" ] || rig_skip_all "$BUILD/$p is not built"
    done
}

# ---- cgroups -------------------------------------------------------------------------------------

# Lines "TYPE OPTIONS TARGET" for mount(8), of every cgroup hierarchy mounted here.
rig_cgroup_mounts() {
    findmnt -rn -t cgroup,cgroup2 -o FSTYPE,FS-OPTIONS,TARGET | awk '
        seen[$3]++ { next }
        $1 == "cgroup2" { print $1, "rw", $3; next }
        { n = split($2, o, ","); keep = ""
          for (i = 1; i <= n; i++) {
              if (o[i] ~ /^(rw|ro|xattr|clone_children|noprefix|seclabel)$/ || o[i] ~ /^release_agent/) continue
              if (o[i] ~ /^name=/) o[i] = "none," o[i]
              keep = keep (keep == "" ? "" : ",") o[i]
          }
          print $1, keep, $3 }'
}

# The directory of our own group in the hierarchy of such a line: where the host's group goes (v1).
rig_own_group() {
    local type=$1 options=$2 target=$3 path
    if [ "$type" = cgroup2 ]; then
        echo "$target"
        return
    fi
    path=$(awk -F: -v want="${options#none,}" '$2 == want { print $3 }' /proc/self/cgroup)
    case $path in /..*) path=/ ;; esac
    echo "$target${path%/}"
}

# Make the host's groups; their directories go to the file $1/cgroups. $3: v2 or all, what it sees.
rig_make_cgroups() {
    local dir=$1 name=$2 type options target group
    rig_cgroup_mounts >"$dir/cgroup-mounts"
    while read -r type options target; do
        group=$(rig_own_group "$type" "$options" "$target")/virtpin-rig-$$-$name
        mkdir "$group" || return 1
        echo "$group" >>"$dir/cgroups"
        if [ -e "$group/cpuset.mems" ] && [ "$type" = cgroup ]; then
            cat "$(dirname "$group")/cpuset.cpus" >"$group/cpuset.cpus"
            cat "$(dirname "$group")/cpuset.mems" >"$group/cpuset.mems"
        fi
        if [ "$type" = cgroup2 ]; then
            rig_delegate "$target"
            mkdir "$group/daemons"
        fi
    done <"$dir/cgroup-mounts"
    # the host then sees that hierarchy alone, though its processes have groups in all
    [ "$3" != v2 ] || echo "cgroup2 rw /sys/fs/cgroup" >"$dir/cgroup-mounts"
}

# v2: give children the controllers that libvirt wants, as far as they are to be had.
rig_delegate() {
    local c
    for c in cpuset cpu memory io pids; do
        grep -qw "$c" "$1/cgroup.controllers" || continue
        grep -qw "$c" "$1/cgroup.subtree_control" || echo "+$c" >"$1/cgroup.subtree_control" || true
    done 2>/dev/null
}

# v2: a group with children that have controllers must hold no process itself.
rig_settle_cgroups() {
    local group pid
    while read -r group; do
        [ -d "$group/daemons" ] || continue
        for pid in $(cat "$group/cgroup.procs") $(cat "$group/cgroup.procs"); do
            echo "$pid" 2>/dev/null >"$group/daemons/cgroup.procs"
        done
        rig_delegate "$group"
    done <"$1/cgroups"
}

rig_remove_cgroups() {
    local group try
    [ -e "$1" ] || return 0
    while read -r group; do
        for try in 1 2 3 4 5 6 7 8 9 10; do
            [ -d "$group" ] || break
            find "$group" -depth -type d -exec rmdir {} + 2>/dev/null && break
            sleep "0.$try"
        done
        [ ! -d "$group" ] || printf '# rig: %s would not go\n' "$group" >&2
    done <"$1"
}

# Groups and directories left behind by a run that was killed with -9: their PID is gone.
rig_sweep_stale() {
    local group pid dir
    for dir in "${TMPDIR:-/tmp}"/virtpin-rig-*.??????; do
        pid=${dir##*/virtpin-rig-}
        [ ! -d "$dir" ] || [ -e "$dir/kept" ] || [ -d "/proc/${pid%%.*}" ] || rm -rf "$dir"
    done
    while read -r type options target; do
        for group in "$(rig_own_group "$type" "$options" "$target")"/virtpin-rig-*; do
            [ -d "$group" ] || continue
            pid=${group##*/virtpin-rig-}
            pid=${pid%%-*}
            [ -d "/proc/$pid" ] || find "$group" -depth -type d -exec rmdir {} + 2>/dev/null
        done
    done < <(rig_cgroup_mounts)
}

# ---- hosts ---------------------------------------------------------------------------------------

# The directory of one run, removed at the end; also what every host of it shares.
rig_begin() {
    [ -z "$RIG_DIR" ] || return 0
    RIG_DIR=$(mktemp -d "${TMPDIR:-/tmp}/virtpin-rig-$$.XXXXXX") || exit 1
    chmod 755 "$RIG_DIR"
    trap rig_end EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM HUP
    rig_sweep_stale
}

# What `make install` puts on a host, made once a run.
rig_tree() {
    if [ -z "${RIG_TREE:-}" ]; then
        RIG_TREE=$RIG_DIR/tree
        make -s -C "$RIG_SRC" install BUILD="$BUILD" PREFIX=/usr SYSCONFDIR=/etc \
            DESTDIR="$RIG_TREE" >"$RIG_DIR/install.log" 2>&1 ||
            rig_die "make install: $(tail -n 5 "$RIG_DIR/install.log")"
    fi
}

# rig_program NAME: the path of tests/rig/NAME.c, built
rig_program() {
    local program=$BUILD/tests/rig/$1
    if [ ! -x "$program" ]; then
        program=$RIG_DIR/$1
        [ -x "$program" ] ||
            ${CC:-cc} -O1 -std=gnu11 -D_GNU_SOURCE -o "$program" "$RIG_SRC/tests/rig/$1.c" ||
            rig_die "cannot build $1"
    fi
    echo "$program"
}

rig_overlay_works() {
    local t
    if [ -z "${RIG_OVERLAY:-}" ]; then
        t=$RIG_DIR/overlay-test
        mkdir -p "$t"
        RIG_OVERLAY=no
        unshare -m sh -c "mount -t tmpfs t '$t' && mkdir '$t/u' '$t/w' && mount -t overlay \
            -o 'lowerdir=/etc,upperdir=$t/u,workdir=$t/w' o /etc" 2>/dev/null && RIG_OVERLAY=yes
        export RIG_OVERLAY
    fi
}

# rig_up NAME [net] [install=no] [libvirtd=no] [kvm=yes] [cgroup=v2] [trace=no]
# A host with libvirtd running. net: it can reach the other net hosts of this run by name. cgroup=v2:
# of this machine's hierarchies it sees the v2 one alone (on a hybrid machine that has no cpuset).
rig_up() {
    local name=$1 dir tree='' libvirtd=yes kvm=no net=no cgroup=all trace=yes word end
    shift
    rig_begin
    dir=$RIG_DIR/$name
    if ! mkdir "$dir" "$dir/log" "$dir/pids" || ! mkfifo "$dir/fifo"; then
        rig_die "cannot make $dir"
    fi
    for word in "$@"; do
        case $word in
        install=no) tree=none ;;
        libvirtd=no) libvirtd=no ;;
        kvm=yes) kvm=yes ;;
        net) net=yes ;;
        cgroup=v2) cgroup=v2 ;;
        trace=no) trace=no ;;
        *) rig_die "rig_up: $word is not an option" ;;
        esac
    done
    if [ "$tree" = none ]; then
        tree=
    else
        rig_tree
        tree=$RIG_TREE
    fi
    rig_overlay_works
    RIG_HOSTS+=("$name")
    printf '%s=%q\n' RIG_TREE "$tree" RIG_KVM "$kvm" RIG_OVERLAY "$RIG_OVERLAY" \
        RIG_LOGSINK "$(rig_program logsink)" RIG_UUID "$(cat /proc/sys/kernel/random/uuid)" \
        RIG_CAPS "$RIG_CACHE/capabilities" RIG_TRACE "$trace" >"$dir/options"
    rig_make_cgroups "$dir" "$name" "$cgroup" || rig_die "cannot make cgroups for $name"

    rig_launch "$name" "$dir" &
    echo $! >"$dir/unshare.pid"
    end=$((SECONDS + 20 * RIG_PATIENCE))
    until [ -e "$dir/ready" ]; do
        if ! kill -0 "$(cat "$dir/unshare.pid")" 2>/dev/null || [ $SECONDS -ge $end ]; then
            rig_die "host $name did not come up: $(cat "$dir/log/host")"
        fi
        sleep 0.02
    done
    pgrep -P "$(cat "$dir/unshare.pid")" >"$dir/init.pid"
    rig_settle_cgroups "$dir"
    rig_exec "$name" ip link set lo up
    [ "$net" = no ] || rig_net "$name"
    [ "$libvirtd" = no ] || rig_libvirtd_start "$name"
}

# In a process of its own: into the host's cgroups, then into new namespaces. If the scenario is
# killed, so is this, and the PID namespace with all in it.
rig_launch() {
    local name=$1 dir=$2 group
    trap - EXIT INT TERM HUP
    while read -r group; do
        echo "$BASHPID" >"$group/cgroup.procs" || exit 1
    done <"$dir/cgroups"
    exec setpriv --pdeathsig KILL \
        unshare -m -u -n -i -C -p -f --kill-child --mount-proc --propagation private \
        env -i "${RIG_ENV[@]}" /bin/bash "$RIG_SRC/tests/rig/host.sh" "$name" "$dir" </dev/null >"$dir/log/host" 2>&1
}

# rig_install HOST: virtpin comes to a host that was made with install=no; libvirtd has to be
# restarted if there was no hook before.
rig_install() {
    rig_tree
    cp -a "$RIG_TREE/." "$(rig_root "$1")/"
}

rig_pid() {
    cat "$RIG_DIR/$1/init.pid"
}

# The host's file system as seen from outside: rig_root HOST prints a path to put before one.
rig_root() {
    echo "/proc/$(rig_pid "$1")/root"
}

# rig_exec HOST COMMAND...: run in the host's namespaces, working directory /.
rig_exec() {
    local pid
    pid=$(rig_pid "$1") || return 125
    shift
    env -i "${RIG_ENV[@]}" nsenter -t "$pid" -m -u -n -i -C -p -r -w -- "$@"
}

# rig_spawn HOST NAME COMMAND...: a daemon of the host, in its cgroups, output to log/NAME.
# rig_daemon_pid HOST NAME then prints its PID inside the host.
rig_spawn() {
    local host=$1 name=$2 dir=$RIG_DIR/$1 end=$((SECONDS + 10 * RIG_PATIENCE))
    shift 2
    rm -f "$dir/pids/$name"
    printf '%s' "$(printf '%q ' "$dir/pids/$name" "$dir/log/$name" "$@")"$'\n' >"$dir/fifo"
    until [ -e "$dir/pids/$name" ]; do
        [ $SECONDS -lt $end ] || { echo "$host: $name was not started"; return 1; }
        sleep 0.01
    done
}

rig_daemon_pid() {
    cat "$RIG_DIR/$1/pids/$2"
}

# rig_signal HOST NAME SIGNAL: to a daemon started by rig_spawn.
rig_signal() {
    rig_exec "$1" kill "-$3" "$(rig_daemon_pid "$1" "$2")"
}

# rig_reap HOST NAME [SECONDS]: wait until that daemon is gone.
rig_reap() {
    local proc end=$((SECONDS + ${3:-10} * RIG_PATIENCE))
    proc=$(rig_root "$1")/proc/$(rig_daemon_pid "$1" "$2")
    while [ -d "$proc" ]; do
        [ $SECONDS -lt $end ] || { echo "$2 on $1 does not end"; return 1; }
        sleep 0.02
    done
}

# ---- network: hosts on one bridge in a namespace that is nobody's ---------------------------------

rig_switch() {
    [ ! -e "$RIG_DIR/switch.pid" ] || return 0
    setpriv --pdeathsig KILL unshare -n sleep 86400 </dev/null >/dev/null 2>&1 &
    echo $! >"$RIG_DIR/switch.pid"
    local end=$((SECONDS + 5 * RIG_PATIENCE))
    while [ "$(readlink "/proc/$!/ns/net")" = "$(readlink /proc/self/ns/net)" ]; do
        [ $SECONDS -lt $end ] || rig_die "no network namespace"
        sleep 0.01
    done
    nsenter -t $! -n sh -c 'ip link add br0 type bridge && ip link set br0 up' ||
        rig_die "no bridge"
}

rig_net() {
    local name=$1 switch number h
    rig_switch
    switch=$(cat "$RIG_DIR/switch.pid")
    : >>"$RIG_DIR/net-hosts"
    number=$(($(wc -l <"$RIG_DIR/net-hosts") + 1))
    echo "10.99.0.$number $name" >>"$RIG_DIR/net-hosts"
    nsenter -t "$switch" -n sh -c "
        ip link add p$number type veth peer name eth0 netns $(rig_pid "$name") &&
        ip link set p$number master br0 up" || rig_die "no veth for $name"
    rig_exec "$name" sh -c "ip addr add 10.99.0.$number/24 dev eth0 && ip link set eth0 up" ||
        rig_die "no address for $name"
    for h in "${RIG_HOSTS[@]}"; do
        { echo "127.0.0.1 localhost"; cat "$RIG_DIR/net-hosts"; } >"$(rig_root "$h")/etc/hosts"
    done
}

# ---- libvirt -------------------------------------------------------------------------------------

rig_libvirtd_start() {
    local host=$1 root end=$((SECONDS + 10 * RIG_PATIENCE))
    root=$(rig_root "$host")
    rm -f "$root/run/libvirt/libvirt-sock" "$root/run/libvirtd.pid"
    if [ ! -S "$root/run/libvirt/virtlogd-sock" ]; then
        rig_spawn "$host" virtlogd /usr/sbin/virtlogd || rig_die "no virtlogd"
        until [ -S "$root/run/libvirt/virtlogd-sock" ]; do
            [ $SECONDS -lt $end ] || rig_die "no virtlogd: $(cat "$RIG_DIR/$host/log/virtlogd")"
            sleep 0.02
        done
    fi
    rig_spawn "$host" libvirtd /usr/sbin/libvirtd -l || rig_die "no libvirtd"
    until [ -S "$root/run/libvirt/libvirt-sock" ]; do
        [ $SECONDS -lt $end ] || rig_die "no libvirtd: $(cat "$RIG_DIR/$host/log/libvirtd")"
        sleep 0.02
    done
    rig_exec "$host" virsh -q list >/dev/null || rig_die "libvirtd on $host does not answer"
    rig_keep_capabilities "$host"
}

# libvirt's probe of QEMU takes seconds: kept for the next host; libvirt itself checks that it is
# still true.
rig_keep_capabilities() {
    local from tmp
    [ ! -d "$RIG_CACHE/capabilities" ] || return 0
    rig_exec "$1" virsh domcapabilities --virttype qemu >/dev/null 2>&1
    from=$(rig_root "$1")/var/cache/libvirt/qemu/capabilities
    mkdir -p "$RIG_CACHE"
    tmp=$(mktemp -d "$RIG_CACHE/new.XXXXXX")
    cp -a "$from/." "$tmp/"
    mv -T "$tmp" "$RIG_CACHE/capabilities" 2>/dev/null || rm -rf "$tmp"   # another was first
}

rig_libvirtd_stop() {
    rig_signal "$1" libvirtd TERM
    rig_reap "$1" libvirtd
}

rig_libvirtd_restart() {
    rig_libvirtd_stop "$1" && rig_libvirtd_start "$1"
}

# rig_virsh HOST ARGS...
rig_virsh() {
    local host=$1
    shift
    rig_exec "$host" "${RIG_VIRSH[@]}" "$@"
}

# rig_hook HOST NAME: the script on stdin becomes hooks/qemu.d/NAME; libvirtd has to be restarted if
# there was no hook when it started.
rig_hook() {
    local file
    file=$(rig_root "$1")/etc/libvirt/hooks/qemu.d/$2
    cat >"$file.new" && chmod 755 "$file.new" && mv "$file.new" "$file"
}

# ---- virtpin -------------------------------------------------------------------------------------

# rig_conf HOST FILE: stdin becomes /etc/virtpin/FILE, in one step.
rig_conf() {
    local file
    file=$(rig_root "$1")/etc/virtpin/$2
    mkdir -p "$(dirname "$file")"
    cat >"$file.new" && chmod 644 "$file.new" && mv "$file.new" "$file"
}

# rig_policy HOST NAME: stdin becomes policy.d/NAME.conf
rig_policy() {
    rig_conf "$1" "policy.d/$2.conf"
}

# rig_standard NAME [rig_up's options]: a host with the policies that most scenarios use. Guests named
# db* are dedicated, packed* dedicated with their emulator threads, web* shared, free* untouched.
rig_standard() {
    rig_need_built virtpin virtpind virtpin-hook virtpin-hook-worker
    rig_up "$@"
    rig_policy "$1" standard <<'CONF'
[policy database]
match-name = db*
mode = enforce
placement = dedicated

[policy packed]
base = database
match-name = packed*
mode = enforce
emulator = with-vcpus

[policy web]
match-name = web*
mode = enforce
placement = shared

[policy free]
match-name = free*
mode = enforce
placement = none
CONF
}

# rig_cpus [without LIST]: this machine's CPUs as a list
rig_cpus() {
    awk -v list="$(cat /sys/devices/system/cpu/online)" -v without="${2:-}" '
        function spread(text, set,   n, i, m, part, ends, c) {
            n = split(text, part, ",")
            for (i = 1; i <= n; i++) {
                m = split(part[i], ends, "-")
                for (c = ends[1] + 0; c <= ends[m] + 0; c++) { set[c]; if (c > top) top = c }
            }
        }
        BEGIN {
            spread(list, on); spread(without, off)
            for (c = 0; c <= top + 1; c++) {
                here = (c in on) && !(c in off)
                if (here && first == "") first = c
                if (!here && first != "") {
                    out = out (out == "" ? "" : ",") (first == c - 1 ? first : first "-" c - 1)
                    first = ""
                }
            }
            print out
        }'
}

# rig_enforcer_start HOST [ARGS...]
rig_enforcer_start() {
    local host=$1
    shift
    rig_spawn "$host" virtpind /usr/sbin/virtpind "$@" || return 1
    if ! rig_wait 10 rig_enforcer_up "$host" >/dev/null; then
        echo "virtpind on $host does not come up: $(tail -n 5 "$RIG_DIR/$host/log/virtpind")"
        return 1
    fi
}

rig_enforcer_up() {
    [ "$(rig_status "$1" enforcer.running)" = true ]
}

rig_enforcer_stop() {
    rig_signal "$1" virtpind TERM
    rig_reap "$1" virtpind
}

rig_enforcer_kill() {
    rig_signal "$1" virtpind KILL
    rig_reap "$1" virtpind
}

# What differs in a guest's first half second is its start's, not drift.
rig_settle() {
    sleep 0.8
    [ "$RIG_PATIENCE" = 1 ] || sleep "$RIG_PATIENCE"
}

# rig_log HOST [PATTERN]: what went to syslog and the journal of that host.
rig_log() {
    grep -e "${2:-}" "$RIG_DIR/$1/log/syslog"
}

# rig_status HOST PATH: one value of `virtpin status --json`
rig_status() {
    rig_exec "$1" virtpin status --json | rig_json "$2"
}

# rig_guest_status HOST GUEST PATH: one value of that guest's part of it; nothing if it has none
rig_guest_status() {
    rig_exec "$1" virtpin status --json | rig_json_where guests name "$2" "$3"
}

# rig_drift HOST KIND STATE PATH: one value of the last such record of `virtpin drift --json`
rig_drift() {
    rig_exec "$1" virtpin drift --json |
        rig_json_where drift "kind state" "$2 $3" "$4"
}

# rig_json_where ARRAY KEYS VALUES PATH: PATH of the last element of ARRAY whose KEYS have VALUES
rig_json_where() {
    local in=$RIG_DIR/json.$BASHPID k key=
    for k in $2; do
        key="$key${key:+ || ' ' || }json_extract(value, '\$.$k')"
    done
    cat >"$in"
    sqlite3 :memory: "select case json_type(value, '\$.$4') when 'true' then 'true'
            when 'false' then 'false' when 'null' then 'null'
            else json_extract(value, '\$.$4') end
        from json_each(cast(readfile('$in') as text), '\$.$1')
        where $key = '$3' order by key desc limit 1"
    rm -f "$in"
}

# rig_json PATH: one value out of JSON on stdin; PATH as SQLite's json_extract has it, without "$.".
rig_json() {
    local in=$RIG_DIR/json.$BASHPID status=0
    cat >"$in"
    sqlite3 :memory: "select json_extract(cast(readfile('$in') as text), '\$.$1'),
        json_type(cast(readfile('$in') as text), '\$.$1')" |
        awk -F'|' '{ t = $NF; sub(/\|[^|]*$/, "");
            if (t == "true" || t == "false" || t == "null") print t; else print }' || status=1
    rm -f "$in"
    return $status
}

# ---- guests --------------------------------------------------------------------------------------

# rig_guest_xml GUEST [vcpus=N] [current=N] [iothreads=N] [mem=MiB] [uuid=U] [type=qemu] [cpu=XML]
#   [title=T] [metadata=XML] [top=XML] [devices=XML] [kernel=F] [initrd=F] [append=LINE]
# A diskless q35 guest; top is put among the elements of <domain> (cputune, numatune, ...).
rig_guest_xml() {
    local name=$1 vcpus=1 current='' iothreads='' mem=64 uuid='' type=qemu cpu='' title=''
    local metadata='' top='' devices='' kernel='' initrd='' append='' word
    shift
    for word in "$@"; do
        case ${word%%=*} in
        vcpus | current | iothreads | mem | uuid | type | cpu | title | metadata | top | devices | \
            kernel | initrd | append) printf -v "${word%%=*}" '%s' "${word#*=}" ;;
        *) rig_die "rig_guest_xml: $word is not an option" ;;
        esac
    done
    printf "<domain type='%s'>\n  <name>%s</name>\n" "$type" "$name"
    [ -z "$uuid" ] || printf '  <uuid>%s</uuid>\n' "$uuid"
    [ -z "$title" ] || printf '  <title>%s</title>\n' "$title"
    [ -z "$metadata" ] || printf '  <metadata>%s</metadata>\n' "$metadata"
    printf "  <memory unit='MiB'>%s</memory>\n" "$mem"
    printf "  <vcpu placement='static' current='%s'>%s</vcpu>\n" "${current:-$vcpus}" "$vcpus"
    [ -z "$iothreads" ] || printf '  <iothreads>%s</iothreads>\n' "$iothreads"
    [ -z "$top" ] || printf '  %s\n' "$top"
    printf "  <os>\n    <type arch='x86_64' machine='q35'>hvm</type>\n"
    [ -z "$kernel" ] || printf '    <kernel>%s</kernel>\n' "$kernel"
    [ -z "$initrd" ] || printf '    <initrd>%s</initrd>\n' "$initrd"
    [ -z "$append" ] || printf '    <cmdline>%s</cmdline>\n' "$append"
    printf '  </os>\n  <features><acpi/></features>\n'
    [ -z "$cpu" ] || printf '  %s\n' "$cpu"
    printf "  <devices>\n    <emulator>%s</emulator>\n" "$(rig_emulator)"
    printf "    <controller type='usb' model='none'/>\n    <memballoon model='none'/>\n"
    [ -z "$devices" ] || printf '    %s\n' "$devices"
    printf '  </devices>\n</domain>\n'
}

rig_emulator() {
    if [ -x /usr/libexec/qemu-kvm ]; then
        echo /usr/libexec/qemu-kvm
    else
        echo /usr/bin/qemu-system-x86_64
    fi
}

# rig_define HOST GUEST [options]: define it (again).
rig_define() {
    local host=$1 file=/run/rig-$2.xml
    shift
    rig_guest_xml "$@" >"$(rig_root "$host")$file"
    rig_virsh "$host" define "$file" >/dev/null
}

# rig_guest HOST GUEST [options]: define and start; what virsh says is printed if it fails.
rig_guest() {
    rig_define "$@" && rig_virsh "$1" start "$2" >/dev/null
}

# rig_qemu_pid HOST GUEST: the PID inside the host
rig_qemu_pid() {
    sed -n "s/^<domstatus .* pid='\([0-9]*\)'.*/\1/p" "$(rig_root "$1")/run/libvirt/qemu/$2.xml"
}

# rig_tid HOST GUEST vcpu|iothread N, or emulator: the thread inside the host
rig_tid() {
    local root pid comm task
    root=$(rig_root "$1")
    pid=$(rig_qemu_pid "$1" "$2")
    [ -n "$pid" ] || { echo "guest $2 does not run on $1" >&2; return 1; }
    case $3 in
    emulator) echo "$pid"; return ;;
    vcpu) comm="CPU $4/*" ;;
    iothread) comm="IO iothread$4" ;;
    esac
    for task in "$root/proc/$pid/task"/*; do
        # shellcheck disable=SC2053
        if [[ $(cat "$task/comm" 2>/dev/null) == $comm ]]; then
            echo "${task##*/}"
            return
        fi
    done
    echo "guest $2 on $1 has no thread '$comm'" >&2
    return 1
}

# rig_affinity HOST GUEST ROLE [N]: the kernel's list for that thread
rig_affinity() {
    local tid
    tid=$(rig_tid "$@") || return 1
    sed -n 's/^Cpus_allowed_list:[[:space:]]*//p' \
        "$(rig_root "$1")/proc/$(rig_qemu_pid "$1" "$2")/task/$tid/status"
}

# rig_cpuset_dir HOST GUEST ROLE [N]: the cpuset group of that thread, as seen from outside
rig_cpuset_dir() {
    local tid file
    tid=$(rig_tid "$@") || return 1
    file=$(rig_root "$1")/proc/$(rig_qemu_pid "$1" "$2")/task/$tid/cgroup
    if findmnt -rn -t cgroup -o FS-OPTIONS | grep -qw cpuset; then
        echo "$(findmnt -rn -t cgroup -O cpuset -o TARGET | head -n 1)$(
            awk -F: '$2 == "cpuset" { print $3 }' "$file")"
    else
        echo "$(findmnt -rn -t cgroup2 -o TARGET | head -n 1)$(
            awk -F: '$1 == "0" { print $3 }' "$file")"
    fi
}

# rig_cpuset HOST GUEST ROLE [N]: what cpuset.cpus says there
rig_cpuset() {
    local dir
    dir=$(rig_cpuset_dir "$@") && cat "$dir/cpuset.cpus"
}

# rig_inner_cpuset_dir HOST GUEST ROLE [N]: the same directory by its path inside the host
rig_inner_cpuset_dir() {
    local dir
    dir=$(rig_cpuset_dir "$@") || return 1
    echo "$(findmnt -rn -T "$dir" -o TARGET)/${dir#*/virtpin-rig-"$$"-"$1"/}"
}

# ---- assertions: silent when true, else one line of what was expected and found -------------------

assert_eq() {
    [ "$2" = "$3" ] || { echo "$1: expected '$2', found '$3'"; return 1; }
}

# assert_match WHAT GLOB TEXT
assert_match() {
    # shellcheck disable=SC2053
    [[ $3 == $2 ]] || { echo "$1: expected '$2', found '$3'"; return 1; }
}

# assert_affinity HOST GUEST ROLE [N] LIST: both the thread's mask and its group's cpuset
assert_affinity() {
    local want=${*: -1} thread=("${@:1:$#-1}") mask cpus
    mask=$(rig_affinity "${thread[@]}" 2>&1) || { echo "$mask"; return 1; }
    cpus=$(rig_cpuset "${thread[@]}" 2>&1) || { echo "$cpus"; return 1; }
    [ "$mask" = "$want" ] && [ "$cpus" = "$want" ] && return 0
    echo "${thread[*]}: expected CPUs $want, found affinity $mask, cpuset $cpus"
    return 1
}

# assert_mask: the thread's mask alone
assert_mask() {
    local want=${*: -1} mask
    mask=$(rig_affinity "${@:1:$#-1}" 2>&1)
    [ "$mask" = "$want" ] || { echo "${*:1:$#-1}: expected affinity $want, found $mask"; return 1; }
}

# assert_state HOST GUEST "running"|"shut off"|...
assert_state() {
    local state
    state=$(rig_virsh "$1" domstate "$2" 2>&1 | head -n 1)
    assert_eq "state of $2 on $1" "$3" "$state"
}

# assert_status HOST PATH VALUE, assert_guest HOST GUEST PATH VALUE: as `virtpin status` has it
assert_status() {
    assert_eq "$2 in status of $1" "$3" "$(rig_status "$1" "$2")"
}

assert_guest() {
    assert_eq "$3 of guest $2 in status of $1" "$4" "$(rig_guest_status "$1" "$2" "$3")"
}

# assert_drift HOST KIND STATE: there is such a record; assert_no_drift HOST: none is open or contested
assert_drift() {
    [ -n "$(rig_drift "$1" "$2" "$3" guest)" ] ||
        { echo "no $3 $2 on $1, but: $(rig_exec "$1" virtpin drift 2>&1)"; return 1; }
}

assert_no_drift() {
    rig_exec "$1" virtpin drift
}

# assert_log HOST PATTERN: the host's syslog or journal has it
assert_log() {
    rig_log "$1" "$2" >/dev/null ||
        { echo "nothing logged on $1 matches '$2'; the last: $(tail -n 3 "$RIG_DIR/$1/log/syslog")"; return 1; }
}

# ---- the end -------------------------------------------------------------------------------------

# rig_down HOST: everything of it ends at once.
rig_down() {
    local name=$1 dir=$RIG_DIR/$1 pid h left=()
    for h in "${RIG_HOSTS[@]}"; do
        [ "$h" = "$name" ] || left+=("$h")
    done
    RIG_HOSTS=("${left[@]}")
    if [ -s "$dir/unshare.pid" ]; then
        pid=$(cat "$dir/unshare.pid")
        # The end of its PID 1 ends all processes of the namespace, before unshare hears of it.
        if [ -s "$dir/init.pid" ]; then
            kill -KILL "$(cat "$dir/init.pid")" 2>/dev/null
        else
            kill -KILL "$pid" 2>/dev/null
        fi
        wait "$pid" 2>/dev/null
    fi
    rig_remove_cgroups "$dir/cgroups"
    if [ "${RIG_KEEP:-0}" = 0 ] && [ "$RIG_FAILED" = 0 ]; then
        rm -rf "$dir"
    fi
}

rig_end() {
    local status=$? h
    trap '' INT TERM HUP
    trap - EXIT
    for h in "${RIG_HOSTS[@]}"; do
        rig_down "$h"
    done
    if [ -s "$RIG_DIR/switch.pid" ]; then
        kill -KILL "$(cat "$RIG_DIR/switch.pid")" 2>/dev/null
        wait "$(cat "$RIG_DIR/switch.pid")" 2>/dev/null
    fi
    if [ "${RIG_KEEP:-0}" != 0 ] || [ "$RIG_FAILED" != 0 ]; then
        : >"$RIG_DIR/kept"
        printf '# logs: %s/HOST/log\n' "$RIG_DIR"
    else
        rm -rf "$RIG_DIR"
    fi
    [ "$RIG_FAILED" = 0 ] || exit 1
    exit $status
}
