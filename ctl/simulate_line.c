/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Lines of `simulate`: strict, every error says what was found and what is legal. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ctl/simulate.h"
#include "decide/error.h"

#define ID_MAX 255
#define MEMORY_MAX_MIB (INT64_C(1) << 40)
#define DEPTH_MAX 8

/* ---- JSON ---- */

/* json-c keeps the last of equal keys and says nothing. In a line that is good
 * JSON every key has one colon outside of strings. */
static size_t colons(const char *bytes, size_t length)
{
    bool inside = false;
    size_t count = 0;

    for (size_t i = 0; i < length; i++) {
        if (bytes[i] == '"')
            inside = !inside;
        else if (inside && bytes[i] == '\\')
            i++;
        else if (!inside && bytes[i] == ':')
            count++;
    }
    return count;
}

static size_t keys(json_object *value)
{
    size_t count = 0;

    if (json_object_is_type(value, json_type_array)) {
        for (size_t i = 0; i < json_object_array_length(value); i++)
            count += keys(json_object_array_get_idx(value, i));
    } else if (json_object_is_type(value, json_type_object)) {
        json_object_object_foreach(value, key, member)
        {
            (void)key;
            count += 1 + keys(member);
        }
    }
    return count;
}

static int check_object(const char *bytes, size_t length, json_object *object, struct vp_error *err)
{
    if (!json_object_is_type(object, json_type_object))
        return vp_fail(err, VP_INPUT, "found %s, legal: a JSON object",
                       json_type_to_name(json_object_get_type(object)));
    if (colons(bytes, length) != keys(object))
        return vp_fail(err, VP_INPUT, "a key stands twice in one object");
    return 0;
}

