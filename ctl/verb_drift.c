/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "ctl/ctl.h"
#include "ctl/driftfilter.h"
#include "ctl/output.h"
#include "decide/cleanup.h"
#include "decide/drift.h"
#include "decide/error.h"
#include "host/clock.h"
#include "host/engine.h"

#define POLL_MS 200
/* A record changes at the latest when its contest is over, after 10 minutes. */
#define CHANGES_WITHIN_MS (15 * 60 * 1000)

struct records {
    struct vp_drift_record *item;
    size_t count;
};

/* ---- JSON ---- */

static json_object *culprit_json(const struct vp_culprit *by)
{
    json_object *object;

    if (by->pid == 0 && by->comm[0] == '\0')
        return NULL;
    object = vp_json_object();
    if (by->pid > 0)
        vp_json_int(object, "pid", by->pid);
    else
        vp_json_null(object, "pid");
    vp_json_string(object, "comm", by->comm[0] ? by->comm : NULL);
    if (by->uid >= 0)
        vp_json_int(object, "uid", by->uid);
    else
        vp_json_null(object, "uid");
    vp_json_string(object, "unit", by->unit[0] ? by->unit : NULL);
    vp_json_string(object, "tty", by->tty[0] ? by->tty : NULL);
    vp_json_bool(object, "exact", by->exact);
    return object;
}

static void side_json(json_object *object, const char *key, const char *text,
                      const struct vp_cpuset *cpus)
{
    if (text[0])
        vp_json_string(object, key, text);
    else
        vp_json_cpus(object, key, cpus);
}

static json_object *record_json(const struct vp_drift_record *record)
{
    json_object *object = vp_json_object();

    vp_json_int(object, "id", record->id);
    vp_json_string(object, "guest", record->guest);
    vp_json_string(object, "uuid", record->uuid);
    if (record->tid > 0)
        vp_json_int(object, "tid", record->tid);
    else
        vp_json_null(object, "tid");
    vp_json_string(object, "role", vp_role_word(record->role));
    vp_json_int(object, "index", record->index);
    vp_json_string(object, "kind", vp_drift_kind_word(record->kind));
    vp_json_string(object, "where", record->where[0] ? record->where : NULL);
    side_json(object, "wanted", record->wanted_text, &record->wanted);
    side_json(object, "found", record->found_text, &record->found);
    vp_json_time(object, "first", record->first_ms);
    vp_json_time(object, "last", record->last_ms);
    vp_json_int(object, "count", record->count);
    vp_json_string(object, "state", vp_drift_state_word(record->state));
    vp_json_time(object, "repaired", record->repaired_ms);
    if (record->repair_us >= 0)
        vp_json_int(object, "repair_us", record->repair_us);
    else
        vp_json_null(object, "repair_us");
    vp_json_add(object, "by", culprit_json(&record->by));
    return object;
}

static void list_json(const struct records *records, int64_t now_ms)
{
    json_object *object = vp_json_new("virtpin.drift/1");
    json_object *list = vp_json_array();

    vp_json_time(object, "time", now_ms);
    for (size_t i = 0; i < records->count; i++)
        vp_json_push(list, record_json(&records->item[i]));
    vp_json_add(object, "drift", list);
    vp_json_print(object);
}

/* ---- text ---- */

static void thread_text(const struct vp_drift_record *record, char *text, size_t size)
{
    if (record->kind == VP_DRIFT_DEFINITION)
        snprintf(text, size, "definition");
    else if (record->role == VP_ROLE_VCPU || record->role == VP_ROLE_IOTHREAD)
        snprintf(text, size, "%s %u", vp_role_word(record->role), record->index);
    else
        snprintf(text, size, "%s", vp_role_word(record->role));
}

static void state_text(const struct vp_drift_record *record, char *text, size_t size)
{
    int used = snprintf(text, size, "%s", vp_drift_state_word(record->state));

    if (record->state == VP_DRIFT_REPAIRED && record->repair_us >= 0)
        snprintf(text + used, size - (size_t)used, " in %.1f ms", (double)record->repair_us / 1000);
}

static void culprit_text(const struct vp_culprit *by, char *text, size_t size)
{
    size_t used = 0;

    text[0] = '\0';
    if (by->pid == 0 && by->comm[0] == '\0')
        return;
    used += (size_t)snprintf(text, size, "%s%s", by->exact ? "" : "likely ",
                             by->comm[0] ? by->comm : "?");
    if (by->pid > 0)
        used += (size_t)snprintf(text + used, size - used, " (pid %d)", (int)by->pid);
    if (by->uid >= 0)
        used += (size_t)snprintf(text + used, size - used, " uid %ld", by->uid);
    if (by->unit[0])
        used += (size_t)snprintf(text + used, size - used, " %s", by->unit);
    if (by->tty[0])
        snprintf(text + used, size - used, " %s", by->tty);
}

