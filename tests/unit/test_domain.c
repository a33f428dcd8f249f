/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <check.h>
#include <libxml/parser.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "decide/cleanup.h"
#include "decide/domain.h"
#include "decide/error.h"

#define UUID "c7a5fdbd-edaf-9455-926a-d65c16db1809"

static struct vp_domain *read_text(const char *xml)
{
    struct vp_domain *domain = NULL;
    struct vp_error err = {0};

    ck_assert_msg(vp_domain_parse(xml, strlen(xml), &domain, &err) == 0, "%s", err.text);
    return domain;
}

static void check_set(const struct vp_cpuset *set, const char *want)
{
    char text[VP_CPUSET_TEXT];

    vp_cpuset_print(set, text, sizeof(text));
    ck_assert_str_eq(text, want);
}

/* ---- what is read ---- */

static const char whole[] =
    "<!--\nWARNING: THIS IS AN AUTO-GENERATED FILE.\n-->\n"
    "<domain type='kvm' id='7' xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>\n"
    "  <name>db &amp; more</name>\n"
    "  <uuid>C7A5FDBD-EDAF-9455-926A-D65C16DB1809</uuid>\n"
    "  <title>A t\xc3\xaftle</title>\n"
    "  <metadata>\n"
    "    <virtpin:guest xmlns:virtpin='urn:virtpin:guest:1' policy='database'/>\n"
    "    <v:applied xmlns:v='urn:virtpin:applied:1' policy='old'/>\n"
    "    <libosinfo:libosinfo xmlns:libosinfo='http://libosinfo.org/xmlns/libvirt/domain/1.0'>\n"
    "      <libosinfo:os id='http://debian.org/debian/12'/>\n"
    "    </libosinfo:libosinfo>\n"
    "    <n:owner xmlns:n='urn:x'>ops <b/>team</n:owner>\n"
    "  </metadata>\n"
    "  <memory unit='GiB'>2</memory>\n"
    "  <vcpu placement='static' cpuset='0-3,^2' current='2'>4</vcpu>\n"
    "  <vcpus>\n"
    "    <vcpu id='0' enabled='yes' hotpluggable='no' order='1'/>\n"
    "    <vcpu id='1' enabled='no' hotpluggable='yes'/>\n"
    "    <vcpu id='2' enabled='no' hotpluggable='yes'/>\n"
    "    <vcpu id='3' enabled='yes' hotpluggable='yes' order='2'/>\n"
    "  </vcpus>\n"
    "  <iothreads>4</iothreads>\n"
    "  <iothreadids><iothread id='6'/><iothread id='2'/></iothreadids>\n"
    "  <cputune>\n"
    "    <shares>2048</shares>\n"
    "    <vcpupin vcpu='3' cpuset='5'/>\n"
    "    <vcpupin vcpu='0' cpuset='1, 4'/>\n"
    "    <emulatorpin cpuset='0'/>\n"
    "    <iothreadpin iothread='6' cpuset='2-3'/>\n"
    "  </cputune>\n"
    "  <resource><partition>/machine/prod</partition></resource>\n"
    "  <os><type arch='x86_64' machine='pc-q35-7.2'>hvm</type></os>\n"
    "  <cpu mode='custom' match='strict' check='partial'>\n"
    "    <model fallback='forbid'>EPYC</model>\n"
    "    <topology sockets='2' dies='1' cores='2' threads='1'/>\n"
    "    <cache mode='passthrough'/>\n"
    "    <feature policy='require' name='vmx'/>\n"
    "    <feature name='svm'/>\n"
    "    <numa>\n"
    "      <cell id='1' cpus='2-3' memory='1' unit='GiB'/>\n"
    "      <cell id='0' cpus='0-1' memory='1048576'/>\n"
    "    </numa>\n"
    "  </cpu>\n"
    "  <devices><vcpu>99</vcpu><cpu mode='maximum'/></devices>\n"
    "</domain>\n";

