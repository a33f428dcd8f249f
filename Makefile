# virtpin: `make` builds build/virtpin, build/virtpind, build/virtpin-hook.
# Variables: PREFIX, DESTDIR, CC, CFLAGS, BUILD (the build directory), V=1.

PREFIX      ?= /usr
SBINDIR     ?= $(PREFIX)/sbin
BINDIR      ?= $(PREFIX)/bin
LIBEXECDIR  ?= $(PREFIX)/libexec/virtpin
DATADIR     ?= $(PREFIX)/share/virtpin
MANDIR      ?= $(PREFIX)/share/man
SYSCONFDIR  ?= /etc
UNITDIR     ?= $(PREFIX)/lib/systemd/system
HOOKDIR     ?= $(SYSCONFDIR)/libvirt/hooks
BUILD       ?= build
FUZZ_SECONDS ?= 60

CC          ?= gcc
CFLAGS      ?= -O2 -g
WARNINGS    := -Wall -Wextra -Wshadow -Wconversion -Wno-sign-conversion -Wstrict-prototypes \
               -Wmissing-prototypes -Wpointer-arith -Wwrite-strings -Wvla -Wformat=2 -Wundef
VERSION     := $(shell git describe --tags --always --dirty 2>/dev/null || cat VERSION 2>/dev/null || echo 0.1.0)

PKGS        := libxml-2.0 sqlite3 hwloc inih json-c libsystemd libmd
PKG_CFLAGS  := $(shell pkg-config --cflags $(PKGS) libvirt libcgroup 2>/dev/null)
DEFINES     := -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 -DVP_LIBEXECDIR='"$(LIBEXECDIR)"' \
               -DVP_SYSCONFDIR='"$(SYSCONFDIR)"' -DVP_PREFIX='"$(PREFIX)"' -DVP_DATADIR='"$(DATADIR)"'
ALL_CFLAGS  := -std=gnu11 $(CFLAGS) $(WARNINGS) $(DEFINES) -I. -I$(BUILD) $(PKG_CFLAGS) -MMD -MP

LIBS_WORKER := -lxml2 -lsqlite3 -lhwloc -linih -lmd
LIBS_FULL   := $(LIBS_WORKER) -lvirt -lcgroup -ljson-c -lsystemd -lpthread
LDFLAGS     ?=
ALL_LDFLAGS := -Wl,--as-needed $(LDFLAGS)

ifeq ($(V),1)
Q :=
else
Q := @
endif
say = @printf '  %-7s %s\n' $(1) $(2)

DECIDE_OBJ   := $(patsubst %.c,$(BUILD)/%.o,$(wildcard decide/*.c))
HOST_OBJ     := $(patsubst %.c,$(BUILD)/%.o,$(wildcard host/*.c))
WORKER_OBJ   := $(patsubst %.c,$(BUILD)/%.o,$(filter-out hook/launcher.c,$(wildcard hook/*.c)))
ENFORCER_OBJ := $(patsubst %.c,$(BUILD)/%.o,$(wildcard enforcer/*.c))
CTL_OBJ      := $(patsubst %.c,$(BUILD)/%.o,$(wildcard ctl/*.c))
ARCHIVES     := $(BUILD)/libhost.a $(BUILD)/libdecide.a

.PHONY: all clean
all: $(BUILD)/virtpin $(BUILD)/virtpind $(BUILD)/virtpin-hook $(BUILD)/virtpin-hook-worker

$(BUILD)/version.h: FORCE
	@mkdir -p $(BUILD)
	@printf '#define VP_VERSION "%s"\n' '$(VERSION)' >$@.new; \
	 cmp -s $@.new $@ 2>/dev/null && rm -f $@.new || mv $@.new $@
.PHONY: FORCE
FORCE:

$(BUILD)/%.o: %.c | $(BUILD)/version.h
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(CC) $(ALL_CFLAGS) -c -o $@ $<

$(BUILD)/libdecide.a: $(DECIDE_OBJ)
$(BUILD)/libhost.a: $(HOST_OBJ)
$(BUILD)/lib%.a:
	$(call say,AR,$@)
	$(Q)rm -f $@ && ar rcs $@ $^

$(BUILD)/virtpin: $(CTL_OBJ) $(ARCHIVES)
	$(call say,LD,$@)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $(CTL_OBJ) $(ARCHIVES) $(LIBS_FULL)

$(BUILD)/virtpind: $(ENFORCER_OBJ) $(ARCHIVES)
	$(call say,LD,$@)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $(ENFORCER_OBJ) $(ARCHIVES) $(LIBS_FULL)

$(BUILD)/virtpin-hook-worker: $(WORKER_OBJ) $(ARCHIVES)
	$(call say,LD,$@)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $(WORKER_OBJ) $(ARCHIVES) $(LIBS_WORKER)

# Static and without any library, so that no missing library can make it fail.
$(BUILD)/virtpin-hook: $(BUILD)/hook/launcher.o
	$(call say,LD,$@)
	$(Q)$(CC) $(LDFLAGS) -static -o $@ $<

clean:
	rm -rf $(BUILD)

include tests/tests.mk

-include $(wildcard $(BUILD)/*/*.d $(BUILD)/tests/*/*.d)
