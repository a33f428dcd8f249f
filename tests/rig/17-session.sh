#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Session daemons run the same hooks as an ordinary user: the hook has no say there.
. "$(dirname "$0")/lib.sh"
rig_need
rig_standard a
root=$(rig_root a)
rig_guest_xml db1 >"$root/run/db1.xml"
chmod 644 "$root/run/db1.xml"
chmod 755 "$root/run"

as_user() {
    rig_exec a setpriv --reuid 65534 --regid 65534 --clear-groups "$@"
}
quiet() {
    local said
    said=$(as_user sh -c "/etc/libvirt/hooks/qemu.d/50-virtpin db1 $1 begin - </run/db1.xml" 2>&1) ||
        { echo "ended with $?: $said"; return 1; }
    assert_eq "what it says" "" "$said"
}
for op in prepare start started stopped release migrate restore reconnect attach something; do
    check "an ordinary user's hook is silent at $op" quiet $op
done
unknown() {
    local said
    said=$(rig_exec a sh -c "/etc/libvirt/hooks/qemu.d/50-virtpin db1 something begin - </run/db1.xml" 2>&1) ||
        { echo "ended with $?: $said"; return 1; }
    assert_eq "what it says" "" "$said"
}
check "so is root's at an operation that it does not know" unknown

mkdir -p "$root/run/user"
chown 65534:65534 "$root/run/user"
session() {
    as_user env HOME=/run/user XDG_RUNTIME_DIR=/run/user XDG_CONFIG_HOME=/run/user XDG_CACHE_HOME=/run/user \
        virsh -q -c qemu:///session create /run/db1.xml
}
check "a guest starts in a session daemon" session