START_TEST(reads_identity)
{
    VP_AUTO(vp_domain) struct vp_domain *domain = read_text(whole);

    ck_assert_int_eq(domain->id, 7);
    ck_assert_str_eq(domain->name, "db & more");
    ck_assert_str_eq(domain->uuid, UUID);
    ck_assert_str_eq(domain->title, "A t\xc3\xaftle");
    ck_assert_str_eq(domain->type, "kvm");
    ck_assert_str_eq(domain->arch, "x86_64");
    ck_assert_str_eq(domain->machine, "pc-q35-7.2");
    ck_assert_str_eq(domain->partition, "/machine/prod");
    ck_assert_str_eq(domain->os, "http://debian.org/debian/12");
    ck_assert_str_eq(domain->named_policy, "database");
    ck_assert_str_eq(domain->applied_policy, "old");
    ck_assert_uint_eq(domain->memory_kib, 2097152);
}
END_TEST

START_TEST(reads_metadata)
{
    VP_AUTO(vp_domain) struct vp_domain *domain = read_text(whole);

    ck_assert_uint_eq(domain->metadata_count, 4);
    ck_assert_str_eq(domain->metadata[0].name, "{urn:virtpin:guest:1}guest");
    ck_assert_str_eq(domain->metadata[3].name, "{urn:x}owner");
    ck_assert_str_eq(domain->metadata[3].text, "ops team");
}
END_TEST

START_TEST(reads_threads)
{
    VP_AUTO(vp_domain) struct vp_domain *domain = read_text(whole);

    ck_assert_uint_eq(domain->vcpus, 4);
    ck_assert_uint_eq(domain->vcpus_current, 2);
    check_set(&domain->vcpus_online, "0,3");
    ck_assert(domain->has_vcpu_cpuset);
    ck_assert(!domain->placement_auto);
    check_set(&domain->vcpu_cpuset, "0-1,3");
    ck_assert_uint_eq(domain->iothread_count, 4);
    ck_assert_uint_eq(domain->iothread[0], 1);
    ck_assert_uint_eq(domain->iothread[1], 2);
    ck_assert_uint_eq(domain->iothread[2], 3);
    ck_assert_uint_eq(domain->iothread[3], 6);
    ck_assert_uint_eq(domain->pins.count, 4);
    check_set(&vp_pins_find(&domain->pins, VP_ROLE_VCPU, 0)->cpus, "1,4");
    check_set(&vp_pins_find(&domain->pins, VP_ROLE_VCPU, 3)->cpus, "5");
    check_set(&vp_pins_find(&domain->pins, VP_ROLE_EMULATOR, 0)->cpus, "0");
    check_set(&vp_pins_find(&domain->pins, VP_ROLE_IOTHREAD, 6)->cpus, "2-3");
    ck_assert_ptr_null(vp_pins_find(&domain->pins, VP_ROLE_VCPU, 1));
}
END_TEST

START_TEST(reads_guest_cpu)
{
    VP_AUTO(vp_domain) struct vp_domain *domain = read_text(whole);
    const struct vp_guest_cpu *cpu = &domain->cpu;

    ck_assert(cpu->present && cpu->has_topology);
    ck_assert_str_eq(cpu->mode, "custom");
    ck_assert_str_eq(cpu->match, "strict");
    ck_assert_str_eq(cpu->check, "partial");
    ck_assert_ptr_null(cpu->migratable);
    ck_assert_str_eq(cpu->model, "EPYC");
    ck_assert_str_eq(cpu->fallback, "forbid");
    ck_assert_str_eq(cpu->cache, "passthrough");
    ck_assert_uint_eq(cpu->topology.sockets, 2);
    ck_assert_uint_eq(cpu->topology.clusters, 1);
    ck_assert_uint_eq(cpu->topology.cores, 2);
    ck_assert_uint_eq(cpu->feature_count, 2);
    ck_assert_str_eq(cpu->feature[0].name, "vmx");
    ck_assert_str_eq(cpu->feature[0].policy, "require");
    ck_assert_ptr_null(cpu->feature[1].policy);
    ck_assert_uint_eq(domain->cell_count, 2);
    ck_assert_uint_eq(domain->cell[0].id, 1);
    check_set(&domain->cell[0].vcpus, "2-3");
    ck_assert_uint_eq(domain->cell[0].memory_kib, 1048576);
    ck_assert_uint_eq(domain->cell[1].memory_kib, 1048576);
}
END_TEST