static enum vp_colour state_colour(enum vp_drift_state state)
{
    return state == VP_DRIFT_REPAIRED                              ? VP_GREEN
           : state == VP_DRIFT_OPEN || state == VP_DRIFT_CONTESTED ? VP_RED
                                                                   : VP_YELLOW;
}

static void side_cell(struct vp_table *table, const char *text, const struct vp_cpuset *cpus)
{
    if (text[0])
        vp_table_cell(table, VP_PLAIN, text);
    else
        vp_table_cell_cpus(table, cpus);
}

static void list_text(const struct records *records, bool filtered)
{
    static const char *const heading[] = {"ID",     "LAST",  "GUEST", "THREAD", "KIND",
                                          "WANTED", "FOUND", "TIMES", "STATE",  "BY"};
    struct vp_table table;
    char text[512];

    if (records->count == 0) {
        printf("%s\n", filtered ? "no drift that is recorded is such" : "no drift is recorded");
        return;
    }
    vp_table_begin(&table, 10, heading);
    for (size_t i = 0; i < records->count; i++) {
        const struct vp_drift_record *record = &records->item[i];

        snprintf(text, sizeof(text), "%lld", (long long)record->id);
        vp_table_cell(&table, VP_PLAIN, text);
        vp_table_cell(&table, VP_PLAIN, vp_time_text(record->last_ms, text));
        vp_table_cell(&table, VP_PLAIN, record->guest);
        thread_text(record, text, sizeof(text));
        vp_table_cell(&table, VP_PLAIN, text);
        vp_table_cell(&table, VP_PLAIN, vp_drift_kind_word(record->kind));
        side_cell(&table, record->wanted_text, &record->wanted);
        side_cell(&table, record->found_text, &record->found);
        snprintf(text, sizeof(text), "%u", record->count);
        vp_table_cell(&table, VP_PLAIN, text);
        state_text(record, text, sizeof(text));
        vp_table_cell(&table, state_colour(record->state), text);
        culprit_text(&record->by, text, sizeof(text));
        vp_table_cell(&table, VP_PLAIN, text);
    }
    vp_table_end(&table, 0);
}

/* One line, for --follow, where no column can be as wide as what is to come. */
static void print_line(const struct vp_drift_record *record)
{
    VP_AUTO(free) char *wanted = vp_cpuset_format(&record->wanted);
    VP_AUTO(free) char *found = vp_cpuset_format(&record->found);
    char time[VP_TIME_TEXT], thread[64], state[64], by[512];

    thread_text(record, thread, sizeof(thread));
    state_text(record, state, sizeof(state));
    culprit_text(&record->by, by, sizeof(by));
    printf("%s  #%lld  %s %s: %s wanted %s, found %s, %ux, %s%s%s%s%s\n",
           vp_time_text(record->last_ms, time), (long long)record->id, record->guest, thread,
           vp_drift_kind_word(record->kind),
           record->wanted_text[0] ? record->wanted_text : (wanted ? wanted : "?"),
           record->found_text[0] ? record->found_text : (found ? found : "?"), record->count,
           vp_colour(state_colour(record->state)), state, vp_colour_end(), by[0] ? ", by " : "",
           by);
}

/* ---- following ---- */

struct known {
    int64_t id, last_ms, repaired_ms;
    unsigned count;
    enum vp_drift_state state;
};
struct memory {
    struct known *item;
    size_t count, room;
};

/* True if the record is new or other than when it was shown last. */
static bool news(struct memory *memory, const struct vp_drift_record *record)
{
    struct known now = {record->id, record->last_ms, record->repaired_ms, record->count,
                        record->state};
    struct known *known = NULL;

    for (size_t i = memory->count; i > 0 && !known; i--)
        if (memory->item[i - 1].id == record->id)
            known = &memory->item[i - 1];
    if (known && known->last_ms == now.last_ms && known->repaired_ms == now.repaired_ms &&
        known->count == now.count && known->state == now.state)
        return false;
    if (!known && memory->count == memory->room) {
        size_t room = memory->room ? memory->room * 2 : 64;
        struct known *more = reallocarray(memory->item, room, sizeof(*more));

        if (!more)
            return true; /* shown once too often rather than not */
        memory->item = more;
        memory->room = room;
    }
    if (!known)
        known = &memory->item[memory->count++];
    *known = now;
    return true;
}

