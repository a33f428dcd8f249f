# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
# What may happen to the ledger while hook and enforcer use it.

# A shared guest is started again, which needs the ledger.
restart_web() {
    guest_down "$H" web1 >/dev/null
    must "a guest starts all the same" rig_virsh "$H" start web1
}

ledger_after() {
    restart_web
    soon "all is booked again" claims_settled "$H" && repairs
    must "the dedicated guest has not moved" assert_affinity "$H" db1 vcpu 0 "$OWN"
}

ledger_file() {
    draw_of ledger.db ledger.db ledger.db-wal ledger.db-shm ledger.lock
    FILE=$DRAWN
    SIZE=$(stat -c %s "$ROOT/run/virtpin/$FILE" 2>/dev/null || echo 0)
}

ledger_truncated() {
    ledger_file
    draw_of 0 1 100 512 4096 $((SIZE / 2)) $((SIZE > 0 ? SIZE - 1 : 0))
    note "$FILE of $SIZE bytes cut to $DRAWN"
    rig_exec "$H" truncate -s "$DRAWN" "/run/virtpin/$FILE"
    ledger_after
}

ledger_noise() {
    local at
    ledger_file
    draw $((SIZE > 4096 ? SIZE - 4096 : 1))
    at=$DRAWN
    note "4 KiB of noise into $FILE at $at"
    dd if=/dev/urandom of="$ROOT/run/virtpin/$FILE" bs=1 count=4096 seek="$at" conv=notrunc 2>/dev/null
    ledger_after
}

ledger_read_only() {
    rig_exec "$H" sh -c 'mount --bind /run/virtpin /run/virtpin &&
        mount -o remount,bind,ro /run/virtpin'
    restart_web
    must "the journal says that it cannot be written" rig_wait 10 log_since 'ead-only\|readonly\|cannot'
    must "no guest is lost" claim_alive
    rig_exec "$H" umount /run/virtpin
    soon "the guest has its place later" claims_settled "$H"
    repairs
}

ledger_deleted() {
    draw_of 'ledger.db*' ledger.db ledger.db-wal ledger.db-shm ledger.lock 'ledger*' '*'
    note "rm $DRAWN"
    rig_exec "$H" sh -c "cd /run/virtpin && rm -f $DRAWN"
    ledger_after
}

ledger_directory_deleted() {
    rig_exec "$H" rm -rf /run/virtpin
    ledger_after
}

run_files_deleted() {
    rig_exec "$H" sh -c 'rm -f /run/virtpin/*'
    soon "status finds the enforcer again" claims_settled "$H"
    soon "its lock is there" test -s "$ROOT/run/virtpin/enforcer.lock"
    must_not "a second one is refused" rig_exec "$H" timeout 5 virtpind
    ledger_after
}

# Full: libvirt itself cannot save a new guest's status then, so only what runs is looked at.
run_full() {
    local size used
    size=$(rig_exec "$H" df --output=size /run | tail -n 1 | tr -d ' ')
    used=$(rig_exec "$H" df --output=used /run | tail -n 1 | tr -d ' ')
    must "/run is made small" rig_exec "$H" mount -o "remount,size=$((used + 64))k" /run || return
    rig_exec "$H" sh -c 'cat /dev/zero >/run/filler' 2>/dev/null
    note "$(rig_exec "$H" df --output=avail /run | tail -n 1 | tr -d ' ') KiB free"
    sleep 0.7
    must "a vCPU is moved" narrow
    soon "and put back, though there is no room for a record" assert_affinity "$H" db1 vcpu 0 "$OWN"
    must "the journal has it" rig_wait 5 log_since 'vcpu 0'
    guest_down "$H" web1 >/dev/null
    if rig_virsh "$H" start web1 >/dev/null 2>&1; then
        note "web1 starts"
    else
        note "web1 is refused"
    fi
    must "the enforcer lives" daemon_lives "$H" virtpind
    must "no guest is lost" claim_alive
    rig_exec "$H" rm /run/filler
    rig_exec "$H" mount -o "remount,size=${size}k" /run
    guest_up "$H" web1 >/dev/null
    soon "with room again all is well" claims_settled "$H"
    repairs
}

fault ledger-truncated 8 "the ledger is cut while in use" ledger_truncated
fault ledger-noise 8 "noise is written into the ledger while in use" ledger_noise
fault ledger-read-only 8 "the ledger's directory is read-only" ledger_read_only
fault ledger-deleted 8 "the ledger is deleted while open" ledger_deleted
fault ledger-directory 8 "the ledger's directory is deleted" ledger_directory_deleted
fault run-files-deleted 8 "all files of the run directory are deleted" run_files_deleted
fault run-full 8 "/run is full" run_full