START_TEST(reads_defaults)
{
    VP_AUTO(vp_domain)
    struct vp_domain *domain = read_text("<domain type='qemu'><name>a</name></domain>");

    ck_assert_int_eq(domain->id, -1);
    ck_assert_str_eq(domain->uuid, "");
    ck_assert_str_eq(domain->partition, "/machine");
    ck_assert_uint_eq(domain->vcpus, 1);
    ck_assert_uint_eq(domain->vcpus_current, 1);
    check_set(&domain->vcpus_online, "0");
    ck_assert(!domain->cpu.present && !domain->cpu.has_topology && !domain->has_vcpu_cpuset);
    ck_assert_uint_eq(domain->pins.count, 0);
    ck_assert_uint_eq(domain->iothread_count, 0);
}
END_TEST

START_TEST(gives_facts)
{
    VP_AUTO(vp_domain) struct vp_domain *domain = read_text(whole);
    VP_AUTO(vp_domain) struct vp_domain *bare = read_text("<domain><name>a</name></domain>");
    struct vp_match_facts facts;

    vp_domain_facts(domain, "host1", &facts);
    ck_assert_str_eq(facts.name, "db & more");
    ck_assert_str_eq(facts.uuid, UUID);
    ck_assert_str_eq(facts.host, "host1");
    ck_assert_str_eq(facts.named_policy, "database");
    ck_assert_uint_eq(facts.vcpus, 4);
    ck_assert_uint_eq(facts.memory_kib, 2097152);
    ck_assert_uint_eq(facts.metadata_count, 4);
    vp_domain_facts(bare, "host1", &facts);
    ck_assert_ptr_null(facts.uuid);
    ck_assert_ptr_null(facts.type);
}
END_TEST

/* ---- sizes ---- */

static const struct {
    const char *attributes, *text;
    uint64_t kib;
} sizes[] = {
    {"", "1024", 1024},
    {"", " 5\n", 5},
    {" unit='KiB'", "7", 7},
    {" unit='k'", "7", 7},
    {" unit='K'", "7", 7},
    {" unit='KB'", "1024", 1000},
    {" unit='b'", "1025", 2},
    {" unit='bytes'", "1024", 1},
    {" unit='MiB'", "3", 3072},
    {" unit='M'", "3", 3072},
    {" unit='MB'", "1", 977},
    {" unit='GiB'", "2", 2097152},
    {" unit='GB'", "1", 976563},
    {" unit='G'", "1", 1048576},
    {" unit='TiB'", "1", 1073741824},
    {" unit='T'", "1", 1073741824},
    {" unit='TB'", "1", 976562500},
    {" unit='b'", "18446744073709551615", UINT64_C(18014398509481984)},
};

START_TEST(reads_sizes)
{
    VP_AUTO(vp_domain) struct vp_domain *domain = NULL;
    char xml[200];

    snprintf(xml, sizeof(xml), "<domain><name>a</name><memory%s>%s</memory></domain>",
             sizes[_i].attributes, sizes[_i].text);
    domain = read_text(xml);
    ck_assert_uint_eq(domain->memory_kib, sizes[_i].kib);
}
END_TEST

START_TEST(sums_cells)
{
    VP_AUTO(vp_domain)
    struct vp_domain *domain =
        read_text("<domain><name>a</name><vcpu>2</vcpu><cpu><numa><cell cpus='0' memory='3'/>"
                  "<cell cpus='1' memory='4'/></numa></cpu></domain>");

    ck_assert_uint_eq(domain->memory_kib, 7);
    ck_assert_uint_eq(domain->cell[1].id, 1);
}
END_TEST

