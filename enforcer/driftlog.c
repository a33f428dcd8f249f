/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "enforcer/driftlog.h"

#include <inttypes.h>
#include <stdio.h>
#include <syslog.h>

#include "host/journal.h"

/* The texts that the fields point to. */
struct texts {
    char thread[32], index[16], wanted[256], found[256], tid[16], count[16], us[24];
    char pid[16], uid[24], by[224];
};

static void cpus_text(const struct vp_cpuset *cpus, const char *words, char *buf, size_t size)
{
    if (words[0])
        snprintf(buf, size, "%s", words);
    else
        vp_cpuset_print(cpus, buf, size);
}

static void by_text(const struct vp_culprit *by, struct texts *texts)
{
    if (by->pid <= 0 && !by->comm[0]) {
        snprintf(texts->by, sizeof(texts->by), "by whom is not known");
        return;
    }
    snprintf(texts->pid, sizeof(texts->pid), "%d", (int)by->pid);
    snprintf(texts->by, sizeof(texts->by), "%s %s (pid %d%s%s)", by->exact ? "by" : "probably by",
             by->comm[0] ? by->comm : "a process that has ended", (int)by->pid,
             by->unit[0] ? ", " : "", by->unit);
}

static void fill_texts(const struct vp_drift_record *record, struct texts *texts)
{
    bool numbered = record->role == VP_ROLE_VCPU || record->role == VP_ROLE_IOTHREAD;

    *texts = (struct texts){.thread = ""};
    snprintf(texts->index, sizeof(texts->index), "%u", record->index);
    snprintf(texts->thread, sizeof(texts->thread), "%s%s%s", vp_role_word(record->role),
             numbered ? " " : "", numbered ? texts->index : "");
    cpus_text(&record->wanted, record->wanted_text, texts->wanted, sizeof(texts->wanted));
    cpus_text(&record->found, record->found_text, texts->found, sizeof(texts->found));
    snprintf(texts->tid, sizeof(texts->tid), "%d", (int)record->tid);
    snprintf(texts->count, sizeof(texts->count), "%u", record->count);
    if (record->repair_us >= 0)
        snprintf(texts->us, sizeof(texts->us), "%" PRId64, record->repair_us);
    if (record->by.uid >= 0)
        snprintf(texts->uid, sizeof(texts->uid), "%ld", record->by.uid);
    by_text(&record->by, texts);
}

static const char *or_null(const char *text)
{
    return text[0] ? text : NULL;
}

/* What the wanted set is of; words speak for themselves. */
static const char *unit_of(const struct vp_drift_record *record)
{
    return record->wanted_text[0] ? "" : record->kind == VP_DRIFT_MEMS ? "nodes " : "CPUs ";
}

static void send_record(const struct vp_drift_record *record, const struct texts *texts,
                        int priority, const char *id, const char *verb)
{
    const struct vp_field field[] = {
        {"VIRTPIN_GUEST", record->guest},
        {"VIRTPIN_UUID", record->uuid},
        {"VIRTPIN_ROLE", vp_role_word(record->role)},
        {"VIRTPIN_INDEX", texts->index},
        {"VIRTPIN_TID", texts->tid},
        {"VIRTPIN_KIND", vp_drift_kind_word(record->kind)},
        {"VIRTPIN_STATE", vp_drift_state_word(record->state)},
        {"VIRTPIN_WHERE", or_null(record->where)},
        {"VIRTPIN_WANTED", texts->wanted},
        {"VIRTPIN_FOUND", texts->found},
        {"VIRTPIN_COUNT", texts->count},
        {"VIRTPIN_REPAIR_US", or_null(texts->us)},
        {"VIRTPIN_BY_PID", or_null(texts->pid)},
        {"VIRTPIN_BY_COMM", or_null(record->by.comm)},
        {"VIRTPIN_BY_UID", or_null(texts->uid)},
        {"VIRTPIN_BY_UNIT", or_null(record->by.unit)},
        {"VIRTPIN_BY_TTY", or_null(record->by.tty)},
    };

    if (record->kind == VP_DRIFT_DEFINITION)
        vp_journal(priority, id, field, sizeof(field) / sizeof(field[0]),
                   "%s: definition: wanted %s, found %s: %s", record->guest, texts->wanted,
                   texts->found, verb);
    else
        vp_journal(priority, id, field, sizeof(field) / sizeof(field[0]),
                   "%s: %s: %s: wanted %s%s, found %s, %s: %s", record->guest, texts->thread,
                   vp_drift_kind_word(record->kind), unit_of(record), texts->wanted,
                   texts->found[0] ? texts->found : "none", texts->by, verb);
}

size_t vp_driftlog_text(const struct vp_drift_record *record, char *text, size_t size)
{
    struct texts texts;
    int length;

    fill_texts(record, &texts);
    length = snprintf(text, size, "%s: %s: %s: wanted %s%s, found %s, %s", record->guest,
                      texts.thread, vp_drift_kind_word(record->kind), unit_of(record), texts.wanted,
                      texts.found[0] ? texts.found : "none", texts.by);
    return length > 0 ? (size_t)length : 0;
}

void vp_driftlog(const struct vp_drift_record *record)
{
    struct texts texts;
    int priority = record->state == VP_DRIFT_OPEN ? LOG_WARNING : LOG_NOTICE;

    fill_texts(record, &texts);
    send_record(record, &texts, priority, VP_MSG_DRIFT,
                record->state == VP_DRIFT_REPAIRED && record->repair_us < 0
                    ? "gone without a repair"
                    : vp_drift_state_word(record->state));
}

void vp_driftlog_contest(const struct vp_drift_record *record, bool begins)
{
    struct texts texts;

    fill_texts(record, &texts);
    if (begins)
        send_record(record, &texts, LOG_WARNING, VP_MSG_CONTESTED,
                    "contested: it is changed back again and again, repairs wait longer now");
    else
        send_record(record, &texts, LOG_NOTICE, VP_MSG_CONTEST_OVER, "no longer contested");
}
