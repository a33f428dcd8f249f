#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Guests saved, restored and reverted to a snapshot are placed anew.
. "$(dirname "$0")/guest/lib.sh"
pool=$(lab_undivided)
check "the policies are sound" lab_db_and_web
check "a shared guest starts" lab_guest web1 vcpus=1
check "a dedicated guest starts" lab_guest db1 vcpus=2 firmware=yes
old=$(lab_cpus db1)
check "it is saved" virsh -q save db1 /var/lib/libvirt/qemu/db1.save
check "the pool has its CPUs again" lab_wait 14 assert_at web1 vcpu 0 "$pool"
check "another takes its place" lab_guest db2 vcpus=4
check "it is restored" virsh -q restore /var/lib/libvirt/qemu/db1.save
check "with a CPU for each vCPU" lab_one_each db1 2
check "beside the other" assert_disjoint "$(lab_cpus db1)" "$(lab_cpus db2)"
echo "# db1 was on $old, is on $(lab_cpus db1); db2 on $(lab_cpus db2)"
check "the shared guest is beside both" lab_wait 10 assert_at web1 vcpu 0 \
    "$(lab_minus "$pool" "$(lab_union "$(lab_cpus db1)" "$(lab_cpus db2)")")"
virsh -q destroy db2

check "a managed save" virsh -q managedsave db1
check "starts again" virsh -q start db1
check "with a CPU for each vCPU" lab_one_each db1 2
virsh -q destroy db1
virsh -q destroy web1

qemu-img create -q -f qcow2 /var/lib/libvirt/images/db3.qcow2 64M
check "a guest with a disk starts" lab_guest db3 vcpus=2 devices="
    <disk type='file' device='disk'><driver name='qemu' type='qcow2'/>
    <source file='/var/lib/libvirt/images/db3.qcow2'/><target dev='vda' bus='virtio'/></disk>"
own=$(lab_cpus db3)
check "a snapshot is taken" virsh -q snapshot-create-as db3 one
check "it is reverted" virsh -q snapshot-revert db3 one
check "the guest runs" assert_running db3
check "on the CPUs it had" assert_eq "CPUs" "$own" "$(lab_cpus db3)"
check "a CPU for each vCPU" lab_one_each db3 2
check "nothing is open" lab_wait 15 assert_calm
virsh -q destroy db3
virsh -q undefine --snapshots-metadata db3
rm -f /var/lib/libvirt/images/db3.qcow2 /var/lib/libvirt/qemu/db1.save
