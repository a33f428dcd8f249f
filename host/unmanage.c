/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Giving a running guest back what its definition says. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "decide/cleanup.h"
#include "decide/domxml.h"
#include "decide/error.h"
#include "decide/rewrite.h"
#include "host/engine_priv.h"
#include "host/threads.h"

/* Pins that virtpin wrote into it are not the definition's own. */
static struct vp_domain *read_definition(const char *text, size_t length, bool as_is)
{
    struct vp_domain *domain = NULL;
    xmlDoc *doc = vp_xml_parse(text, length, NULL);
    bool stripped;

    if (doc && (as_is || vp_rewrite_strip(xmlDocGetRootElement(doc), &stripped, NULL) == 0) &&
        vp_domain_read(xmlDocGetRootElement(doc), &domain, NULL) < 0)
        domain = NULL;
    xmlFreeDoc(doc);
    return domain;
}

/* The definition on disk; the file is libvirt's own and private,
 * but stable, and asking libvirt is not for this side. */
static struct vp_domain *load_definition(const struct vp_engine *engine, const char *name,
                                         bool as_is)
{
    struct vp_domain *definition = NULL;
    VP_AUTO(free) char *text = NULL;
    char path[PATH_MAX];
    struct stat st;
    int fd;

    if (snprintf(path, sizeof(path), "%s/%s.xml", engine->definition_dir, name) >=
        (int)sizeof(path))
        return NULL;
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return NULL;
    if (fstat(fd, &st) == 0 && st.st_size > 0 && st.st_size < VP_XML_MAX)
        text = malloc((size_t)st.st_size);
    if (text && read(fd, text, (size_t)st.st_size) == st.st_size)
        definition = read_definition(text, (size_t)st.st_size, as_is);
    close(fd);
    return definition;
}

struct vp_domain *vp_engine_definition(const struct vp_engine *engine, const char *name)
{
    return load_definition(engine, name, false);
}

struct vp_domain *vp_engine_definition_as_is(const struct vp_engine *engine, const char *name)
{
    return load_definition(engine, name, true);
}

/* What a guest runs on by its definition alone: its pins, else the vCPUs'
 * cpuset, else every online CPU that its partition may use. */
int vp_engine_unmanaged_pins(struct vp_engine *engine, const struct vp_domain *live,
                             struct vp_pins *pins, struct vp_error *err)
{
    VP_AUTO(vp_domain)
    struct vp_domain *definition = vp_engine_definition(engine, live->name);
    struct vp_cpuset all = engine->topology->online, allowed;
    int result = 0;

    vp_engine_allowed(engine, live->partition, &allowed);
    if (!vp_cpuset_empty(&allowed))
        vp_cpuset_and(&all, &allowed);
    if (definition && definition->has_vcpu_cpuset &&
        vp_cpuset_meets(&all, &definition->vcpu_cpuset))
        vp_cpuset_and(&all, &definition->vcpu_cpuset);
    for (unsigned i = 0; result == 0 && i < live->vcpus; i++) {
        const struct vp_pin *pin =
            definition ? vp_pins_find(&definition->pins, VP_ROLE_VCPU, i) : NULL;

        result = vp_pins_add(pins, VP_ROLE_VCPU, i, pin ? &pin->cpus : &all);
    }
    for (size_t i = 0; result == 0 && i < live->iothread_count; i++) {
        const struct vp_pin *pin =
            definition ? vp_pins_find(&definition->pins, VP_ROLE_IOTHREAD, live->iothread[i])
                       : NULL;

        result = vp_pins_add(pins, VP_ROLE_IOTHREAD, live->iothread[i], pin ? &pin->cpus : &all);
    }
    if (result == 0) {
        const struct vp_pin *pin =
            definition ? vp_pins_find(&definition->pins, VP_ROLE_EMULATOR, 0) : NULL;

        result = vp_pins_add(pins, VP_ROLE_EMULATOR, 0, pin ? &pin->cpus : &all);
    }
    return result < 0 ? vp_fail(err, VP_HOST, "out of memory") : 0;
}

int vp_engine_give_back(struct vp_engine *engine, const struct vp_status *status, bool always,
                        struct vp_error *err)
{
    struct vp_pins pins = {0};
    int result = vp_engine_unmanaged_pins(engine, status->domain, &pins, err);

    if (result == 0)
        result = vp_engine_pin_status(engine, status, &pins, always, NULL, err);
    vp_pins_clear(&pins);
    return result;
}

/* 1 removed; 0: it is not that run of the guest any more. */
static int remove_locked(struct vp_engine *engine, const struct vp_guest_row *row,
                         struct vp_error *err)
{
    struct vp_guest_row today = {0};
    int found = vp_ledger_guest(engine->ledger, row->uuid, &today, err);
    bool same = found == 1 && today.state == row->state && today.pid == row->pid &&
                today.pid_start == row->pid_start;

    vp_guest_row_clear(&today);
    if (found < 0)
        return -1;
    if (!same)
        return 0;
    return vp_ledger_remove(engine->ledger, row->uuid, err) < 0 ? -1 : 1;
}

int vp_engine_unmanage(struct vp_engine *engine, const struct vp_guest_row *row,
                       struct vp_error *err)
{
    VP_AUTO(vp_status) struct vp_status *status = NULL;
    const struct vp_tuning was = vp_row_tuning(row), none = {0};
    bool in_force = vp_row_in_force(row);
    int result;

    if (vp_status_load(engine->status_dir, row->name, &status, err) < 0)
        return -1;
    /* first the threads: whoever is killed before the row is gone has it done
     * again. A guest of the pool may have been put back until then: once more. */
    if (in_force && vp_engine_give_back(engine, status, true, err) < 0)
        return -1;
    if (vp_engine_tune_back(engine, status, &was, &none, err) < 0)
        return -1;
    if (vp_ledger_begin(engine->ledger, err) < 0)
        return -1;
    result = remove_locked(engine, row, err);
    if (result <= 0 || vp_ledger_commit(engine->ledger, err) < 0) {
        vp_ledger_rollback(engine->ledger);
        return result == 0 ? 0 : -1;
    }
    return in_force ? vp_engine_give_back(engine, status, false, err) : 0;
}