int vp_sim_parse(const char *bytes, size_t length, json_object **object, struct vp_error *err)
{
    json_tokener *tokener = json_tokener_new_ex(DEPTH_MAX);
    enum json_tokener_error error;
    json_object *found;
    size_t end;
    int result = 0;

    *object = NULL;
    if (!tokener)
        return vp_fail(err, VP_HOST, "out of memory");
    json_tokener_set_flags(tokener, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
    /* with the NUL, without which a number at the end is taken for unfinished */
    found = json_tokener_parse_ex(tokener, bytes, (int)length + 1);
    error = json_tokener_get_error(tokener);
    end = json_tokener_get_parse_end(tokener);
    json_tokener_free(tokener);
    if (error == json_tokener_continue)
        result = vp_fail(err, VP_INPUT, "the JSON ends too early");
    else if (error != json_tokener_success)
        result = vp_fail(err, VP_INPUT, "no JSON: %s at byte %zu", json_tokener_error_desc(error),
                         end + 1);
    else if (end < length && strspn(bytes + end, " \t\r") != length - end)
        result = vp_fail(err, VP_INPUT, "text after the JSON object, at byte %zu", end + 1);
    else
        result = check_object(bytes, length, found, err);
    if (result == 0)
        *object = found;
    else
        json_object_put(found);
    return result;
}

/* ---- fields ---- */

static int bad_field(const char *field, json_object *value, const char *legal, struct vp_error *err)
{
    const char *found = value ? json_object_to_json_string_ext(
                                    value, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE)
                              : "nothing";

    return vp_fail(err, VP_INPUT, "%s: found %.80s%s, legal %s", field, found,
                   strlen(found) > 80 ? "..." : "", legal);
}

/* Absent is as legal as `needed` says; null is not. */
static int take_number(json_object *object, const char *field, int64_t low, int64_t high,
                       bool needed, int64_t *number, struct vp_error *err)
{
    json_object *value;
    char legal[64];

    if (!json_object_object_get_ex(object, field, &value)) {
        if (!needed)
            return 0;
        value = NULL;
    } else if (json_object_is_type(value, json_type_int)) {
        *number = json_object_get_int64(value);
        if (*number >= low && *number <= high)
            return 0;
    }
    snprintf(legal, sizeof(legal), "%lld to %lld", (long long)low, (long long)high);
    return bad_field(field, value, legal, err);
}

static int take_unsigned(json_object *object, const char *field, unsigned low, unsigned high,
                         bool needed, unsigned *number, struct vp_error *err)
{
    int64_t wide = *number;

    if (take_number(object, field, low, high, needed, &wide, err) < 0)
        return -1;
    *number = (unsigned)wide;
    return 0;
}

static int take_memory(json_object *object, uint64_t *memory_kib, struct vp_error *err)
{
    int64_t mib = 0;

    if (take_number(object, "memory_mib", 1, MEMORY_MAX_MIB, false, &mib, err) < 0)
        return -1;
    *memory_kib = (uint64_t)mib * 1024;
    return 0;
}

/* NULL if it is no string of 1 to `most` bytes without a NUL. */
static const char *text_of(json_object *value, size_t most)
{
    const char *text;
    size_t length;

    if (!json_object_is_type(value, json_type_string))
        return NULL;
    text = json_object_get_string(value);
    length = (size_t)json_object_get_string_len(value);
    return length > 0 && length <= most && strlen(text) == length ? text : NULL;
}

static int take_id(json_object *object, const char **id, struct vp_error *err)
{
    json_object *value = NULL;

    json_object_object_get_ex(object, "id", &value);
    *id = text_of(value, ID_MAX);
    return *id ? 0 : bad_field("id", value, "a string of 1 to 255 bytes", err);
}

/* "0000:3b:00.0" as lspci -D and sysfs write it. */
static bool is_pci(const char *text)
{
    static const char form[] = "xxxx:xx:xx.o";
    size_t length = text ? strlen(text) : 0;
    size_t longer = length == sizeof(form) ? 1 : 0; /* domains of more than 16 bits */

    if (length != sizeof(form) - 1 + longer)
        return false;
    for (size_t i = 0; i < length; i++) {
        char want = i < longer ? 'x' : form[i - longer];
        bool good = want == 'x'   ? strchr("0123456789abcdefABCDEF", text[i]) != NULL
                    : want == 'o' ? text[i] >= '0' && text[i] <= '7'
                                  : text[i] == want;

        if (!good)
            return false;
    }
    return true;
}

static int check_pci(json_object *object, struct vp_error *err)
{
    json_object *list;

    if (!json_object_object_get_ex(object, "pci", &list))
        return 0;
    if (!json_object_is_type(list, json_type_array))
        return bad_field("pci", list, "an array of addresses such as \"0000:3b:00.0\"", err);
    for (size_t i = 0; i < json_object_array_length(list); i++) {
        json_object *value = json_object_array_get_idx(list, i);

        if (!is_pci(text_of(value, 64)))
            return bad_field("pci", value, "an address such as \"0000:3b:00.0\"", err);
    }
    return 0;
}

static int check_fields(json_object *object, const char *what, const char *legal,
                        struct vp_error *err)
{
    json_object_object_foreach(object, key, value)
    {
        size_t length = strlen(key);
        const char *at = legal;

        (void)value;
        while (at && (strncmp(at, key, length) != 0 || (at[length] && at[length] != ','))) {
            at = strchr(at, ' ');
            at = at ? at + 1 : NULL;
        }
        if (!at || length == 0)
            return vp_fail(err, VP_INPUT, "unknown field \"%.40s\" of %s, legal: %s", key, what,
                           legal);
    }
    return 0;
}

/* ---- guest NUMA cells ---- */

static int read_cell(json_object *value, unsigned vcpus, struct vp_cpuset *seen,
                     struct vp_guest_cell *cell, struct vp_error *err)
{
    json_object *list = NULL;
    const char *text;

    if (!json_object_is_type(value, json_type_object))
        return bad_field("guest_numa", value, "objects such as {\"vcpus\":\"0-3\"}", err);
    if (check_fields(value, "a cell", "vcpus, memory_mib", err) < 0 ||
        take_memory(value, &cell->memory_kib, err) < 0)
        return vp_wrap(err, "guest_numa");
    if (!json_object_object_get_ex(value, "vcpus", &list))
        return 0;
    text = text_of(list, VP_CPUSET_TEXT);
    if (!text)
        return bad_field("guest_numa: vcpus", list, "a list such as \"0-3\"", err);
    if (vp_cpuset_parse(&cell->vcpus, text, err) < 0)
        return vp_wrap(err, "guest_numa: vcpus");
    if (vp_cpuset_last(&cell->vcpus) >= (int)vcpus)
        return vp_fail(err, VP_INPUT, "guest_numa: vcpus: found %d, legal 0 to %u",
                       vp_cpuset_last(&cell->vcpus), vcpus - 1);
    if (vp_cpuset_meets(&cell->vcpus, seen))
        return vp_fail(err, VP_INPUT, "guest_numa: cell %u has a vCPU that an earlier cell has",
                       cell->id);
    vp_cpuset_or(seen, &cell->vcpus);
    return 0;
}

static int read_cells(json_object *object, struct vp_sim_request *request, struct vp_error *err)
{
    struct vp_cpuset seen = {0};
    json_object *list;
    size_t count;

    if (!json_object_object_get_ex(object, "guest_numa", &list))
        return 0;
    if (!json_object_is_type(list, json_type_array))
        return bad_field("guest_numa", list, "an array of cells", err);
    count = json_object_array_length(list);
    if (count > VP_SIM_CELLS)
        return vp_fail(err, VP_INPUT, "guest_numa: found %zu cells, legal up to %d", count,
                       VP_SIM_CELLS);
    request->cell = calloc(count + 1, sizeof(*request->cell));
    if (!request->cell)
        return vp_fail(err, VP_HOST, "out of memory");
    request->cell_count = count;
    for (size_t i = 0; i < count; i++) {
        request->cell[i].id = (unsigned)i;
        if (read_cell(json_object_array_get_idx(list, i), request->vcpus, &seen, &request->cell[i],
                      err) < 0)
            return -1;
    }
    return 0;
}

/* ---- operations ---- */

static int read_start(json_object *object, struct vp_sim_request *request, struct vp_error *err)
{
    if (check_fields(object, "start",
                     "op, id, vcpus, memory_mib, iothreads, vhost, pci, policy, guest_numa",
                     err) < 0 ||
        take_id(object, &request->id, err) < 0 ||
        take_unsigned(object, "vcpus", 1, VP_VCPUS_MAX, true, &request->vcpus, err) < 0 ||
        take_memory(object, &request->memory_kib, err) < 0 ||
        take_unsigned(object, "iothreads", 0, VP_VCPUS_MAX, false, &request->iothreads, err) < 0 ||
        take_unsigned(object, "vhost", 0, VP_VCPUS_MAX, false, &request->vhost, err) < 0 ||
        check_pci(object, err) < 0)
        return -1;
    json_object_object_get_ex(object, "pci", &request->pci);
    if (json_object_object_get_ex(object, "policy", &request->policy) &&
        !json_object_is_type(request->policy, json_type_object) &&
        !text_of(request->policy, ID_MAX))
        return bad_field("policy", request->policy, "an object of keys or a policy's name", err);
    return read_cells(object, request, err);
}

static int read_cpu(json_object *object, const char *op, struct vp_sim_request *request,
                    struct vp_error *err)
{
    int64_t cpu = 0;

    if (check_fields(object, op, "op, cpu", err) < 0 ||
        take_number(object, "cpu", 0, VP_CPU_MAX - 1, true, &cpu, err) < 0)
        return -1;
    request->cpu = (int)cpu;
    return 0;
}

int vp_sim_read(json_object *object, struct vp_sim_request *request, struct vp_error *err)
{
    static const char *const words[] = {"start", "stop", "cpu-offline", "cpu-online"};
    json_object *value = NULL;
    const char *op;
    size_t i = 0;

    *request = (struct vp_sim_request){0};
    json_object_object_get_ex(object, "op", &value);
    op = text_of(value, ID_MAX);
    while (op && i < 4 && strcmp(op, words[i]) != 0)
        i++;
    if (!op || i == 4)
        return bad_field("op", value, "start, stop, cpu-offline, cpu-online", err);
    request->op = (enum vp_sim_op)i;
    if (request->op == VP_SIM_START)
        return read_start(object, request, err);
    if (request->op != VP_SIM_STOP)
        return read_cpu(object, op, request, err);
    if (check_fields(object, "stop", "op, id", err) < 0)
        return -1;
    return take_id(object, &request->id, err);
}
