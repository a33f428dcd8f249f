# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# For scenarios that run inside the lab's host: a real systemd host, so everything is done as its
# operator would. A scenario is tests/lab/NN-name.sh, sources this file, and says "ok NAME",
# "FAILED NAME: why" or "skip NAME: reason". When it ends, its guests and policies go; its exit
# status is 0, 1 (a check failed), 77 (skipped), or 99 (reboot, then call it again with the argument
# that lab_reboot was given).
#
#   . "$(dirname "$0")/guest/lib.sh"
#   lab_policy <<<$'[policy db]\nmatch-name = db*\nmode = enforce\nplacement = dedicated'
#   lab_guest db1 vcpus=2
#   check "on one node" assert_on_node db1 "$(lab_node_of "$(lab_cpus db1)")"

set -u
export LC_ALL=C
LAB_SCENARIO=$(basename "$0" .sh)
LAB_FAILED=0
LAB_WORK=/run/lab-work
LAB_ROM=/var/lib/libvirt/lab.rom
# A factor for every wait.
LAB_PATIENCE=${LAB_PATIENCE:-3}
mkdir -p "$LAB_WORK"

# ---- results -------------------------------------------------------------------------------------

ok() {
    printf 'ok %s\n' "$1"
}

failed() {
    local name=$1
    shift
    LAB_FAILED=$((LAB_FAILED + 1))
    printf 'FAILED %s: %s\n' "$name" "$*" | sed '2,$s/^/    /'
    lab_state >>"/var/lib/lab/result/$LAB_SCENARIO.state" 2>&1
}

skip() {
    local name=$1
    shift
    printf 'skip %s: %s\n' "$name" "$*"
}

lab_skip_all() {
    skip "$LAB_SCENARIO" "$*"
    exit 77
}

