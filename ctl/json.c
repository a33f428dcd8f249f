/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdio.h>
#include <stdlib.h>

#include "ctl/output.h"

static void *need(void *memory)
{
    if (memory)
        return memory;
    fputs("virtpin: out of memory\n", stderr);
    exit(3);
}

json_object *vp_json_object(void)
{
    return need(json_object_new_object());
}

json_object *vp_json_array(void)
{
    return need(json_object_new_array());
}

json_object *vp_json_new(const char *schema)
{
    json_object *object = vp_json_object();

    vp_json_string(object, "schema", schema);
    return object;
}

void vp_json_add(json_object *object, const char *key, json_object *value)
{
    if (json_object_object_add(object, key, value) != 0)
        need(NULL);
}

void vp_json_push(json_object *array, json_object *value)
{
    if (json_object_array_add(array, value) != 0)
        need(NULL);
}

void vp_json_string(json_object *object, const char *key, const char *value)
{
    vp_json_add(object, key, value ? need(json_object_new_string(value)) : NULL);
}

void vp_json_bool(json_object *object, const char *key, bool value)
{
    vp_json_add(object, key, need(json_object_new_boolean(value)));
}

void vp_json_int(json_object *object, const char *key, int64_t value)
{
    vp_json_add(object, key, need(json_object_new_int64(value)));
}

void vp_json_null(json_object *object, const char *key)
{
    vp_json_add(object, key, NULL);
}

void vp_json_time(json_object *object, const char *key, int64_t ms)
{
    char text[VP_TIME_TEXT];

    vp_json_string(object, key, ms == 0 ? NULL : vp_time_text(ms, text));
}

void vp_json_cpus(json_object *object, const char *key, const struct vp_cpuset *cpus)
{
    char *text = need(vp_cpuset_format(cpus));

    vp_json_string(object, key, text);
    free(text);
}

void vp_json_print(json_object *object)
{
    const char *text = json_object_to_json_string_ext(object, JSON_C_TO_STRING_PLAIN |
                                                                  JSON_C_TO_STRING_NOSLASHESCAPE);

    puts(need((void *)(uintptr_t)text));
    json_object_put(object);
}
