# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Guests with a kernel on a private host, for scenarios that have sourced tests/rig/lib.sh: what a
# guest sees of its CPU, and vCPUs that it gives back.
#
#   . "$(dirname "$0")/guest/lib.sh"
#   rig_need_kernel
#   rig_kernel_define a guest1 vcpus=4 current=2 && rig_virsh a start guest1
#   rig_kernel_up a guest1
#   rig_ask a guest1 cat /proc/cpuinfo

RIG_KERNEL=
RIG_PORT=4600   # loopback of the host's own network namespace
declare -A RIG_PORT_OF

# rig_need_kernel: skip the scenario where there is no such guest.
rig_need_kernel() {
    rig_begin
    if ! RIG_KERNEL=$("$RIG_SRC/tests/rig/guest/image" 2>"$RIG_DIR/image.log"); then
        rig_skip_all "$(tail -n 1 "$RIG_DIR/image.log")"
    fi
}

# The serial console as a TCP port, and what it says in a log of the host's.
rig_kernel_serial() {
    printf "<serial type='tcp'><source mode='bind' host='127.0.0.1' service='%s'/>" "$2"
    printf "<protocol type='raw'/><log file='/var/log/libvirt/%s.console' append='off'/></serial>" "$1"
}

# rig_kernel_files HOST: kernel and initrd in its /run/rig-kernel. libvirt gives the files to the user
# that QEMU runs as, so each host has its own.
rig_kernel_files() {
    local root
    root=$(rig_root "$1")
    [ ! -e "$root/run/rig-kernel/initrd" ] || return 0
    mkdir -p "$root/run/rig-kernel"
    cp "$RIG_KERNEL/vmlinuz" "$RIG_KERNEL/initrd" "$root/run/rig-kernel/"
}

# rig_kernel_port HOST GUEST: $RIG_PORT_OF[HOST/GUEST] is its console's
rig_kernel_port() {
    [ -z "${RIG_PORT_OF[$1/$2]:-}" ] || return 0
    RIG_PORT=$((RIG_PORT + 1))
    RIG_PORT_OF[$1/$2]=$RIG_PORT
}

# no_timer_check: on a busy machine the kernel may miss the ticks that it counts at boot, and panics.
RIG_KERNEL_LINE='console=ttyS0 quiet no_timer_check'

# rig_kernel_define HOST GUEST [rig_guest_xml's options]: its kernel, console and memory are added.
rig_kernel_define() {
    local host=$1 guest=$2 word devices=
    local -a words=(mem=192)
    shift 2
    rig_kernel_files "$host" || return 1
    rig_kernel_port "$host" "$guest"
    for word; do
        case $word in
        devices=*) devices=${word#*=} ;;
        *) words+=("$word") ;;
        esac
    done
    rig_define "$host" "$guest" kernel=/run/rig-kernel/vmlinuz initrd=/run/rig-kernel/initrd \
        append="$RIG_KERNEL_LINE" "${words[@]}" \
        devices="$(rig_kernel_serial "$guest" "${RIG_PORT_OF[$host/$guest]}")$devices"
}

# rig_kernel_up HOST GUEST: wait until it has booted.
rig_kernel_up() {
    rig_wait 60 rig_kernel_said "$1" "$2" >/dev/null || {
        echo "guest $2 does not boot: $(tail -n 5 "$RIG_DIR/$1/log/$2.console")"
        return 1
    }
}

rig_kernel_said() {
    grep -a -m 1 'guest is up' "$RIG_DIR/$1/log/$2.console"
}

# rig_ask HOST GUEST COMMAND...: a line for the guest's shell; prints what it printed and ends with
# its status. A guest that came from another host has the port that it was defined with there.
rig_ask() {
    local host=$1 guest=$2 port question
    shift 2
    port=$(sed -n "s/.*<source mode='bind' host='127.0.0.1' service='\([0-9]*\)'.*/\1/p" \
        "$(rig_root "$host")/run/libvirt/qemu/$guest.xml" | head -n 1)
    [ -n "$port" ] || { echo "guest $guest does not run on $host, or has no console"; return 1; }
    question=$BASHPID$RANDOM
    # shellcheck disable=SC2016
    rig_exec "$host" /bin/bash -c '
        exec 3<>"/dev/tcp/127.0.0.1/$1" || exit 125
        printf "%s %s\n" "$2" "$3" >&3
        while IFS= read -r -t "$4" line <&3; do
            line=${line%$'"'\r'"'}
            case $line in
            "<$2") asked=yes ;;
            "$2>"*) exit "${line#*>}" ;;
            *) [ -z "$asked" ] || printf "%s\n" "$line" ;;
            esac
        done
        echo "guest does not answer: $3"
        exit 125' ask "$port" "$question" "$*" "$((20 * RIG_PATIENCE))"
}