lab_die() {
    failed "$LAB_SCENARIO" "$*"
    exit 1
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

check_not() {
    local name=$1 out
    shift
    if out=$("$@" 2>&1); then
        failed "$name" "$* was expected to fail, and said: $out"
        return 1
    fi
    ok "$name"
}

# lab_wait SECONDS COMMAND...: until it ends with 0; its last output is shown when it never does.
lab_wait() {
    local seconds=$1 end out
    shift
    end=$((${EPOCHREALTIME/./} + seconds * LAB_PATIENCE * 1000000))
    until out=$("$@" 2>&1); do
        if [ "${EPOCHREALTIME/./}" -ge "$end" ]; then
            printf '%s: not within %s s: %s\n' "$*" $((seconds * LAB_PATIENCE)) "$out"
            return 1
        fi
        sleep 0.2
    done
    printf '%s' "$out"
}

# lab_state: what there is to know after a failure.
lab_state() {
    echo "==== $(date -Is)"
    virtpin status
    virtpin drift
    virsh list --all
    for f in /proc/[0-9]*/task/*/comm; do
        case $(cat "$f" 2>/dev/null) in
        qemu-system* | CPU\ * | IO\ *)
            echo "${f%/comm} $(cat "$f") $(awk '/Cpus_allowed_list/ { print $2 }' "${f%comm}status")" \
                "$(cat "${f%comm}cgroup")"
            ;;
        esac
    done
    grep -r . /sys/fs/cgroup/machine.slice /sys/fs/cgroup/cpuset/machine.slice 2>/dev/null |
        grep -E 'cpuset\.(cpus|cpus\.effective|mems):' | sort
    echo "online $(cat /sys/devices/system/cpu/online)"
}

# lab_denials: what AppArmor has denied so far, without what differs from time to time
lab_denials() {
    journalctl -k --no-pager -o cat | grep 'apparmor="DENIED"' |
        sed 's/.*apparmor=/apparmor=/; s/pid=[0-9]* //; s/libvirt-[0-9a-f-]*/libvirt-UUID/g' | sort -u
}

# ---- CPU lists -----------------------------------------------------------------------------------
# In the shell itself: under emulation each process costs.

# lab_expand LIST: its numbers, separated by blanks
lab_expand() {
    local part n out=
    for part in ${1//,/ }; do
        for ((n = ${part%-*}; n <= ${part#*-}; n++)); do
            out="$out $n"
        done
    done
    echo "${out# }"
}

# lab_list NUMBER...: a list as the kernel writes it
lab_list() {
    local n a='' b='' out='' set=()
    for n; do
        set[n]=1
    done
    for n in "${!set[@]}"; do
        if [ -n "$b" ] && [ "$n" = $((b + 1)) ]; then
            b=$n
            continue
        fi
        [ -z "$a" ] || out="$out,$a$([ "$a" = "$b" ] || echo "-$b")"
        a=$n b=$n
    done
    [ -z "$a" ] || out="$out,$a$([ "$a" = "$b" ] || echo "-$b")"
    echo "${out#,}"
}

# lab_minus LIST LIST, lab_union LIST LIST
lab_minus() {
    local n set=()
    for n in $(lab_expand "$1"); do
        set[n]=1
    done
    for n in $(lab_expand "$2"); do
        unset "set[$n]"
    done
    lab_list "${!set[@]}"
}

lab_union() {
    # shellcheck disable=SC2046
    lab_list $(lab_expand "$1") $(lab_expand "$2")
}

lab_online() {
    echo "$(</sys/devices/system/cpu/online)"
}

# lab_undivided: where shared guests are while nothing is dedicated: isolated CPUs are never theirs
lab_undivided() {
    lab_minus "$(lab_online)" "$(</sys/devices/system/cpu/isolated)"
}

lab_count() {
    # shellcheck disable=SC2046
    set -- $(lab_expand "$1")
    echo $#
}

# lab_siblings CPU: the online threads of its core
lab_siblings() {
    echo "$(<"/sys/devices/system/cpu/cpu$1/topology/thread_siblings_list")"
}

# lab_node_of LIST: the nodes of those CPUs, as a list
lab_node_of() {
    local cpu node all=()
    for cpu in $(lab_expand "$1"); do
        for node in "/sys/devices/system/cpu/cpu$cpu"/node*; do
            all+=("${node##*/node}")
        done
    done
    lab_list "${all[@]}"
}

# lab_cores_of LIST: the first threads of the cores of those CPUs
lab_cores_of() {
    local cpu siblings all=()
    for cpu in $(lab_expand "$1"); do
        siblings=$(lab_expand "$(lab_siblings "$cpu")")
        all+=("${siblings%% *}")
    done
    lab_list "${all[@]}"
}

# lab_whole LIST: all online threads of their cores
lab_whole() {
    local cpu all=()
    for cpu in $(lab_expand "$1"); do
        # shellcheck disable=SC2207
        all+=($(lab_expand "$(lab_siblings "$cpu")"))
    done
    lab_list "${all[@]}"
}

# What `dedicated = auto` always leaves shared: the core of CPU 0.
lab_shared_core() {
    lab_siblings 0
}

# ---- virtpin and libvirt -------------------------------------------------------------------------

# lab_policy: from stdin, in place of those of before; checked, and in force when this returns
lab_policy() {
    cat >/etc/virtpin/policy.d/lab.conf
    virtpin policy check || return 1
    lab_wait 5 lab_policy_loaded
}

# lab_db_and_web [LINE...]: db* dedicated, with those lines too, and web* in the shared pool
lab_db_and_web() {
    lab_policy < <(
        printf '[policy db]\nmatch-name = db*\nmode = enforce\nplacement = dedicated\n'
        [ $# = 0 ] || printf '%s\n' "$@"
        printf '\n[policy web]\nmatch-name = web*\nmode = enforce\nplacement = shared\n'
    )
}

lab_policy_loaded() {
    local want
    want=$(virtpin policy check --json | lab_json hash)
    assert_eq "the policy in force" "$want" "$(lab_status policy.hash)"
}

# lab_conf: more lines for [host] from stdin, until the scenario ends. A hook has longer than the
# default's two seconds, which an emulated host on a busy machine can miss.
lab_conf() {
    {
        printf '[host]\nhook-limit = 30s\n'
        cat
    } >/etc/virtpin/virtpin.conf
}

# lab_json PATH: one value out of JSON on stdin; PATH as SQLite's json_extract has it, without "$."
lab_json() {
    local in=$LAB_WORK/json.$BASHPID
    cat >"$in"
    sqlite3 :memory: "select case json_type(j, '\$.$1') when 'true' then 'true'
        when 'false' then 'false' when 'null' then 'null' else json_extract(j, '\$.$1') end
        from (select cast(readfile('$in') as text) as j)"
    rm -f "$in"
}

# lab_json_where ARRAY KEYS VALUES WANTED: of the last element whose KEYS have VALUES (words)
lab_json_where() {
    local in=$LAB_WORK/json.$BASHPID k key=
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

# lab_status PATH, lab_guest_status GUEST PATH, lab_drift "GUEST KIND STATE" PATH
lab_status() {
    virtpin status --json | lab_json "$1"
}

lab_guest_status() {
    virtpin status --json | lab_json_where guests name "$1" "$2"
}

lab_drift() {
    virtpin drift --json --since 1970-01-01T00:00:00Z | lab_json_where drift "guest kind state" "$1" "$2"
}

# lab_guest_xml GUEST [vcpus=N] [current=N] [iothreads=N] [mem=MiB] [top=XML] [devices=XML]
#   [metadata=XML] [firmware=yes] [confined=yes]: a diskless q35 guest. Without firmware its ROM halts at
#   once: a real one is busy for half a minute, emulated twice. Confined: under AppArmor, whose parser
#   takes most of the time of a start here.
lab_guest_xml() {
    local name=$1 vcpus=1 current='' iothreads='' mem=64 top='' devices='' metadata='' word
    local firmware=no confined=no
    shift
    for word in "$@"; do
        case ${word%%=*} in
        vcpus | current | iothreads | mem | top | devices | metadata | firmware | confined)
            printf -v "${word%%=*}" '%s' "${word#*=}" ;;
        *) lab_die "lab_guest_xml: $word is not an option" ;;
        esac
    done
    printf "<domain type='qemu'>\n  <name>%s</name>\n" "$name"
    [ -z "$metadata" ] || printf '  <metadata>%s</metadata>\n' "$metadata"
    printf "  <memory unit='MiB'>%s</memory>\n" "$mem"
    printf "  <vcpu placement='static' current='%s'>%s</vcpu>\n" "${current:-$vcpus}" "$vcpus"
    [ -z "$iothreads" ] || printf '  <iothreads>%s</iothreads>\n' "$iothreads"
    [ -z "$top" ] || printf '  %s\n' "$top"
    printf "  <os><type arch='x86_64' machine='q35'>hvm</type>"
    [ "$firmware" = yes ] || printf "<loader readonly='yes' type='rom'>%s</loader>" "$LAB_ROM"
    printf '</os>\n  <features><acpi/></features>\n'
    printf "  <devices>\n    <emulator>/usr/bin/qemu-system-x86_64</emulator>\n"
    printf "    <controller type='usb' model='none'/>\n    <memballoon model='none'/>\n"
    [ -z "$devices" ] || printf '    %s\n' "$devices"
    printf '  </devices>\n'
    [ "$confined" = yes ] || printf "  <seclabel type='none' model='apparmor'/>\n"
    printf '</domain>\n'
}

# 64 KiB with cli, hlt and a jump back where a processor begins.
[ -e "$LAB_ROM" ] || {
    head -c 65520 /dev/zero
    printf '\372\364\353\375'
    head -c 12 /dev/zero
} >"$LAB_ROM"

lab_define() {
    lab_guest_xml "$@" >"$LAB_WORK/$1.xml"
    virsh -q define "$LAB_WORK/$1.xml" >/dev/null
}

# lab_guest GUEST [options]: define and start
lab_guest() {
    lab_define "$@" && virsh -q start "$1" >/dev/null
}

# Patience has three seconds for a guest that just started.
lab_settle() {
    sleep 4
}

# ---- what is in force ----------------------------------------------------------------------------

lab_qemu() {
    local pid=
    [ ! -s "/run/libvirt/qemu/$1.pid" ] || read -r pid <"/run/libvirt/qemu/$1.pid"
    echo "$pid"
}

# lab_tid GUEST vcpu|iothread N, or emulator
lab_tid() {
    local pid task comm name
    pid=$(lab_qemu "$1")
    [ -n "$pid" ] || { echo "guest $1 does not run" >&2; return 1; }
    case $2 in
    emulator) echo "$pid"; return ;;
    vcpu) comm="CPU $3/" ;;
    iothread) comm="IO iothread$3" ;;
    esac
    for task in "/proc/$pid/task"/*; do
        read -r name <"$task/comm" || continue
        if [[ $name == "$comm"* ]]; then
            echo "${task##*/}"
            return
        fi
    done
    echo "guest $1 has no thread '$comm'" >&2
    return 1
}

# lab_allowed TID: the kernel's list for it. Read in one go: the lines before it change their lengths.
lab_allowed() {
    local lines line
    mapfile -t lines <"/proc/$1/status" || return 1
    for line in "${lines[@]}"; do
        [[ $line != Cpus_allowed_list:* ]] || echo "${line#*:$'\t'}"
    done
}

# lab_mask GUEST ROLE [N]
lab_mask() {
    local tid
    tid=$(lab_tid "$@") && lab_allowed "$tid"
}

# lab_group GUEST ROLE [N]: the directory of its cpuset group
lab_group() {
    local tid controllers path
    tid=$(lab_tid "$@") || return 1
    while IFS=: read -r _ controllers path; do
        case ,$controllers, in
        *,cpuset,*) echo "/sys/fs/cgroup/cpuset$path"; return ;;
        ,,) [ -d /sys/fs/cgroup/cpuset ] || echo "/sys/fs/cgroup$path" ;;
        esac
    done <"/proc/$tid/cgroup"
}

