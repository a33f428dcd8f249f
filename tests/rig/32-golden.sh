#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# What the golden pairs say is what a guest gets: each that is distinct in its vCPUs, CPU, cells and
# tuning is defined and started, as far as this host offers its CPU, and asked what it has: libvirt's
# live XML, QEMU's own answer, and the guest's /proc/cpuinfo, topology and node files where it has a
# kernel.
# Variables: RIG_GOLDEN_SECONDS (25: how long to go on), RIG_GOLDEN_KERNELS (1: how many of the guests
# have a kernel; all), RIG_GOLDEN (names as guestcpu/numa-two, instead of all).
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/guest/lib.sh"
rig_need xmllint
rig_need_built virtpin-hook virtpin-hook-worker
rig_begin
RIG_KERNEL=$("$RIG_SRC/tests/rig/guest/image" 2>"$RIG_DIR/image.log") ||
    echo "# guests without a kernel: $(tail -n 1 "$RIG_DIR/image.log")"
rig_up a
root=$(rig_root a)
golden=$RIG_SRC/tests/unit/golden
kernels=${RIG_GOLDEN_KERNELS:-1}
[ "$kernels" != all ] || kernels=1000
[ -n "$RIG_KERNEL" ] || kernels=0

# The parts of a golden that make the guest. Pins name CPUs of another host, memory is less, and for
# host-passthrough, which only KVM has, stands maximum: vCPUs, cells and tuning are what is looked at.
# $2: the least that a cell is to have, in KiB, twice that where it is the only one; the others in
# proportion.
parts() {
    sed '/^#/d' "$1" |
        xmllint --xpath '/domain/vcpu[. > 0] | /domain/vcpus | /domain/cputune | /domain/features | /domain/cpu' - 2>/dev/null |
        sed -E 's/<(vcpupin|emulatorpin|iothreadpin|iothreadsched|emulatorsched)[^>]*\/>//g
            s/(<vcpu [^>]*)cpuset="[^"]*"/\1/; s/(<vcpu[^>]*>) *([0-9]+) */\1\2/; s/mode="host-passthrough"/mode="maximum"/' |
        awk -v need="$2" '
            function kib(text,  f) {
                split(text, f, "\"")
                return f[2] * (f[4] == "GiB" ? 1048576 : f[4] == "MiB" ? 1024 : 1)
            }
            { line[NR] = $0
              for (rest = $0; match(rest, cell); rest = substr(rest, RSTART + RLENGTH)) {
                  size = kib(substr(rest, RSTART, RLENGTH))
                  if (!least || size < least) least = size
                  cells++
              } }
            END {
                if (cells == 1) need *= 2
                for (i = 1; i <= NR; i++) {
                    while (match(line[i], cell)) {
                        part = int(kib(substr(line[i], RSTART, RLENGTH)) / least * need / 1024) * 1024
                        line[i] = substr(line[i], 1, RSTART - 1) " memory=@" part "@ unit=@KiB@" \
                            substr(line[i], RSTART + RLENGTH)
                    }
                    gsub("@", "\"", line[i]); print line[i]
                }
            }' cell=' memory="[0-9]+" unit="(KiB|GiB|MiB)"'
}

# What both the golden and the live XML say, in one line.
facts() {
    xmllint --xpath "concat('vCPUs ', /domain/vcpu, ' at boot ', /domain/vcpu/@current,
        ', sockets ', /domain/cpu/topology/@sockets, ' cores ', /domain/cpu/topology/@cores,
        ' threads ', /domain/cpu/topology/@threads, ', cells ', count(//numa/cell), ': ',
        //numa/cell[1]/@cpus, ' ', //numa/cell[2]/@cpus, ' ', //numa/cell[3]/@cpus, ' memory ',
        //numa/cell[1]/@memory, ' ', //numa/cell[2]/@memory, ' far ',
        //numa/cell[1]/distances/sibling[2]/@value, ', shares ', /domain/cputune/shares, ' period ',
        /domain/cputune/period, ' quota ', /domain/cputune/quota, ' scheduler ',
        /domain/cputune/vcpusched[1]/@scheduler, ', pmu ', /domain/features/pmu/@state, ' hint ',
        /domain/features/kvm/hint-dedicated/@state, ', plug ',
        count(/domain/vcpus/vcpu[@hotpluggable='yes']))" "$1" 2>&1
}
xml_value() {
    xmllint --xpath "string($1)" "$2" 2>/dev/null
}

