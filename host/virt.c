/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "host/virt.h"

#include <libvirt/virterror.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "decide/cleanup.h"
#include "decide/domxml.h"
#include "decide/error.h"

#define KEEPALIVE_SECONDS 5
#define KEEPALIVE_COUNT 3

static void say_nothing(void *opaque, virErrorPtr error)
{
    (void)opaque;
    (void)error;
}

/* Keep-alive asks for an event loop that is registered, not for one that runs:
 * a thread that waits for an answer counts the seconds itself
 * (src/rpc/virnetclient.c). A second registration is ignored. */
static void prepare_library(void)
{
    virSetErrorFunc(NULL, say_nothing);
    virInitialize();
    virEventRegisterDefaultImpl();
}

virConnectPtr vp_virt_open_quiet(const char *uri, struct vp_error *err)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    virConnectPtr connection;

    pthread_once(&once, prepare_library);
    connection = virConnectOpen(uri);
    if (!connection)
        vp_virt_fail(err, "cannot connect to libvirt at %s", uri);
    return connection;
}

virConnectPtr vp_virt_open(const char *uri, struct vp_error *err)
{
    virConnectPtr connection = vp_virt_open_quiet(uri, err);

    if (!connection)
        return NULL;
    /* A peer without keep-alive gives 1, a driver in this process NO_SUPPORT. */
    if (virConnectSetKeepAlive(connection, KEEPALIVE_SECONDS, KEEPALIVE_COUNT) < 0 &&
        virGetLastErrorCode() != VIR_ERR_NO_SUPPORT) {
        vp_virt_fail(err, "keep-alive of the connection to %s", uri);
        virConnectClose(connection);
        return NULL;
    }
    return connection;
}

int vp_virt_fail(struct vp_error *err, const char *format, ...)
{
    virErrorPtr last = virGetLastError();
    const char *text = last && last->message ? last->message : "libvirt gives no reason";
    enum vp_code code = last && last->code == VIR_ERR_NO_DOMAIN ? VP_GONE : VP_HOST;
    char context[512];
    va_list args;

    va_start(args, format);
    vsnprintf(context, sizeof(context), format, args);
    va_end(args);
    vp_fail(err, code, "%s: %s", context, text);
    for (char *at = err ? err->text : NULL; at && *at; at++)
        if (*at == '\n' || *at == '\r')
            *at = ' ';
    return -1;
}

/* As virsh: an id, then a uuid, then a name. */
virDomainPtr vp_virt_domain(virConnectPtr connection, const char *name, struct vp_error *err)
{
    virDomainPtr domain = NULL;
    char *end;
    long id;

    if (name[0] >= '0' && name[0] <= '9') {
        id = strtol(name, &end, 10);
        if (*end == '\0' && id <= INT_MAX)
            domain = virDomainLookupByID(connection, (int)id);
    }
    if (!domain && strlen(name) == VIR_UUID_STRING_BUFLEN - 1)
        domain = virDomainLookupByUUIDString(connection, name);
    if (!domain)
        domain = virDomainLookupByName(connection, name);
    if (!domain)
        vp_virt_fail(err, "guest \"%s\"", name);
    return domain;
}

/* ---- telling pins ---- */

static int pin_one(virDomainPtr domain, const struct vp_pin *pin, const struct vp_cpuset *cpus,
                   unsigned flags)
{
    unsigned char map[VP_CPU_MAX / 8] = {0};
    int length = vp_cpuset_last(cpus) / 8 + 1;

    for (int cpu = vp_cpuset_next(cpus, -1); cpu >= 0; cpu = vp_cpuset_next(cpus, cpu))
        map[cpu / 8] |= (unsigned char)(1u << (cpu % 8));
    if (pin->role == VP_ROLE_VCPU)
        return virDomainPinVcpuFlags(domain, pin->index, map, length, flags);
    if (pin->role == VP_ROLE_EMULATOR)
        return virDomainPinEmulator(domain, map, length, flags);
    return virDomainPinIOThread(domain, pin->index, map, length, flags);
}

