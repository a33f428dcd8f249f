/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "decide/domain.h"
#include "decide/error.h"

static const struct {
    const char *type, *inside; /* of <domain>, and what stands in it */
    unsigned vhosts;
    const char *pci; /* joined by blanks */
} cases[] = {
    {"kvm", "", 0, ""},
    {"kvm", "<devices/>", 0, ""},
    {"kvm", "<devices><interface type='network'><model type='virtio'/></interface></devices>", 1,
     ""},
    {"qemu", "<devices><interface type='network'><model type='virtio'/></interface></devices>", 0,
     ""},
    {"qemu",
     "<devices><interface type='bridge'><model type='virtio'/><driver name='vhost'/></interface>"
     "</devices>",
     1, ""},
    {"kvm",
     "<devices><interface type='direct'><model type='virtio-non-transitional'/>"
     "<driver queues='4'/></interface><interface type='bridge'><model type='virtio'/>"
     "</interface></devices>",
     5, ""},
    {"kvm",
     "<devices><interface type='network'><model type='virtio'/><driver name='qemu'/></interface>"
     "</devices>",
     0, ""},
    {"kvm", "<devices><interface type='user'><model type='virtio'/></interface></devices>", 0, ""},
    {"kvm", "<devices><interface type='vhostuser'><model type='virtio'/></interface></devices>", 0,
     ""},
    {"kvm", "<devices><interface type='network'><model type='e1000'/></interface></devices>", 0,
     ""},
    {"qemu", "<devices><vsock model='virtio'/></devices>", 1, ""},
    {"kvm", "<devices><hostdev mode='subsystem' type='scsi_host'/></devices>", 1, ""},
    {"kvm",
     "<devices><hostdev mode='subsystem' type='pci'><source><address domain='0x0000' bus='0x3b' "
     "slot='0x00' function='0x1'/></source><address type='pci' bus='0x05'/></hostdev></devices>",
     0, "0000:3b:00.1"},
    {"kvm",
     "<devices><interface type='hostdev'><source><address type='pci' domain='0x10000' bus='0x3b' "
     "slot='0x1f' function='0x7'/></source></interface><hostdev type='usb'><source/></hostdev>"
     "<hostdev type='pci'><source><address bus='5'/></source></hostdev></devices>",
     0, "10000:3b:1f.7 0000:05:00.0"},
};

static char *document(const char *type, const char *inside)
{
    char *text;

    ck_assert_int_gt(asprintf(&text,
                              "<domain type='%s'><name>g</name><memory>1048576</memory>"
                              "<vcpu>2</vcpu>%s</domain>",
                              type, inside),
                     0);
    return text;
}

START_TEST(reads)
{
    char *text = document(cases[_i].type, cases[_i].inside);
    struct vp_domain *domain = NULL;
    struct vp_error err = {0};
    char pci[256] = "";

    ck_assert_msg(vp_domain_parse(text, strlen(text), &domain, &err) == 0, "%s", err.text);
    ck_assert_uint_eq(domain->vhosts, cases[_i].vhosts);
    for (size_t i = 0; i < domain->pci.count; i++) {
        strcat(pci, i > 0 ? " " : "");
        strcat(pci, domain->pci.item[i]);
    }
    ck_assert_str_eq(pci, cases[_i].pci);
    vp_domain_free(domain);
    free(text);
}
END_TEST

static const struct {
    const char *inside;
    bool huge;
    unsigned long page_kib;
} pages[] = {
    {"", false, 0},
    {"<memoryBacking><nosharepages/></memoryBacking>", false, 0},
    {"<memoryBacking><hugepages/></memoryBacking>", true, 0},
    {"<memoryBacking><hugepages><page size='2' unit='M'/></hugepages></memoryBacking>", true, 2048},
    {"<memoryBacking><hugepages><page size='1048576' unit='KiB' nodeset='0'/></hugepages>"
     "</memoryBacking>",
     true, 1048576},
};

START_TEST(reads_pages)
{
    char *text = document("kvm", pages[_i].inside);
    struct vp_domain *domain = NULL;
    struct vp_error err = {0};

    ck_assert_msg(vp_domain_parse(text, strlen(text), &domain, &err) == 0, "%s", err.text);
    ck_assert_int_eq(domain->huge_pages, pages[_i].huge);
    ck_assert_uint_eq(domain->page_kib, pages[_i].page_kib);
    vp_domain_free(domain);
    free(text);
}
END_TEST

static const struct {
    const char *inside, *says;
} bad[] = {
    {"<devices><hostdev type='pci'><source><address bus='0x100'/></source></hostdev></devices>",
     "bus: found \"0x100\", legal 0x0 to 0xff"},
    {"<devices><hostdev type='pci'><source><address slot='x'/></source></hostdev></devices>",
     "slot: found \"x\""},
    {"<devices><hostdev type='pci'><source><address function='-1'/></source></hostdev></devices>",
     "function: found \"-1\""},
    {"<devices><interface type='bridge'><model type='virtio'/><driver queues='0'/></interface>"
     "</devices>",
     "queues"},
};

START_TEST(refuses)
{
    char *text = document("kvm", bad[_i].inside);
    struct vp_domain *domain = NULL;
    struct vp_error err = {0};

    ck_assert_int_eq(vp_domain_parse(text, strlen(text), &domain, &err), -1);
    ck_assert_int_eq(err.code, VP_INPUT);
    ck_assert_msg(strstr(err.text, bad[_i].says), "%s", err.text);
    free(text);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("devices");
    TCase *core = tcase_create("core");
    SRunner *runner;
    int failed;

    tcase_add_loop_test(core, reads, 0, sizeof(cases) / sizeof(cases[0]));
    tcase_add_loop_test(core, reads_pages, 0, sizeof(pages) / sizeof(pages[0]));
    tcase_add_loop_test(core, refuses, 0, sizeof(bad) / sizeof(bad[0]));
    suite_add_tcase(suite, core);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