# How many of a QEMU property's values there are: sockets, cells.
distinct() {
    grep -o "\"$1\":[0-9]*" <<<"$2" | sort -u | wc -l
}

# The answer of QEMU against the XML; vCPUs that are not plugged have no say.
qemu_agrees() {
    local xml=$1 cpus=$2 maximum current sockets cells
    maximum=$(xml_value /domain/vcpu "$xml")
    current=$(xml_value /domain/vcpu/@current "$xml")
    sockets=$(xml_value /domain/cpu/topology/@sockets "$xml")
    cells=$(xmllint --xpath 'count(//numa/cell)' "$xml")
    assert_eq "QEMU's vCPUs" "${current:-$maximum}" "$(grep -o '"qom-path"' <<<"$cpus" | wc -l)" || return 1
    [ -z "$current" ] || [ "$current" = "$maximum" ] || return 0
    [ -z "$sockets" ] || assert_eq "QEMU's sockets" "$sockets" "$(distinct socket-id "$cpus")" || return 1
    [ "$cells" = 0 ] || assert_eq "QEMU's nodes" "$cells" "$(distinct node-id "$cpus")"
}

# ---- inside ----

# Lines "WHAT VALUE" of what the guest's kernel has found.
inside() {
    # shellcheck disable=SC2016
    rig_ask a "$1" 'cd /sys/devices/system/cpu; echo processors $(grep -c "^processor" /proc/cpuinfo);' \
        'echo sockets $(cat cpu[0-9]*/topology/physical_package_id | sort -u | wc -l);' \
        'echo cores $(cat cpu[0-9]*/topology/thread_siblings_list | sort -u | wc -l);' \
        'for n in ../node/node[0-9]*; do echo node${n##*node} $(cat $n/cpulist);' \
        'echo far${n##*node} $(cat $n/distance); echo kib${n##*node} $(sed -n "s/.*MemTotal: *//p" $n/meminfo); done;' \
        'echo bits $(sed -n "s/^address sizes.*: \([0-9]*\) bits physical.*/\1/p" /proc/cpuinfo | head -n 1);' \
        '[ ! -e cpu0/cache/index0 ] || echo level3 $([ -e cpu0/cache/index3 ] && echo yes || echo no);' \
        'sed -n "s/^model name[^:]*: /model /p; s/^vendor_id[^:]*: /vendor /p; s/^flags[^:]*:/flags/p" /proc/cpuinfo | sort -u'
}
found() {
    sed -n "s/^$1 //p" "$RIG_DIR/inside"
}
has_flag() {
    [[ " $(found flags) " == *" $1 "* ]]
}

# The kernel's name of a feature, where it has another than QEMU.
flag_of() {
    case $1 in
    sse4.1) echo sse4_1 ;;
    sse4.2) echo sse4_2 ;;
    pclmuldq) echo pclmulqdq ;;
    *) echo "$1" ;;
    esac
}

# What TCG does not have, QEMU says, and goes on without.
features_agree() {
    local xml=$1 guest=$2 name
    for name in $(xmllint --xpath "/domain/cpu/feature[@policy='require']/@name" "$xml" 2>/dev/null | cut -d'"' -f2); do
        has_flag "$(flag_of "$name")" || grep -q "TCG doesn't support.*\.$name " "$RIG_DIR/a/log/qemu/$guest.log" ||
            { echo "required, and not there: $name"; return 1; }
    done
    for name in $(xmllint --xpath "/domain/cpu/feature[@policy='disable']/@name" "$xml" 2>/dev/null | cut -d'"' -f2); do
        ! has_flag "$(flag_of "$name")" || { echo "disabled, and there: $name"; return 1; }
    done
}

