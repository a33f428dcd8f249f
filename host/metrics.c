/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "host/metrics.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "decide/error.h"
#include "decide/policy.h"
#include "host/threads.h"

/* ---- the text ---- */

void vp_metrics_clear(struct vp_metrics *metrics)
{
    for (size_t i = 0; i < metrics->count; i++)
        free(metrics->item[i].sample);
    free(metrics->item);
    *metrics = (struct vp_metrics){0};
}

static void print_label(FILE *file, const char *name, const char *value, bool first)
{
    fprintf(file, "%s%s=\"", first ? "{" : ",", name);
    for (; *value; value++) {
        if (*value == '\\' || *value == '"')
            fprintf(file, "\\%c", *value);
        else if (*value == '\n')
            fputs("\\n", file);
        else
            fputc(*value, file);
    }
    fputc('"', file);
}

static void print_sample(FILE *file, const char *name, const struct vp_sample *sample)
{
    bool any = false;

    fprintf(file, "%s%s", name, sample->suffix);
    for (size_t i = 0; i < sizeof(sample->label) / sizeof(sample->label[0]); i++) {
        if (!sample->label[i].name)
            continue;
        print_label(file, sample->label[i].name, sample->label[i].value, !any);
        any = true;
    }
    fprintf(file, "%s %.15g\n", any ? "}" : "", sample->value);
}

bool vp_metrics_print(const struct vp_metrics *metrics, FILE *file)
{
    static const char *const types[] = {"gauge", "counter", "histogram"};

    for (size_t i = 0; i < metrics->count; i++) {
        const struct vp_metric *metric = &metrics->item[i];

        fprintf(file, "# HELP %s %s\n# TYPE %s %s\n", metric->name, metric->help, metric->name,
                types[metric->type]);
        for (size_t j = 0; j < metric->count; j++)
            print_sample(file, metric->name, &metric->sample[j]);
    }
    return fflush(file) == 0 && !ferror(file);
}

/* ---- guests ---- */

void vp_facts_clear(struct vp_facts *facts)
{
    free(facts->guests);
    *facts = (struct vp_facts){0};
}

void vp_facts_strangers(struct vp_facts *facts, const struct vp_strangers *strangers)
{
    for (size_t i = 0; i < strangers->count; i++)
        facts->strangers[strangers->item[i].kind] += strangers->item[i].ran_ms > 0;
    memcpy(facts->stranger_ms, strangers->total_ms, sizeof(facts->stranger_ms));
}

static bool count_guests(struct vp_facts *facts, const char *policy, const char *state,
                         unsigned count)
{
    struct vp_metrics_guests *more;

    for (size_t i = 0; i < facts->guests_count; i++) {
        struct vp_metrics_guests *there = &facts->guests[i];

        if (strcmp(there->policy, policy) == 0 && strcmp(there->state, state) == 0) {
            there->count += count;
            return true;
        }
    }
    more = reallocarray(facts->guests, facts->guests_count + 1, sizeof(*more));
    if (!more)
        return false;
    facts->guests = more;
    more += facts->guests_count++;
    snprintf(more->policy, sizeof(more->policy), "%s", policy);
    more->state = state;
    more->count = count;
    return true;
}

/* A task directory has two links and one for each thread. */
static unsigned threads_of(pid_t pid)
{
    char path[64];
    struct stat st;

    snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
    return pid > 0 && stat(path, &st) == 0 && st.st_nlink > 2 ? (unsigned)st.st_nlink - 2 : 0;
}

bool vp_facts_guest(struct vp_facts *facts, const struct vp_guest_row *row)
{
    const char *policy = row->plan && row->plan->policy ? row->plan->policy : "";

    if (row->state == VP_GUEST_RUNNING && !row->unplaced && row->plan &&
        row->plan->mode == VP_MODE_ENFORCE)
        facts->threads += threads_of(row->pid);
    return count_guests(facts, policy,
                        row->state == VP_GUEST_RUNNING && row->unplaced
                            ? "unplaced"
                            : vp_guest_state_word(row->state),
                        1);
}

int vp_facts_unmanaged(struct vp_facts *facts, const char *status_dir,
                       bool (*known)(const void *data, const char *name), const void *data,
                       struct vp_error *err)
{
    char **names = NULL;
    unsigned unmanaged = 0;
    size_t count = 0;

    if (vp_status_names(status_dir, &names, &count, err) < 0)
        return -1;
    for (size_t i = 0; i < count; i++) {
        unmanaged += !known(data, names[i]);
        free(names[i]);
    }
    free(names);
    return count_guests(facts, "", "unmanaged", unmanaged) ? 0
                                                           : vp_fail(err, VP_HOST, "out of memory");
}