lab_cpuset() {
    local dir
    dir=$(lab_group "$@") && echo "$(<"$dir/cpuset.cpus")"
}

# lab_cpus GUEST: of all its vCPUs together
lab_cpus() {
    local pid task name all=()
    pid=$(lab_qemu "$1")
    for task in "/proc/$pid/task"/*; do
        read -r name <"$task/comm" || continue
        # shellcheck disable=SC2207
        [[ $name != CPU\ * ]] || all+=($(lab_expand "$(lab_allowed "${task##*/}")"))
    done
    lab_list "${all[@]}"
}

# lab_one_each GUEST N: N vCPUs, a CPU each in mask and cpuset, no two the same
lab_one_each() {
    local n mask all=()
    for ((n = 0; n < $2; n++)); do
        mask=$(lab_mask "$1" vcpu "$n") || return 1
        [[ $mask =~ ^[0-9]+$ ]] || { echo "vCPU $n of $1 may run on $mask"; return 1; }
        assert_eq "cpuset of vCPU $n of $1" "$mask" "$(lab_cpuset "$1" vcpu "$n")" || return 1
        all[mask]=1
    done
    assert_eq "different CPUs of $1" "$2" "${#all[@]}"
}

# ---- assertions: silent when true ----------------------------------------------------------------

assert_eq() {
    [ "$2" = "$3" ] || { echo "$1: expected '$2', found '$3'"; return 1; }
}