# Threads of a core are told by Intel's models, and AMD's that have topoext; the kernel takes them for
# cores, else.
topology_agrees() {
    local xml=$1 part sockets dies cores threads
    for part in sockets dies cores threads; do
        printf -v "$part" '%s' "$(xml_value "/domain/cpu/topology/@$part" "$xml")"
    done
    [ -n "$sockets" ] || return 0
    assert_eq "sockets inside" "$sockets" "$(found sockets)" || return 1
    [ "$(found vendor)" = GenuineIntel ] || has_flag topoext || cores=$((cores * threads))
    assert_eq "cores inside" $((sockets * ${dies:-1} * cores)) "$(found cores)"
}

nodes_agree() {
    local xml=$1 cell kib want has
    for cell in $(xmllint --xpath '//numa/cell/@id' "$xml" 2>/dev/null | cut -d'"' -f2); do
        want=$(xml_value "//numa/cell[@id='$cell']/@cpus" "$xml")
        assert_eq "vCPUs of node $cell inside" "$want" "$(found "node$cell")" || return 1
        want=$(xmllint --xpath "//numa/cell[@id='$cell']/distances/sibling/@value" "$xml" 2>/dev/null |
            cut -d'"' -f2 | tr '\n' ' ')
        [ -z "$want" ] || assert_eq "distances of node $cell inside" "${want% }" "$(found "far$cell")" || return 1
        # its kernel keeps some for itself, of a node that is small nearly all
        kib=$(xml_value "//numa/cell[@id='$cell']/@memory" "$xml") has=$(found "kib$cell")
        has=${has% kB}
        if [ "$has" -gt "$kib" ] || [ "$has" -lt $((kib / 2)) ]; then
            echo "node $cell has $has KiB inside, of $kib"
            return 1
        fi
    done
}

# Against the definition: the live XML has more features than QEMU gives under TCG.
guest_agrees() {
    local xml=$1 name=$2 maximum current want
    inside "$name" >"$RIG_DIR/inside"
    maximum=$(xml_value /domain/vcpu "$xml")
    current=$(xml_value /domain/vcpu/@current "$xml")
    assert_eq "processors inside" "${current:-$maximum}" "$(found processors)" || return 1
    features_agree "$xml" "$name" || return 1
    want=$(xml_value "/domain/cpu/maxphysaddr[@mode='emulate']/@bits" "$xml")
    [ -z "$want" ] || assert_eq "address bits inside" "$want" "$(found bits)" || return 1
    want=$(xml_value "/domain/cpu[@mode='custom']/model" "$xml")
    [ -z "$want" ] || assert_match "model inside" "*${want%%-*}*" "$(found model)" || return 1
    want=$(xml_value '/domain/cpu/cache/@mode' "$xml")
    case $want in
    disable) assert_match "L3 inside" '@(no|)' "$(found level3)" || return 1 ;;
    emulate) assert_match "L3 inside" '@(yes|)' "$(found level3)" || return 1 ;;
    esac
    [ -z "$current" ] || [ "$current" = "$maximum" ] || return 0
    topology_agrees "$xml" && nodes_agree "$xml"
}

# ---- each ----

# What TCG, this kernel or this libvirt do not offer. What is left is a failure.
not_offered='host-passthrough|incompatible with host CPU|doesn.t match specification|missing features'
not_offered="$not_offered|not supported|is not available|Operation not permitted|requires KVM|guest CPU|Unknown CPU model"

# The host's caches under TCG, with a CPU that has all that TCG has: the guest's programs abort.
no_boot=' guestcpu/nested-off '

# new_guest NAME PARTS KERNEL(yes|)
new_guest() {
    local memory
    memory=$(grep -o ' memory="[0-9]*"' <<<"$2" | cut -d'"' -f2 | awk '{ sum += $1 } END { if (NR) print sum }')
    printf "<domain type='qemu'>\n  <name>%s</name>\n  <memory unit='KiB'>%s</memory>\n" "$1" \
        "${memory:-$([ -z "$3" ] && echo 65536 || echo 262144)}"
    printf "%s\n  <os><type arch='x86_64' machine='q35'>hvm</type>" "$2"
    [ -z "$3" ] || printf "<kernel>/run/rig-kernel/vmlinuz</kernel><initrd>/run/rig-kernel/initrd</initrd><cmdline>%s</cmdline>" \
        "$RIG_KERNEL_LINE"
    printf "</os>\n  <devices>\n    <emulator>%s</emulator>\n" "$(rig_emulator)"
    [ -z "$3" ] || { rig_kernel_port a "$1"; rig_kernel_serial "$1" "${RIG_PORT_OF[a/$1]}"; }
    printf "    <controller type='usb' model='none'/>\n    <memballoon model='none'/>\n  </devices>\n</domain>\n"
}

