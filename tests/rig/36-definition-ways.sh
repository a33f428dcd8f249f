#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# However a definition comes to be or changes it is rewritten, soon: virsh define and edit, other calls
# of the API, a file put back from a backup.
. "$(dirname "$0")/lib.sh"
rig_need sqlite3
rig_standard a
rig_conf a virtpin.conf <<<$'[host]\nsweep = 1s\ncontested = 50/1s'
rig_policy a app <<'CONF'
[policy app]
match-name = app*
mode = enforce
cpu-mode = custom
cpu-models = Westmere
topology = sockets=1 cores=2 threads=1
guest-agent = yes
CONF
check "the enforcer comes up" rig_enforcer_start a || exit
root=$(rig_root a)
file=$root/etc/libvirt/qemu/app1.xml

inactive() {
    rig_virsh a dumpxml --inactive "$1" 2>&1
}
meets() {
    local xml
    xml=$(inactive "$1")
    [[ $xml == *Westmere* && $xml == *"cores='2'"* && $xml == *guest_agent* ]] ||
        { echo "its <cpu> is: $(grep -A 3 '<cpu' <<<"$xml")"; return 1; }
}
has() {
    [[ $(inactive "$1") == *"$2"* ]] || { echo "no '$2' in the definition of $1"; return 1; }
}

# ---- defined: how long it takes, by the file that libvirt writes ----
written() {
    grep -q Westmere "$root/etc/libvirt/qemu/$1.xml" 2>/dev/null
}
took=()
for i in 1 2 3 4 5 6 7; do
    rig_guest_xml "app-t$i" vcpus=2 >"$root/run/app.xml"
    rig_virsh a define /run/app.xml >/dev/null
    began=${EPOCHREALTIME/./}
    rig_wait 10 written "app-t$i" >/dev/null || break
    took+=($(((${EPOCHREALTIME/./} - began) / 1000)))
done
median=$(printf '%s\n' "${took[@]}" | sort -n | sed -n 4p)
echo "# rewritten ${took[*]} ms after virsh define, looked at every 50 ms"
check "rewritten within a second of virsh define" test "${median:-9999}" -lt $((1000 * RIG_PATIENCE))

# ---- virsh edit: both the edit and the policy ----
check "a definition" rig_define a app1 vcpus=2
check "is rewritten" rig_wait 10 meets app1
cp "$file" "$RIG_DIR/backup.xml"
# edited SED...: virsh edit by such a script
edited() {
    printf '#!/bin/sh\nexec sed -i' >"$root/run/editor"
    printf " -e '%s'" "$@" >>"$root/run/editor"
    echo " \"\$1\"" >>"$root/run/editor"
    chmod 755 "$root/run/editor"
    rig_exec a env EDITOR=/run/editor VISUAL=/run/editor virsh -q edit app1
}
check "virsh edit takes the model away" \
    edited 's/Westmere/Nehalem/' 's,</name>,</name><title>edited</title>,'
check "it is back" rig_wait 10 meets app1
check "the edit stays" has app1 '<title>edited</title>'
check "virsh edit takes all of <cpu> away" edited '/<cpu mode/,/<.cpu>/d'
check "it is back" rig_wait 10 meets app1

# ---- other calls ----
printf "<channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0'/></channel>" >"$root/run/channel.xml"
check "the agent's channel is detached" rig_virsh a detach-device app1 /run/channel.xml --config
check "it is back" rig_wait 10 meets app1
check "more vCPUs than the topology has are set" \
    rig_exec a sh -c 'virsh -q setvcpus app1 4 --config --maximum 2>&1 || true'
check "the definition meets the policy" rig_wait 10 meets app1
rig_guest_xml app3 vcpus=2 uuid="$(cat /proc/sys/kernel/random/uuid)" >"$root/run/app3.xml"
check "a transient guest is started" rig_virsh a create /run/app3.xml
check "and defined while it runs" rig_virsh a define /run/app3.xml
check "is rewritten for its next start" rig_wait 10 meets app3
check "and runs on" assert_state a app3 running
rig_virsh a destroy app3 >/dev/null

# ---- a file from a backup, with libvirtd down, then with the enforcer down, too ----
restore() {
    sed -e 's/Westmere/qemu64/' -e 's,</name>,</name><title>backup</title>,' "$RIG_DIR/backup.xml" >"$file"
}
rig_libvirtd_stop a
restore
check "libvirtd comes back" rig_libvirtd_start a
check "with the file of the backup" rig_wait 10 has app1 '<title>backup</title>'
check "which is rewritten" rig_wait 20 meets app1
check "and stays otherwise" has app1 '<title>backup</title>'
rig_enforcer_stop a
rig_libvirtd_stop a
restore
check "libvirtd comes back alone" rig_libvirtd_start a
check "with the file of the backup" rig_wait 10 has app1 qemu64
check "the enforcer, too" rig_enforcer_start a
check "it is rewritten" rig_wait 20 meets app1
restore
check "the file is put back under libvirtd, which is told to reload" rig_signal a libvirtd HUP
check "it is rewritten" rig_wait 20 meets app1
check "nothing is left open" rig_wait 10 assert_no_drift a