/* ---- what is refused: each message names the place and what is legal ---- */

#define D(inside) "<domain><name>a</name>" inside "</domain>"

static const struct {
    const char *xml, *message;
} refused[] = {
    {"", "found nothing where domain XML should be"},
    {"\xef\xbb\xbf", "found nothing"},
    {"hello", "line 1: found \"hello\""},
    {"\xff\xfe<", "legal is XML text in UTF-8"},
    {"<domain>", "line 1: not well-formed XML"},
    {"<domain>\n\n</domian>", "line 3: not well-formed XML"},
    {"<domain><name>a</name></domain><x/>", "not well-formed"},
    {"<domain><name>\xe9</name></domain>", "not well-formed XML: Input is not proper UTF-8"},
    {"<?xml version='1.0' encoding='UTF-16'?><domain/>", "encoding: found \"UTF-16\""},
    {"<?xml version='1.0' encoding = \"latin1\"?><domain/>", "encoding: found \"latin1\""},
    {"<!DOCTYPE domain><domain/>", "line 1: found a DOCTYPE"},
    {"<!DOCTYPE d [\n<!ENTITY a 'x'>\n]>\n<domain><name>&a;</name></domain>", "found a DOCTYPE"},
    {"<!DOCTYPE d SYSTEM 'http://127.0.0.1:9/x'><domain/>", "found a DOCTYPE"},
    {"<domain><name>&a;</name></domain>", "not well-formed"},
    {"<guest/>", "found <guest> as the outermost element, legal is <domain>"},
    {"<domain xmlns='urn:x'><name>a</name></domain>", "as the outermost element"},
    {"<domain/>", "line 1: <name>: found \"\""},
    {"<domain><name/></domain>", "<name>: found \"\""},
    {"<domain><name>a/b</name></domain>", "<name>: found \"a/b\""},
    {"<domain><name>a\nb</name></domain>", "legal is a name without / and newline"},
    {"<domain id='x'><name>a</name></domain>", "<domain id=>: found \"x\""},
    {D("<uuid>12</uuid>"), "<uuid>: found \"12\", legal is a UUID"},
    {D("<uuid>" UUID "0</uuid>"), "legal is a UUID"},
    {D("\n<vcpu>0</vcpu>"), "line 2: <vcpu>: found \"0\", legal 1 to 8192"},
    {D("<vcpu>8193</vcpu>"), "<vcpu>: found \"8193\", legal 1 to 8192"},
    {D("<vcpu>-1</vcpu>"), "<vcpu>: found \"-1\""},
    {D("<vcpu>+1</vcpu>"), "<vcpu>: found \"+1\""},
    {D("<vcpu>1x</vcpu>"), "<vcpu>: found \"1x\""},
    {D("<vcpu/>"), "<vcpu>: found \"\""},
    {D("<vcpu>18446744073709551617</vcpu>"), "<vcpu>: found \"18446744073709551617\""},
    {D("<vcpu current='3'>2</vcpu>"), "<vcpu current=>: found \"3\", legal 1 to 2"},
    {D("<vcpu cpuset='1-'>2</vcpu>"), "<vcpu cpuset=>: found \"1-\""},
    {D("<vcpu cpuset='1 3'>2</vcpu>"), "<vcpu cpuset=>: found \"1 3\""},
    {D("<vcpu cpuset='8192'>2</vcpu>"), "<vcpu cpuset=>: found \"8192\""},
    {D("<vcpus><vcpu id='9999'/></vcpus>"), "<vcpu id=>: found \"9999\""},
    {D("<vcpus><vcpu enabled='yes'/></vcpus>"), "<vcpu> in <vcpus>: found no id="},
    {D("<vcpu>2</vcpu><vcpus><vcpu id='1' enabled='yes'/></vcpus>"), "found vCPU 0 not enabled"},
    {D("<memory unit='pages'>2</memory>"), "found unit \"pages\""},
    {D("<memory unit=''>2</memory>"), "found unit \"\""},
    {D("<memory unit='KiBx'>2</memory>"), "found unit \"KiBx\""},
    {D("<memory>x</memory>"), "<memory>: found \"x\""},
    {D("<memory unit='E'>16</memory>"), "<memory>: found \"16\", legal is a size below 16 EiB"},
    {D("<iothreads>9999</iothreads>"), "<iothreads>: found \"9999\", legal 0 to 8192"},
    {D("<iothreadids><iothread/></iothreadids>"), "<iothread>: found no id="},
    {D("<iothreadids><iothread id='0'/></iothreadids>"), "<iothread id=>: found \"0\""},
    {D("<iothreadids><iothread id='1'/><iothread id='1'/></iothreadids>"), "found id 1 twice"},
    {D("<cputune><vcpupin cpuset='1'/></cputune>"), "<vcpupin>: found no vcpu="},
    {D("<cputune><vcpupin vcpu='0'/></cputune>"), "<vcpupin>: found no cpuset="},
    {D("<cputune><vcpupin vcpu='0' cpuset=''/></cputune>"), "<vcpupin cpuset=>: found \"\""},
    {D("<cputune><vcpupin vcpu='0' cpuset='1'/><vcpupin vcpu='0' cpuset='2'/></cputune>"),
     "found vcpu 0 pinned twice"},
    {D("<cputune><emulatorpin cpuset='1'/></cputune><cputune><emulatorpin cpuset='1'/></cputune>"),
     "found emulator 0 pinned twice"},
    {D("<cputune><iothreadpin iothread='0' cpuset='1'/></cputune>"), "<iothreadpin iothread=>"},
    {D("<cpu><topology sockets='0'/></cpu>"), "<topology sockets=>: found \"0\""},
    {D("<cpu><feature policy='require'/></cpu>"), "<feature>: found no name="},
    {D("<cpu><numa><cell cpus='x'/></numa></cpu>"), "<cell cpus=>: found \"x\""},
    {D("<cpu><numa><cell memory='x'/></numa></cpu>"), "<cell memory=>: found \"x\""},
    {D("<cpu><numa><cell id='1'/><cell/></numa></cpu>"), "found a second one with id 1"},
};