assert_match() {
    # shellcheck disable=SC2053
    [[ $3 == $2 ]] || { echo "$1: expected '$2', found '$3'"; return 1; }
}

# assert_at GUEST ROLE [N] LIST: mask, and what its cpuset comes to
assert_at() {
    local want=${*: -1} thread=("${@:1:$#-1}") mask dir cpus
    mask=$(lab_mask "${thread[@]}" 2>&1) || { echo "$mask"; return 1; }
    dir=$(lab_group "${thread[@]}") || return 1
    cpus=$(<"$dir/cpuset.cpus")
    # on v2 an empty list is the parent's
    [ -n "$cpus" ] || cpus=$(<"$dir/cpuset.cpus.effective")
    [ "$mask" = "$want" ] && [ "$cpus" = "$want" ] && return 0
    echo "${thread[*]}: expected CPUs $want, found affinity $mask, cpuset $cpus"
    return 1
}

assert_mask() {
    assert_eq "affinity of ${*:1:$#-1}" "${*: -1}" "$(lab_mask "${@:1:$#-1}" 2>&1)"
}

assert_status() {
    assert_eq "$1 in status" "$2" "$(lab_status "$1")"
}

assert_guest() {
    assert_eq "$2 of $1 in status" "$3" "$(lab_guest_status "$1" "$2")"
}

assert_drift() {
    [ -n "$(lab_drift "$1 $2 $3" id)" ] || { echo "no $3 $2 drift of $1, but:"; virtpin drift; return 1; }
}

# assert_calm: nothing open or contested, and status agrees
assert_calm() {
    virtpin drift && virtpin status
}

assert_running() {
    assert_eq "state of $1" running "$(virsh domstate "$1" 2>&1 | head -n 1)"
}

assert_disjoint() {
    assert_eq "$1 without $2" "$1" "$(lab_minus "$1" "$2")"
}

# ---- the project's own commands ------------------------------------------------------------------

# lab_bootstrap demo|check: in the clean checkout; what it says is shown as it goes. An emulated host
# is slow: time limits are raised, fuzzing is short, and the compilers answer from a cache that was
# filled with this checkout outside.
lab_bootstrap() {
    local log=/var/lib/lab/result/bootstrap-$1.log
    if [ -d /var/lib/lab/ccache ]; then
        # there is no cc in that directory
        export CC=gcc CCACHE_DIR=/var/lib/lab/ccache CCACHE_NOHASHDIR=1 CCACHE_COMPILERCHECK=content \
            CCACHE_SLOPPINESS=locale
        PATH=/usr/lib/ccache:$PATH
    fi
    export RIG_PATIENCE=${RIG_PATIENCE:-6} RIG_TIMEOUT=${RIG_TIMEOUT:-1800}
    export UNIT_TIMEOUT=${UNIT_TIMEOUT:-1800} CK_TIMEOUT_MULTIPLIER=${CK_TIMEOUT_MULTIPLIER:-20}
    # no host in this one, and no campaigns
    export FUZZ_SECONDS=${FUZZ_SECONDS:-60} FUZZ_RUNS=${FUZZ_RUNS:-100} FUZZ_TIMEOUT=${FUZZ_TIMEOUT:-600}
    export TEST_PARTS=${TEST_PARTS:-unit fuzz rig}
    cd /var/lib/lab/checkout || exit 1
    check "nothing has to be installed" lab_nothing_missing
    setsid -w packaging/bootstrap "$1" 2>&1 </dev/null | tee "$log" | sed -u 's/^/    /'
    check "packaging/bootstrap $1 ends with success" assert_eq status 0 "${PIPESTATUS[0]}"
    echo "# $(ccache --print-stats 2>/dev/null | awk '/^(direct_cache_hit|preprocessed_cache_hit|cache_miss)\t/' |
        tr '\t\n' '= ')"
    check "and nothing failed" grep -E '[1-9][0-9]* (checks ok, 0 FAILED|passed, 0 failed)' \
        <(tail -n 2 "$log")
    exit "$LAB_FAILED"
}

