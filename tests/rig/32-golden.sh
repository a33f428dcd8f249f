#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# What the golden pairs say is what a guest gets: each that is distinct in its vCPUs, CPU, cells and
# tuning is defined and started, as far as this host offers its CPU, and asked what it has: libvirt's
# live XML, and QEMU's own answer.
. "$(dirname "$0")/lib.sh"
rig_need xmllint
rig_need_built virtpin-hook virtpin-hook-worker
rig_up a
root=$(rig_root a)
golden=$RIG_SRC/tests/unit/golden

# The parts of a golden that make the guest. Pins name CPUs of another host, memory is less, and for
# host-passthrough, which only KVM has, stands maximum: vCPUs, cells and tuning are what is looked at.
parts() {
    sed '/^#/d' "$1" |
        xmllint --xpath '/domain/vcpu[. > 0] | /domain/vcpus | /domain/cputune | /domain/features | /domain/cpu' - |
        sed -E 's/<(vcpupin|emulatorpin|iothreadpin|iothreadsched|emulatorsched)[^>]*\/>//g
            s/(<vcpu [^>]*)cpuset="[^"]*"/\1/; s/mode="host-passthrough"/mode="maximum"/' |
        awk '{ while (match($0, / memory="[0-9]+" unit="(KiB|GiB|MiB)"/)) {
                   part = substr($0, RSTART, RLENGTH); split(part, f, "\"")
                   kib = f[2] * (f[4] == "GiB" ? 1048576 : f[4] == "MiB" ? 1024 : 1)
                   $0 = substr($0, 1, RSTART - 1) " memory=@" int(kib / 32) "@ unit=@KiB@" substr($0, RSTART + RLENGTH)
               }
               gsub("@", "\""); print }'
}

# What both the golden and the live XML say, in one line.
facts() {
    xmllint --xpath "concat('vCPUs ', /domain/vcpu, ' at boot ', /domain/vcpu/@current,
        ', sockets ', /domain/cpu/topology/@sockets, ' cores ', /domain/cpu/topology/@cores,
        ' threads ', /domain/cpu/topology/@threads, ', cells ', count(//numa/cell), ': ',
        //numa/cell[1]/@cpus, ' ', //numa/cell[2]/@cpus, ' ', //numa/cell[3]/@cpus, ' far ',
        //numa/cell[1]/distances/sibling[2]/@value, ', shares ', /domain/cputune/shares, ' period ',
        /domain/cputune/period, ' quota ', /domain/cputune/quota, ' scheduler ',
        /domain/cputune/vcpusched[1]/@scheduler, ', pmu ', /domain/features/pmu/@state, ' hint ',
        /domain/features/kvm/hint-dedicated/@state, ', plug ',
        count(/domain/vcpus/vcpu[@hotpluggable='yes']))" "$1" 2>&1
}

# How many of a QEMU property's values there are: sockets, cells.
distinct() {
    grep -o "\"$1\":[0-9]*" <<<"$2" | sort -u | wc -l
}

# The answer of QEMU against the XML; vCPUs that are not plugged have no say.
qemu_agrees() {
    local xml=$1 cpus=$2 maximum current sockets cells
    maximum=$(xmllint --xpath 'string(/domain/vcpu)' "$xml")
    current=$(xmllint --xpath 'string(/domain/vcpu/@current)' "$xml")
    sockets=$(xmllint --xpath 'string(/domain/cpu/topology/@sockets)' "$xml")
    cells=$(xmllint --xpath 'count(//numa/cell)' "$xml")
    assert_eq "QEMU's vCPUs" "${current:-$maximum}" "$(grep -o '"qom-path"' <<<"$cpus" | wc -l)" || return 1
    [ -z "$current" ] || [ "$current" = "$maximum" ] || return 0
    [ -z "$sockets" ] || assert_eq "QEMU's sockets" "$sockets" "$(distinct socket-id "$cpus")" || return 1
    [ "$cells" = 0 ] || assert_eq "QEMU's nodes" "$cells" "$(distinct node-id "$cpus")"
}

# What TCG, this kernel or this libvirt do not offer. What is left is a failure.
not_offered='host-passthrough|incompatible with host CPU|doesn.t match specification|missing features'
not_offered="$not_offered|not supported|is not available|Operation not permitted|requires KVM|guest CPU"

try() {
    local file=$1 name=$2 said live=$RIG_DIR/live.xml
    {
        printf "<domain type='qemu'>\n  <name>%s</name>\n  <memory unit='MiB'>64</memory>\n" "$name"
        parts "$file"
        printf "  <os><type arch='x86_64' machine='q35'>hvm</type></os>\n  <devices>\n"
        printf "    <emulator>%s</emulator>\n    <controller type='usb' model='none'/>\n" "$(rig_emulator)"
        printf "    <memballoon model='none'/>\n  </devices>\n</domain>\n"
    } >"$root/run/golden.xml"
    if ! said=$(rig_virsh a "define /run/golden.xml; start $name" 2>&1); then
        rig_virsh a undefine "$name" >/dev/null 2>&1
        [[ $said =~ $not_offered ]] && return 77
        echo "$said"
        return 1
    fi
    rig_virsh a dumpxml "$name" >"$live"
    said=$(rig_virsh a qemu-monitor-command "$name" '{"execute":"query-cpus-fast"}')
    rig_virsh a "destroy $name; undefine $name" >/dev/null 2>&1
    assert_eq "$name" "$(facts "$root/run/golden.xml")" "$(facts "$live")" && qemu_agrees "$live" "$said"
}

# The most telling first; the rest as far as RIG_GOLDEN_SECONDS (25) go.
count=0 started=0 unseen=0 absent=''
SECONDS=0
for name in guestcpu/numa-auto-two guestcpu/tuning-more-vcpus vcpus/all guestcpu/numa-topology vcpus/auto-siblings \
    guestcpu/maximum guestcpu/tuning-changed vcpus/some-at-boot guestcpu/models-first vcpus/auto-windows \
    guestcpu/numa-two guestcpu/tuning-new vcpus/hotplug guestcpu/numa-four guestcpu/tuning-schedulers \
    guestcpu/check-new-mode guestcpu/pmu-new vcpus/more-with-auto guestcpu/tuning-rr-one-line \
    guestcpu/features-new-cpu vcpus/plugs-one-at-boot guestcpu/numa-one guestcpu/nested-off-custom; do
    if [ "$SECONDS" -ge "${RIG_GOLDEN_SECONDS:-25}" ]; then
        unseen=$((unseen + 1))
        continue
    fi
    count=$((count + 1))
    said=$(try "$golden/$name.ok" "g-${name#*/}" 2>&1)
    case $? in
    0)
        started=$((started + 1))
        ok "$name: the guest is what the golden pair says"
        ;;
    77) absent="$absent $name" ;;
    *) failed "$name: the guest is what the golden pair says" "$said" ;;
    esac
done
[ -z "$absent" ] || echo "# not offered by this host:$absent"
[ "$unseen" = 0 ] || echo "# no time for $unseen more of them; RIG_GOLDEN_SECONDS gives it"
check "some of them start here" test "$started" -gt 1