START_TEST(refuses)
{
    VP_AUTO(vp_domain) struct vp_domain *domain = NULL;
    struct vp_error err = {0};

    ck_assert_int_eq(vp_domain_parse(refused[_i].xml, strlen(refused[_i].xml), &domain, &err), -1);
    ck_assert_ptr_null(domain);
    ck_assert_int_eq(err.code, VP_INPUT);
    ck_assert_msg(strstr(err.text, refused[_i].message), "%s: \"%s\" lacks \"%s\"", refused[_i].xml,
                  err.text, refused[_i].message);
    ck_assert_ptr_null(strchr(err.text, '\n'));
}
END_TEST

/* ---- hostile documents: refused, and soon ---- */

static char *repeat(const char *head, const char *unit, size_t count, const char *tail,
                    size_t *length)
{
    size_t size = strlen(unit);
    char *text = malloc(strlen(head) + size * count + strlen(tail) + 1);
    char *at;

    ck_assert_ptr_nonnull(text);
    at = stpcpy(text, head);
    for (size_t i = 0; i < count; i++, at += size)
        memcpy(at, unit, size);
    strcpy(at, tail);
    *length = strlen(text);
    return text;
}

static char *many_attributes(size_t count, size_t *length)
{
    char *text = malloc(count * 16 + 100);
    char *at;

    ck_assert_ptr_nonnull(text);
    at = stpcpy(text, "<domain><name>a</name><x");
    for (size_t i = 0; i < count; i++)
        at += sprintf(at, " a%zu=''", i);
    strcpy(at, "/></domain>");
    *length = strlen(text);
    return text;
}

