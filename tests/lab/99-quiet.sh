#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# After all that: no denial, no crash, no failed unit, nothing left behind.
. "$(dirname "$0")/guest/lib.sh"
denied() {
    local new
    new=$(lab_denials | grep -vxFf /var/lib/lab/state/denials)
    [ -z "$new" ] || { echo "$new"; return 1; }
}
check "AppArmor denied nothing that it did not deny before" denied
crashed() {
    ! journalctl --no-pager -o cat | grep -E 'segfault|general protection|dumped core|stack smashing|code=dumped|Watchdog timeout'
}
check "nothing crashed" crashed
failed_units() {
    local units
    units=$(systemctl --failed --no-legend --plain)
    [ -z "$units" ] || { echo "$units"; return 1; }
}
check "no unit has failed" failed_units
# What a scenario has killed, or replaced by a version whose ledger it cannot read, ends on purpose.
restarts() {
    ! journalctl --no-pager -o cat -u virtpind | grep -v 'code=killed, status=9/KILL' |
        awk '/this program has been replaced|this program knows [0-9.]*: restart it/ { expected = 1 }
            /^Stopped|^Started/ { expected = 0 }
            !expected && /status=[1-9]|Failed with result .exit-code/' | grep .
}
check "virtpind never ended by itself" restarts
no_vm_groups() {
    ! find /sys/fs/cgroup -name 'machine-qemu*' | grep .
}
check "no group of a guest is left" no_vm_groups