lab_nothing_missing() {
    ! packaging/bootstrap list | grep missing
}

# ---- the end -------------------------------------------------------------------------------------

# Call this scenario again after a reboot, with the argument $1.
lab_reboot() {
    echo "$1" >/var/lib/lab/phase
    trap - EXIT
    [ "$LAB_FAILED" = 0 ] || touch /var/lib/lab/phase-failed
    exit 99
}

# All guests, policies and bookings of a scenario go, so that the next one starts on a fresh host.
lab_clean() {
    local name cpu
    for cpu in /sys/devices/system/cpu/cpu[1-9]*/online; do
        [ "$(cat "$cpu")" = 1 ] || [[ $(cat /proc/cmdline) == *nosmt* ]] || echo 1 >"$cpu"
    done
    for name in $(virsh -q list --all --name); do
        virsh -q destroy "$name"
        virsh -q managedsave-remove "$name"
        virsh -q undefine --snapshots-metadata "$name"
    done >/dev/null 2>&1
    rm -f /etc/virtpin/policy.d/* /etc/virtpin/disabled
    lab_conf </dev/null
    systemctl stop virtpind 2>/dev/null
    rm -rf /run/virtpin/* /var/lib/virtpin/*
    systemctl start virtpind
}

lab_end() {
    local status=$?
    trap - EXIT
    if [ "$LAB_FAILED" != 0 ] || { [ "$status" != 0 ] && [ "$status" != 77 ]; }; then
        mkdir -p "/var/lib/lab/result/$LAB_SCENARIO"
        cp -a /run/virtpin /var/lib/virtpin /var/log/libvirt /etc/virtpin \
            "/var/lib/lab/result/$LAB_SCENARIO/" 2>/dev/null
    fi
    lab_clean
    [ "$LAB_FAILED" = 0 ] || exit 1
    exit "$status"
}
[ "${LAB_NO_CLEAN:-0}" = 1 ] || [ -e /var/lib/lab/checkout ] || trap lab_end EXIT
