#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Guests saved, restored and reverted to a snapshot are placed anew.
. "$(dirname "$0")/lib.sh"
rig_need sqlite3 qemu-img
rig_standard a
check "the enforcer comes up" rig_enforcer_start a || exit
check "a dedicated guest starts" rig_guest a db1 vcpus=1
own=$(rig_affinity a db1 vcpu 0)
rest=$(rig_cpus without "$own")

check "it is saved" rig_virsh a save db1 /run/db1.save
check "its CPU goes back within ten seconds" rig_wait 14 assert_status a cpus.dedicated ""
check "it is restored" rig_virsh a restore /run/db1.save
check "and pinned again" assert_affinity a db1 vcpu 0 "$(rig_guest_status a db1 cpus)"
rig_virsh a managedsave db1 >/dev/null
check "from a managed save too" rig_virsh a start db1
check "it is pinned" assert_affinity a db1 vcpu 0 "$(rig_guest_status a db1 cpus)"
rig_virsh a destroy db1 >/dev/null

# A shared guest that was saved alone comes back beside a dedicated one.
check "a shared guest starts" rig_guest a web1 vcpus=1
check "is saved" rig_virsh a save web1 /run/web1.save
check "a dedicated one takes its CPU" rig_virsh a start db1
own=$(rig_affinity a db1 vcpu 0)
rest=$(rig_cpus without "$own")
check "the shared one is restored" rig_virsh a restore /run/web1.save
check "beside it" assert_affinity a web1 vcpu 0 "$rest"
rig_virsh a destroy web1 >/dev/null
rig_virsh a destroy db1 >/dev/null

rig_exec a qemu-img create -q -f qcow2 /var/lib/libvirt/disk.qcow2 64M
check "a guest with a disk starts" rig_guest a db3 vcpus=1 devices="
    <disk type='file' device='disk'><driver name='qemu' type='qcow2'/>
    <source file='/var/lib/libvirt/disk.qcow2'/><target dev='vda' bus='virtio'/></disk>"
own=$(rig_affinity a db3 vcpu 0)
check "a snapshot is taken" rig_virsh a snapshot-create-as db3 one
check "it is reverted" rig_virsh a snapshot-revert db3 one
check "the guest runs" assert_state a db3 running
check "on its CPU" assert_affinity a db3 vcpu 0 "$own"
check "nothing is open" rig_wait 10 assert_no_drift a