static void show(const struct vp_ctl *ctl, const struct vp_drift_record *record)
{
    if (ctl->json)
        vp_json_print(record_json(record));
    else
        print_line(record);
}

/* Changes whenever somebody wrote to the ledger. */
static uint64_t ledger_stamp(const char *run_dir)
{
    static const char *const names[] = {"ledger.db", "ledger.db-wal"};
    char path[4096];
    uint64_t stamp = 0;
    struct stat st;

    for (size_t i = 0; i < 2; i++) {
        snprintf(path, sizeof(path), "%s/%s", run_dir, names[i]);
        if (stat(path, &st) == 0)
            stamp = stamp * 31 + (uint64_t)st.st_mtim.tv_sec * 1000000000 +
                    (uint64_t)st.st_mtim.tv_nsec + (uint64_t)st.st_size + (uint64_t)st.st_ino;
    }
    return stamp;
}

static int show_news(struct vp_ctl *ctl, struct vp_engine *engine, int64_t since_ms,
                     const struct vp_drift_filter *filter, struct memory *memory, bool silent,
                     struct vp_error *err)
{
    VP_AUTO(free) struct vp_drift_record *record = NULL;
    size_t count = 0;

    if (vp_ctl_ledger(ctl, engine, false, err) != 0)
        return -1;
    if (!engine->ledger)
        return 0;
    if (vp_ledger_drift_list(engine->ledger, since_ms, 0, &record, &count, err) != 0)
        return -1;
    for (size_t i = 0; i < count; i++)
        if (vp_drift_filter_passes(filter, &record[i]) && news(memory, &record[i]) && !silent)
            show(ctl, &record[i]);
    return 0;
}

/* Ends only by a signal, by an error, or when nobody reads any more. */
static int follow(struct vp_ctl *ctl, struct vp_engine *engine,
                  const struct vp_drift_filter *filter, struct vp_error *err)
{
    const char *run_dir = engine->set->host.run_dir;
    struct memory memory = {0};
    uint64_t stamp = ledger_stamp(run_dir), was;
    int result;

    /* Without --since only what is new from now on. */
    result = show_news(ctl, engine, filter->since_ms, filter, &memory, !vp_ctl_option(ctl, "since"),
                       err);
    while (result == 0 && fflush(stdout) == 0) {
        nanosleep(&(struct timespec){.tv_nsec = POLL_MS * 1000000L}, NULL);
        was = stamp;
        stamp = ledger_stamp(run_dir);
        if (stamp != was)
            result = show_news(ctl, engine, vp_now_ms() - CHANGES_WITHIN_MS, filter, &memory, false,
                               err);
    }
    free(memory.item);
    return result != 0 ? -1 : VP_EXIT_HOST;
}

static bool narrows(const struct vp_drift_filter *filter)
{
    return filter->guest || filter->by || filter->kinds != 0 || filter->since_ms != 0 ||
           filter->until_ms != 0;
}

static int list(struct vp_ctl *ctl, struct vp_engine *engine, const struct vp_drift_filter *filter,
                struct vp_error *err)
{
    VP_AUTO(free) struct vp_drift_record *item = NULL;
    struct records records = {0};
    int status = VP_EXIT_GOOD;
    size_t count = 0;

    if (vp_ctl_ledger(ctl, engine, false, err) != 0)
        return -1;
    if (engine->ledger &&
        vp_ledger_drift_list(engine->ledger, filter->since_ms, 0, &item, &count, err) != 0)
        return -1;
    records.item = item;
    for (size_t i = 0; i < count; i++)
        if (vp_drift_filter_passes(filter, &item[i]))
            item[records.count++] = item[i];
    for (size_t i = 0; i < records.count; i++)
        if (item[i].state == VP_DRIFT_OPEN || item[i].state == VP_DRIFT_CONTESTED)
            status = VP_EXIT_FINDING;
    if (ctl->json)
        list_json(&records, vp_now_ms());
    else
        list_text(&records, narrows(filter));
    return status;
}

int vp_verb_drift(struct vp_ctl *ctl, struct vp_error *err)
{
    VP_AUTO(vp_engine) struct vp_engine engine = {0};
    struct vp_drift_filter filter;

    if (vp_drift_filter_read(ctl, vp_now_ms(), &filter, err) != 0)
        return -1;
    if (vp_ctl_engine(ctl, &engine, err) != 0)
        return -1;
    if (vp_ctl_option(ctl, "follow"))
        return follow(ctl, &engine, &filter, err);
    return list(ctl, &engine, &filter, err);
}