int vp_virt_set_pins(virDomainPtr domain, const struct vp_pins *pins, const struct vp_pins *known,
                     unsigned flags, unsigned *told, struct vp_error *err)
{
    struct vp_error *first = err;
    int result = 0;

    for (size_t i = 0; i < pins->count; i++) {
        const struct vp_pin *pin = &pins->item[i], *has;
        struct vp_cpuset cpus;

        if (!vp_pins_libvirts(pins, pin, &cpus) || vp_cpuset_empty(&cpus))
            continue;
        has = known ? vp_pins_find(known, pin->role, pin->index) : NULL;
        if (has && vp_cpuset_equal(&has->cpus, &cpus))
            continue;
        ++*told;
        if (pin_one(domain, pin, &cpus, flags) == 0)
            continue;
        vp_virt_fail(first, "libvirt's pin of %s %u", vp_role_word(pin->role), pin->index);
        first = NULL;
        result = -1;
    }
    return result;
}

/* The mark as libvirt keeps it, the name space declared by libvirt itself. */
static int print_mark(const char *policy, char *mark, size_t size)
{
    int length = snprintf(mark, size, "<applied policy=\"%s\"/>", policy);

    return length > 0 && (size_t)length < size ? 0 : -1;
}

int vp_virt_mark(virDomainPtr domain, const char *policy, unsigned flags, unsigned *told,
                 struct vp_error *err)
{
    VP_AUTO(free)
    char *has = virDomainGetMetadata(domain, VIR_DOMAIN_METADATA_ELEMENT, VP_NS_APPLIED, flags);
    char mark[512], named[512];

    if (!policy) {
        if (!has)
            return 0;
        ++*told;
        if (virDomainSetMetadata(domain, VIR_DOMAIN_METADATA_ELEMENT, NULL, "virtpin",
                                 VP_NS_APPLIED, flags) == 0)
            return 0;
        return vp_virt_fail(err, "taking virtpin's mark out of the metadata");
    }
    /* Names of policies are letters, digits, '-', '_' and '.': nothing to escape. */
    if (print_mark(policy, mark, sizeof(mark)) != 0)
        return vp_fail(err, VP_INPUT, "the policy's name is too long");
    snprintf(named, sizeof(named), "policy=\"%s\"", policy);
    if (has && strstr(has, named))
        return 0;
    ++*told;
    if (virDomainSetMetadata(domain, VIR_DOMAIN_METADATA_ELEMENT, mark, "virtpin", VP_NS_APPLIED,
                             flags) == 0)
        return 0;
    return vp_virt_fail(err, "virtpin's mark in the metadata");
}

int vp_virt_tell_pins(virDomainPtr domain, const struct vp_pins *pins, const struct vp_pins *known,
                      const char *policy, unsigned *told, struct vp_error *err)
{
    int result;

    *told = 0;
    if (pins->count == 0)
        return 0;
    /* The mark first: pins without it would travel as if they were the user's. */
    if (vp_virt_mark(domain, policy, VIR_DOMAIN_AFFECT_LIVE, told, err) != 0)
        return -1;
    result = vp_virt_set_pins(domain, pins, known, VIR_DOMAIN_AFFECT_LIVE, told, err);
    return result;
}

/* ---- tuning ---- */

int vp_virt_set_tuning(virDomainPtr domain, const struct vp_tuning *tuning,
                       const struct vp_guest_tuning *known, unsigned flags, unsigned *told,
                       struct vp_error *err)
{
    virTypedParameterPtr params = NULL;
    int count = 0, room = 0, result = 0;

    if (tuning->shares != 0 && (!known->has_shares || known->shares != tuning->shares))
        result = virTypedParamsAddULLong(&params, &count, &room, VIR_DOMAIN_SCHEDULER_CPU_SHARES,
                                         tuning->shares);
    if (result == 0 && tuning->period != 0 && known->period != tuning->period)
        result = virTypedParamsAddULLong(&params, &count, &room, VIR_DOMAIN_SCHEDULER_VCPU_PERIOD,
                                         tuning->period);
    if (result == 0 && tuning->quota != 0 &&
        (tuning->quota < 0 ? known->quota > 0 : known->quota != tuning->quota))
        result = virTypedParamsAddLLong(&params, &count, &room, VIR_DOMAIN_SCHEDULER_VCPU_QUOTA,
                                        tuning->quota);
    if (result == 0 && count > 0) {
        ++*told;
        result = virDomainSetSchedulerParametersFlags(domain, params, count, flags);
    }
    if (result < 0)
        vp_virt_fail(err, "libvirt's shares, period and quota");
    virTypedParamsFree(params, count);
    return result < 0 ? -1 : 0;
}
