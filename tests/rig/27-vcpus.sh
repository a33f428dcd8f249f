#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The guest's vCPUs, their topology and the agent's channel: from one policy file to QEMU's command line.
. "$(dirname "$0")/lib.sh"
rig_need sqlite3 xmllint
rig_standard a
rig_policy a app <<'CONF'
[policy base]
mode = enforce
placement = shared
on-start = refuse
on-migrate = refuse

[policy plug]
base = base
match-name = plug*
vcpus = 4
vcpus-current = 2
vcpus-hotplug = yes
topology = auto
guest-agent = yes

[policy twin]
base = base
match-name = twin*
topology = auto
preferred-sockets = 2

[policy win]
base = base
match-name = win*
topology = auto
max-cores = 1
CONF
check "the enforcer comes up" rig_enforcer_start a || exit
root=$(rig_root a)

inactive() {
    rig_virsh a dumpxml --inactive --security-info "$1"
}
holds() {
    local name=$1 xml word
    shift
    xml=$(inactive "$name")
    for word; do
        [[ $xml == *"$word"* ]] || { echo "$name has no $word: $(sed -n '/<vcpu/p;/<topology/p' <<<"$xml")"; return 1; }
    done
}
cmdline() {
    tr '\0' ' ' <"$root/proc/$(rig_qemu_pid a "$1")/cmdline"
}
vcpu_threads() {
    assert_eq "vCPU threads of $1" "$2" "$(grep -c "<vcpu id='[0-9]*' pid=" "$root/run/libvirt/qemu/$1.xml")"
}

# libvirt completes a definition once; what is reverted to is what it then printed.
check "a definition" rig_define a plug1 vcpus=3
check "gets vCPUs, topology and channel" rig_wait 10 holds plug1 "current='2'>4</vcpu>" \
    "<vcpu id='1' enabled='yes' hotpluggable='yes'" "sockets='1'" "cores='4'" org.qemu.guest_agent.0
check "explained" rig_exec a virtpin explain plug1
check "it starts" rig_virsh a start plug1
line=$(cmdline plug1)
check "with one vCPU plugged at start, of four" assert_match "QEMU's command line" \
    '*-smp 1,maxcpus=4,sockets=1,*cores=4,threads=1*' "$line"
check "with the agent's channel" assert_match "QEMU's command line" '*org.qemu.guest_agent.0*' "$line"
check "two vCPUs run" vcpu_threads plug1 2
check "plugged up to four" rig_virsh a setvcpus plug1 4 --live
check "four vCPUs run" vcpu_threads plug1 4
unpluggable() {
    local count
    count=$(rig_virsh a dumpxml plug1 | grep -c "<vcpu id=.*enabled='yes' hotpluggable='yes'")
    assert_eq "vCPUs that can be unplugged" 3 "$count"
}
check "all but vCPU 0 can be unplugged" unpluggable
no_more() {
    ! rig_virsh a setvcpus plug1 5 --live 2>/dev/null
}
check "there is no fifth" no_more
# What was plugged since the boot is no reason to refuse it.
check "it is saved" rig_virsh a save plug1 /run/plug1.save
check "and restored" rig_virsh a restore /run/plug1.save
check "with its four vCPUs" vcpu_threads plug1 4
rig_virsh a destroy plug1 >/dev/null
check "at its next start" rig_virsh a start plug1
check "it has two again" vcpu_threads plug1 2
rig_virsh a destroy plug1 >/dev/null

check "it is reverted" rig_exec a virtpin revert plug1
back() {
    local xml
    xml=$(inactive plug1)
    [[ $xml == *"<vcpu placement='static'>3</vcpu>"* && $xml != *"<vcpus>"* && $xml != *"<topology"* &&
        $xml != *guest_agent* ]] || { echo "it has: $xml"; return 1; }
}
check "to what stood there" back

check "a definition" rig_define a twin1 vcpus=4
check "gets two sockets" rig_wait 10 holds twin1 "sockets='2'" "cores='2'"
check "it starts" rig_virsh a start twin1
check "with them" assert_match "QEMU's command line" '*-smp 4,sockets=2,*cores=2,threads=1*' "$(cmdline twin1)"
rig_virsh a destroy twin1 >/dev/null

check "a Windows guest" rig_define a win1 vcpus=8 metadata="<libosinfo:libosinfo \
xmlns:libosinfo='http://libosinfo.org/xmlns/libvirt/domain/1.0'><libosinfo:os id='http://microsoft.com/win/10'/>\
</libosinfo:libosinfo>"
check "gets the two sockets that it counts" rig_wait 10 holds win1 "sockets='2'" "cores='1'" "threads='4'"