static void check_hostile(char *text, size_t length, const char *message)
{
    VP_AUTO(vp_domain) struct vp_domain *domain = NULL;
    struct vp_error err = {0};
    clock_t begin = clock();
    double seconds;

    ck_assert_int_eq(vp_domain_parse(text, length, &domain, &err), -1);
    seconds = (double)(clock() - begin) / CLOCKS_PER_SEC;
    ck_assert_int_eq(err.code, VP_INPUT);
    ck_assert_msg(strstr(err.text, message), "\"%s\" lacks \"%s\"", err.text, message);
    ck_assert_msg(seconds < 2.0, "refused after %.1f s only: %s", seconds, err.text);
    free(text);
}

START_TEST(refuses_size)
{
    size_t length;
    char *text = repeat("<domain>", "                ", (16 << 20) / 16, "</domain>", &length);

    check_hostile(text, length, "legal are at most 16777216");
}
END_TEST

START_TEST(refuses_depth)
{
    size_t length;
    char *text = repeat("", "<a>", 1 << 20, "", &length);

    check_hostile(text, length, "found");
    text = repeat("<domain>", "<a>", 1000, "", &length);
    check_hostile(text, length, "not well-formed");
}
END_TEST

START_TEST(refuses_attributes)
{
    size_t length;
    char *text = many_attributes(800000, &length);

    check_hostile(text, length, "more than any domain has");
    text = many_attributes(30000, &length);
    check_hostile(text, length, "more than any domain has");
}
END_TEST

START_TEST(refuses_namespaces)
{
    size_t length, used;
    char *text = malloc(4 << 20);

    ck_assert_ptr_nonnull(text);
    used = (size_t)sprintf(text, "<domain><name>a</name>");
    for (int i = 0; i < 4000; i++)
        used += (size_t)sprintf(text + used, "%s xmlns:n%d='u%d'%s", i % 20 ? "" : "<m", i, i,
                                i % 20 == 19 ? ">" : "");
    for (int i = 0; i < 100000; i++)
        used += (size_t)sprintf(text + used, "<n0:a/>");
    length = used;
    check_hostile(text, length, "more than any domain has");
}
END_TEST

START_TEST(refuses_crowds)
{
    size_t length;
    char *text = repeat("<domain>", "<a/>", 3 << 20, "</domain>", &length);

    check_hostile(text, length, "more than any domain has");
}
END_TEST

/* Not wrong, so read: but soon, and in little memory. */
START_TEST(reads_wearying_lists)
{
    size_t length;
    char *text = repeat("<domain><name>a</name><vcpu cpuset='0", ",0-8191", 1 << 20,
                        "'>1</vcpu></domain>", &length);
    VP_AUTO(vp_domain) struct vp_domain *domain = NULL;
    clock_t begin = clock();

    ck_assert_int_eq(vp_domain_parse(text, length, &domain, NULL), 0);
    check_set(&domain->vcpu_cpuset, "0-8191");
    ck_assert_msg(clock() - begin < 2 * CLOCKS_PER_SEC, "took too long");
    free(text);
}
END_TEST

START_TEST(reads_wearying_metadata)
{
    VP_AUTO(free) char *uri = NULL;
    VP_AUTO(free) char *text = NULL;
    VP_AUTO(vp_domain) struct vp_domain *domain = NULL;
    size_t length;

    uri = repeat("<domain><name>a</name><metadata xmlns:a='", "xxxxxxxx", 1 << 19,
                 "'><b xmlns='urn:b'/>", &length);
    text = repeat(uri, "<a:c/>", 100000, "</metadata></domain>", &length);
    ck_assert_int_eq(vp_domain_parse(text, length, &domain, NULL), 0);
    ck_assert_uint_eq(domain->metadata_count, 1);
    ck_assert_str_eq(domain->metadata[0].name, "{urn:b}b");
}
END_TEST