try() {
    local file=$1 name=$2 kernel=$3 cell=16384 said live=$RIG_DIR/live.xml status=0
    if [ -n "$kernel" ]; then
        rig_kernel_files a
        cell=98304
    fi
    new_guest "$name" "$(parts "$file" $cell)" "$kernel" >"$root/run/golden.xml"
    if ! said=$(rig_virsh a "define /run/golden.xml; start $name" 2>&1); then
        rig_virsh a undefine "$name" >/dev/null 2>&1
        echo "$said"
        [[ $said =~ $not_offered ]] && return 77
        return 1
    fi
    rig_virsh a dumpxml "$name" >"$live"
    said=$(rig_virsh a qemu-monitor-command "$name" '{"execute":"query-cpus-fast"}')
    assert_eq "$name" "$(facts "$root/run/golden.xml")" "$(facts "$live")" && qemu_agrees "$live" "$said" || status=1
    if [ -n "$kernel" ] && [ "$status" = 0 ]; then
        { rig_kernel_up a "$name" && guest_agrees "$root/run/golden.xml" "$name"; } || status=1
    fi
    rig_virsh a "destroy $name; undefine $name" >/dev/null 2>&1
    return $status
}

# The most telling first, then all others that make another guest.
names=(guestcpu/numa-auto-two guestcpu/tuning-more-vcpus vcpus/all guestcpu/numa-topology vcpus/auto-siblings
    guestcpu/maximum guestcpu/tuning-changed vcpus/some-at-boot guestcpu/models-first vcpus/auto-windows
    guestcpu/numa-two guestcpu/tuning-new vcpus/hotplug guestcpu/numa-four guestcpu/tuning-schedulers
    guestcpu/check-new-mode guestcpu/pmu-new vcpus/more-with-auto guestcpu/tuning-rr-one-line
    guestcpu/features-new-cpu vcpus/plugs-one-at-boot guestcpu/numa-one guestcpu/nested-off-custom)
for name in "$golden"/{guestcpu,vcpus,rewrite}/*.ok; do
    name=${name#"$golden/"}
    names+=("${name%.ok}")
done
[ -z "${RIG_GOLDEN:-}" ] || read -r -a names <<<"$RIG_GOLDEN"

declare -A seen
started=0 unseen=0 with_kernel=0 absent=''
SECONDS=0
for name in "${names[@]}"; do
    made=$(parts "$golden/$name.ok" 65536)
    [ -n "$made" ] || continue   # unchanged
    [[ $made != *clusters=* ]] || continue   # libvirt 9.0 drops them, and then the vCPUs are too many
    made=$(sha256sum <<<"$made")
    [ -z "${seen[$made]:-}" ] || continue
    seen[$made]=yes
    if [ "$SECONDS" -ge "${RIG_GOLDEN_SECONDS:-25}" ]; then
        unseen=$((unseen + 1))
        continue
    fi
    kernel=
    [ "$with_kernel" -ge "$kernels" ] || [[ $no_boot == *" $name "* ]] || kernel=yes
    said=$(try "$golden/$name.ok" "g-${name#*/}" "$kernel" 2>&1)
    case $? in
    0)
        started=$((started + 1))
        with_kernel=$((with_kernel + ${#kernel} / 3))
        ok "$name: the guest is what the golden pair says${kernel:+, inside, too}"
        ;;
    77)
        absent="$absent $name"
        rig_say "$name: $said"
        ;;
    *) failed "$name: the guest is what the golden pair says" "$said" ;;
    esac
done
[ -z "$absent" ] || echo "# not offered by this host:$absent"
echo "# ${#seen[@]} distinct, $started started, $with_kernel of them with a kernel"
[ "$unseen" = 0 ] || echo "# no time for $unseen more of them; RIG_GOLDEN_SECONDS gives it"
check "some of them start here" test "$started" -gt 0
