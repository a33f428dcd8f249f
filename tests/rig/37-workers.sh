#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Threads that QEMU makes while it runs (VNC, block I/O, migration, multifd) stay with the emulator,
# off the guest's own CPU, on either end of a migration; one that somebody moves there is put back.
. "$(dirname "$0")/lib.sh"
rig_need sqlite3 qemu-img
rig_standard a net
rig_standard b net
check "an enforcer on each" rig_enforcer_start a || exit
check "of two hosts" rig_enforcer_start b || exit
rig_exec a sh -c "qemu-img create -q -f raw /var/lib/libvirt/disk.img 64M"
rig_exec b sh -c "qemu-img create -q -f raw /var/lib/libvirt/disk.img 64M"
disk="<disk type='file' device='disk'><driver name='qemu' type='raw' cache='none' io='threads'/>
    <source file='/var/lib/libvirt/disk.img'/><target dev='vda' bus='virtio'/></disk>
    <graphics type='vnc' port='5901' autoport='no' listen='127.0.0.1'/>"
check "a dedicated guest starts" rig_guest a db1 vcpus=1 mem=1024 devices="$disk"
own=$(rig_affinity a db1 vcpu 0)
rest=$(rig_cpus without "$own")
pid=$(rig_qemu_pid a db1)
rig_settle

# threads HOST PID: "name CPUs" of all but the vCPUs
threads() {
    rig_exec "$1" bash -c "for t in /proc/$2/task/*; do
        read -r name <\$t/comm && case \$name in CPU*) continue;; esac &&
        while read -r key value; do
            [ \$key != Cpus_allowed_list: ] || echo \"\$name \$value\"
        done <\$t/status
    done 2>/dev/null"
}
# with_emulator HOST PID NAME: there is such a thread, and all have the emulator's CPUs
with_emulator() {
    local list
    list=$(threads "$1" "$2")
    [[ $'\n'$list == *$'\n'$3* ]] || { echo "no thread $3: $list"; return 1; }
    ! echo "$list" | grep -v " $rest\$"
}
check "VNC's worker is there" rig_wait 5 with_emulator a "$pid" vnc_worker
reads() {
    for _ in 1 2 3 4; do
        rig_virsh a qemu-monitor-command db1 --hmp "qemu-io libvirt-1-format \"aio_read 0 1M\"" >/dev/null
    done
    with_emulator a "$pid" worker
}
check "workers of block I/O come with the emulator's CPUs" rig_wait 10 reads
worker() {
    local t
    for t in "$(rig_root a)/proc/$pid/task"/*; do
        [ "$(cat "$t/comm" 2>/dev/null)" != "$1" ] || { echo "${t##*/}"; return; }
    done
}
tid=$(worker vnc_worker)
check "somebody moves VNC's worker to the guest's own CPU" rig_exec a sh -c \
    "taskset -cp $own $tid 2>&1 || echo 'its group does not let him'"
check "it is back" rig_wait 10 with_emulator a "$pid" vnc_worker

# Slow enough to be looked at. The loop ends with QEMU.
rig_virsh a migrate-setspeed db1 1 >/dev/null
sample() {
    rig_spawn "$1" "sample-$2" bash -c "while [ -d /proc/$3 ]; do
        for t in /proc/$3/task/*; do
            read -r name <\$t/comm && while read -r key value; do
                [ \$key != Cpus_allowed_list: ] || echo \"\$name \$value\"
            done <\$t/status
        done; sleep 0.05; done 2>/dev/null | sort -u >/run/sample-$2"
}
sample a source "$pid"
rig_virsh a migrate --live --unsafe --parallel --parallel-connections 2 db1 qemu+tcp://b/system tcp://b \
    >"$RIG_DIR/migrate.log" 2>&1 &
job=$!
there() { [ -e "$(rig_root b)/run/libvirt/qemu/db1.xml" ] && [ -n "$(rig_qemu_pid b db1)" ]; }
check "a migration with multifd begins" rig_wait 20 there
there_pid=$(rig_qemu_pid b db1)
receiving() { with_emulator b "$there_pid" multifdrecv; }
received=0
rig_wait 10 receiving >"$RIG_DIR/receiving.log" && received=1
rig_virsh a migrate-setspeed db1 4096 >/dev/null
wait "$job"
check "it ends" assert_eq "virsh migrate" "0 " "$? $(cat "$RIG_DIR/migrate.log")"
rig_reap a sample-source
# a thread that ends while it is looked at has no CPUs
seen() { rig_exec a grep "^$1 [0-9]" /run/sample-source; }
check "the source's migration thread had the emulator's CPUs" assert_eq "CPUs" "$rest" \
    "$(seen live_migration | awk '{ print $NF }')"
check "so had multifd's" assert_eq "CPUs" "$rest" \
    "$(seen 'multifdsend_[01]' | awk '{ print $NF }' | sort -u)"
if [ "$received" = 1 ]; then
    check "and the target's" true
else
    skip "multifd's threads on the target" "they were gone: $(tail -n 1 "$RIG_DIR/receiving.log")"
fi
there_rest=$(rig_cpus without "$(rig_affinity b db1 vcpu 0)")
check "there the emulator is off the guest's CPU" assert_affinity b db1 emulator "$there_rest"
check "nothing is open on a" rig_wait 10 assert_no_drift a
check "nor on b" rig_wait 10 assert_no_drift b