START_TEST(refuses_bomb)
{
    static const char head[] = "<?xml version='1.0'?>\n<!DOCTYPE d [\n<!ENTITY a 'aaaaaaaaaa'>\n"
                               "<!ENTITY b '&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;'>\n";
    size_t length;
    char *text = repeat(head, "<!ENTITY c '&b;&b;&b;&b;&b;'>\n", 100000,
                        "]>\n<domain><name>&c;</name></domain>", &length);

    check_hostile(text, length, "line 2: found a DOCTYPE");
}
END_TEST

/* The input is bytes, not a string: nothing behind its end may be read. */
START_TEST(reads_only_its_bytes)
{
    static const char *const shorts[] = {"hello",
                                         "\xef\xbb\xbfh",
                                         "<",
                                         "<?xml",
                                         "<?xml encoding='",
                                         "<?xml encoding='x",
                                         "<?xml encoding='x'?>",
                                         "<!--"};

    for (size_t i = 0; i < sizeof(shorts) / sizeof(shorts[0]); i++) {
        VP_AUTO(vp_domain) struct vp_domain *domain = NULL;
        size_t length = strlen(shorts[i]);
        char *exact = malloc(length);
        struct vp_error err = {0};

        ck_assert_ptr_nonnull(exact);
        memcpy(exact, shorts[i], length);
        ck_assert_int_eq(vp_domain_parse(exact, length, &domain, &err), -1);
        ck_assert_int_eq(err.code, VP_INPUT);
        free(exact);
    }
}
END_TEST

START_TEST(refuses_nul)
{
    static const char text[] = "<domain><name>a\0</name></domain>";
    VP_AUTO(vp_domain) struct vp_domain *domain = NULL;
    struct vp_error err = {0};

    ck_assert_int_eq(vp_domain_parse(text, sizeof(text) - 1, &domain, &err), -1);
    ck_assert_str_eq(err.text, "found a NUL at byte 15, legal is XML text in UTF-8");
}
END_TEST

/* A guest that is big but honest is read. */
START_TEST(reads_largest)
{
    VP_AUTO(vp_domain) struct vp_domain *domain = NULL;
    char *text = malloc(2 << 20);
    size_t used;

    ck_assert_ptr_nonnull(text);
    used = (size_t)sprintf(text, "<domain><name>a</name><vcpu>8192</vcpu><cputune>");
    for (int i = 0; i < 8192; i++)
        used += (size_t)sprintf(text + used, "<vcpupin vcpu='%d' cpuset='%d'/>\n", i, i);
    strcpy(text + used, "</cputune></domain>");
    domain = read_text(text);
    free(text);
    ck_assert_uint_eq(domain->pins.count, 8192);
    check_set(&domain->pins.item[8191].cpus, "8191");
}
END_TEST

/* libxml2 has several ways to its own stderr; none may be taken. */
START_TEST(prints_nothing)
{
    static const char *const noisy[] = {
        "<domain><name>a</name><a xml:id='x'/><b xml:id='x'/></domain>",
        "<domain><name>a</name><metadata><p:q/></metadata></domain>",
        "<domain><name>a</name><x xmlns='relative'/><y xmlns:z=''/></domain>",
        "<domain><name>a</name><x a='1' a='2'/></domain>",
        "<domain><name>a</name></domain>&",
        "<?xml version='9.9'?><domain><name>a</name></domain>",
        "<domain xml:lang='?' xml:space='maybe'><name>a</name></domain>",
        "<!DOCTYPE d SYSTEM 'file:///nowhere'><domain/>",
    };
    char path[] = "/tmp/virtpin-stderr-XXXXXX";
    int file = mkstemp(path), old = dup(2);
    long size;

    ck_assert_int_ge(file, 0);
    unlink(path);
    dup2(file, 2);
    for (size_t i = 0; i < sizeof(noisy) / sizeof(noisy[0]); i++) {
        VP_AUTO(vp_domain) struct vp_domain *domain = NULL;

        vp_domain_parse(noisy[i], strlen(noisy[i]), &domain, NULL);
    }
    dup2(old, 2);
    size = lseek(file, 0, SEEK_END);
    close(file);
    close(old);
    ck_assert_int_eq(size, 0);
}
END_TEST

/* Of the operator's nodes of memory, not of those that virtpin wrote. */
START_TEST(cells_are_named)
{
    static const struct {
        const char *xml, *by;
    } named[] = {
        {"<numatune><memory mode='strict' nodeset='0'/></numatune>", NULL},
        {"<numatune><memnode cellid='0' mode='strict' nodeset='0'/></numatune>", "<memnode>"},
        {"<metadata><v:applied xmlns:v='urn:virtpin:applied:1' policy='p'/></metadata>"
         "<numatune><memnode cellid='0' mode='strict' nodeset='0'/></numatune>",
         "<memnode>"},
        {"<metadata><v:applied xmlns:v='urn:virtpin:applied:1' policy='p' memory='strict'/>"
         "</metadata><numatune><memnode cellid='0' mode='strict' nodeset='0'/></numatune>",
         NULL},
        {"<memoryBacking><hugepages><page size='2048' nodeset='0'/></hugepages></memoryBacking>",
         "<hugepages>"},
    };

    for (size_t i = 0; i < sizeof(named) / sizeof(named[0]); i++) {
        VP_AUTO(vp_domain) struct vp_domain *domain = NULL;
        struct vp_error err = {0};
        char xml[1024];

        snprintf(xml, sizeof(xml),
                 "<domain><name>a</name><vcpu>4</vcpu>%s<cpu><numa><cell id='0' cpus='0-3' "
                 "memory='4096'/></numa></cpu></domain>",
                 named[i].xml);
        ck_assert_msg(vp_domain_parse(xml, strlen(xml), &domain, &err) == 0, "%s", err.text);
        ck_assert_pstr_eq(domain->cells_named_by, named[i].by);
    }
}
END_TEST

#define ROWS(table) ((int)(sizeof(table) / sizeof((table)[0])))

static Suite *domain_suite(void)
{
    Suite *suite = suite_create("domain");
    TCase *read = tcase_create("read"), *refuse = tcase_create("refuse");
    TCase *hostile = tcase_create("hostile");

    tcase_add_test(read, reads_identity);
    tcase_add_test(read, reads_metadata);
    tcase_add_test(read, reads_threads);
    tcase_add_test(read, reads_guest_cpu);
    tcase_add_test(read, reads_defaults);
    tcase_add_test(read, gives_facts);
    tcase_add_test(read, sums_cells);
    tcase_add_test(read, reads_largest);
    tcase_add_test(read, cells_are_named);
    tcase_add_loop_test(read, reads_sizes, 0, ROWS(sizes));
    tcase_add_loop_test(refuse, refuses, 0, ROWS(refused));
    tcase_add_test(refuse, refuses_nul);
    tcase_add_test(refuse, reads_only_its_bytes);
    tcase_add_test(refuse, prints_nothing);
    tcase_set_timeout(hostile, 60);
    tcase_add_test(hostile, refuses_size);
    tcase_add_test(hostile, refuses_depth);
    tcase_add_test(hostile, refuses_attributes);
    tcase_add_test(hostile, refuses_namespaces);
    tcase_add_test(hostile, refuses_crowds);
    tcase_add_test(hostile, refuses_bomb);
    tcase_add_test(hostile, reads_wearying_lists);
    tcase_add_test(hostile, reads_wearying_metadata);
    suite_add_tcase(suite, read);
    suite_add_tcase(suite, refuse);
    suite_add_tcase(suite, hostile);
    return suite;
}

int main(void)
{
    SRunner *runner = srunner_create(domain_suite());
    int failed;

    xmlInitParser();
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    xmlCleanupParser();
    return failed == 0 ? 0 : 1;
}
