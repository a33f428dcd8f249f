/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "host/ledger_priv.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "decide/error.h"
#include "host/clock.h"

/* Opening the database that is at the path, and judging it. */

enum look {
    LOOK_GOOD,
    LOOK_MISSING,
    LOOK_DAMAGED,
    LOOK_CHANGED, /* another file came to the path meanwhile: look again */
    LOOK_NEEDS_LOCK,
    LOOK_FAILED,
};

static int wait_busy(void *data, int count)
{
    const struct vp_ledger *ledger = data;
    struct timespec pause = {.tv_nsec = 500000};

    (void)count;
    if (vp_clock_ms() >= ledger->deadline_ms)
        return 0;
    nanosleep(&pause, NULL);
    return 1;
}

/* After each commit, still under our lock: the pages go into the database (a
 * few memory copies), so that next to nothing hangs on the -wal. While another
 * is connected SQLite then begins the log again by itself; else it grows, and
 * every opener would read it all: cut it off. Nobody is waited for; what a
 * reader hinders is done after the next commit. */
#define LONG_WAL 32 /* frames */

static int move_pages(void *data, sqlite3 *db, const char *name, int frames)
{
    struct vp_ledger *ledger = data;

    if (vp_ledger_step)
        vp_ledger_step("move-pages");
    ledger->deadline_ms = 0;
    sqlite3_wal_checkpoint_v2(
        db, name, frames > LONG_WAL ? SQLITE_CHECKPOINT_TRUNCATE : SQLITE_CHECKPOINT_PASSIVE, NULL,
        NULL);
    return SQLITE_OK; /* the commit stands whatever came of it */
}

static void connection_settings(struct vp_ledger *ledger, sqlite3 *db)
{
    sqlite3_extended_result_codes(db, 1);
    sqlite3_busy_handler(db, wait_busy, ledger);
    /* Nobody's close may delete the -wal that another has open, nor take the
     * exclusive lock that a stopped process would keep. */
    sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, (int *)NULL);
    sqlite3_wal_hook(db, move_pages, ledger);
}

static uint32_t big_endian(const unsigned char *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

/* Offsets: sqlite.org/fileformat2.html, 1.3. */
bool vp_ledger_header_good(sqlite3 *db, bool *short_file)
{
    unsigned char header[100];
    sqlite3_file *file = NULL;
    sqlite3_int64 size = 0;
    uint32_t page;

    if (sqlite3_file_control(db, "main", SQLITE_FCNTL_FILE_POINTER, &file) != SQLITE_OK || !file ||
        !file->pMethods)
        return false;
    if (file->pMethods->xFileSize(file, &size) != SQLITE_OK || size < (int)sizeof(header) ||
        file->pMethods->xRead(file, header, sizeof(header), 0) != SQLITE_OK)
        return false;
    page = (uint32_t)header[16] << 8 | header[17];
    *short_file = (sqlite3_int64)big_endian(header + 28) * page > size;
    return memcmp(header, "SQLite format 3", 16) == 0 && page >= 512 &&
           big_endian(header + 68) == VP_LEDGER_APPLICATION;
}

/* Of this process; they share what they have mapped of one -shm. */
static atomic_int connections;

void vp_ledger_detach(struct vp_ledger *ledger)
{
    vp_sql_finalize_all(ledger);
    if (ledger->db)
        atomic_fetch_sub(&connections, 1);
    sqlite3_close(ledger->db);
    ledger->db = NULL;
}

static int check_version(struct vp_ledger *ledger, struct vp_error *err)
{
    int version;

    if (vp_sql_step(ledger, VP_SQL_VERSION, err) != SQLITE_ROW)
        return -1;
    version = sqlite3_column_int(ledger->statement[VP_SQL_VERSION], 0);
    vp_sql_done(ledger, VP_SQL_VERSION);
    if (version / 1000 > VP_LEDGER_MAJOR)
        return vp_fail(err, VP_HOST,
                       "ledger %s has schema %d.%d, this program knows %d.%d: restart it, or update"
                       " the package",
                       ledger->path[VP_FILE_DB], version / 1000, version % 1000, VP_LEDGER_MAJOR,
                       VP_LEDGER_MINOR);
    if (version / 1000 < VP_LEDGER_MAJOR)
        return vp_ledger_nonsense(ledger, "it has no schema version", err);
    return 0;
}

int vp_ledger_check(struct vp_ledger *ledger, uint64_t witness, struct vp_error *err)
{
    uint64_t adopt = 0;

    if (check_version(ledger, err) < 0 ||
        vp_ledger_meta_number(ledger, "serial", &ledger->serial, err) < 0)
        return -1;
    if (ledger->serial == 0 || ledger->serial < witness)
        return vp_ledger_nonsense(ledger, "its last transactions are missing", err);
    if (vp_ledger_meta_number(ledger, "adopt", &adopt, err) < 0)
        return -1;
    ledger->rebuilt = adopt != 0;
    return 0;
}

/* All pages, all cells: only where the file is shorter than its header says,
 * which is sound while the rest is in the -wal. */
static int check_pages(struct vp_ledger *ledger, struct vp_error *err)
{
    sqlite3_stmt *statement = NULL;
    const unsigned char *verdict = NULL;
    int rc = sqlite3_prepare_v2(ledger->db, "PRAGMA quick_check(1)", -1, &statement, NULL);
    bool good;

    if (rc == SQLITE_OK && sqlite3_step(statement) == SQLITE_ROW)
        verdict = sqlite3_column_text(statement, 0);
    good = verdict && strcmp((const char *)verdict, "ok") == 0;
    rc = sqlite3_finalize(statement);
    if (good)
        return 0;
    if ((rc & 0xff) == SQLITE_BUSY || (rc & 0xff) == SQLITE_NOMEM)
        return vp_sql_fail(ledger, rc, "check", err);
    return vp_ledger_nonsense(ledger, "it is cut off", err);
}

static int connect_database(struct vp_ledger *ledger, struct vp_error *err)
{
    bool short_file = false;
    uint64_t witness = vp_ledger_witness(ledger); /* before the database: it may only be older */
    int rc = sqlite3_open_v2(ledger->path[VP_FILE_DB], &ledger->db,
                             SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);

    if (ledger->db)
        atomic_fetch_add(&connections, 1);
    if (rc != SQLITE_OK)
        return vp_sql_fail(ledger, rc, "open", err);
    connection_settings(ledger, ledger->db);
    if (!vp_ledger_header_good(ledger->db, &short_file))
        return vp_ledger_nonsense(ledger, "it is not a ledger", err);
    rc = sqlite3_exec(ledger->db, "PRAGMA synchronous = OFF; PRAGMA cell_size_check = ON", NULL,
                      NULL, NULL);
    if (rc != SQLITE_OK)
        return vp_sql_fail(ledger, rc, "settings", err);
    if (short_file && check_pages(ledger, err) < 0)
        return -1;
    return vp_ledger_check(ledger, witness, err);
}

/* Whether what SQLite opened between two looks is what both saw. The first of
 * all makes -wal and -shm: these may have come in between. */
static bool same_files(struct vp_ledger *ledger, const struct vp_file_id before[3])
{
    for (int i = VP_FILE_DB; i <= VP_FILE_SHM; i++) {
        ledger->id[i] = vp_ledger_id(ledger, (enum vp_ledger_file)i);
        if (!ledger->id[i].there)
            return false;
        if ((before[i].there || i == VP_FILE_DB) && !vp_ledger_same_id(&before[i], &ledger->id[i]))
            return false;
    }
    return true;
}

static enum look look_at_path(struct vp_ledger *ledger, struct vp_file_id id[3],
                              struct vp_error *err)
{
    struct stat st;

    if (lstat(ledger->path[VP_FILE_DB], &st) < 0) {
        if (errno == ENOENT)
            return LOOK_MISSING;
        vp_fail_errno(err, VP_HOST, errno, "cannot look at %s", ledger->path[VP_FILE_DB]);
        return LOOK_FAILED;
    }
    if (!S_ISREG(st.st_mode)) {
        vp_fail(err, VP_HOST, "ledger %s is damaged: not a regular file", ledger->path[VP_FILE_DB]);
        return LOOK_DAMAGED;
    }
    for (int i = VP_FILE_DB; i <= VP_FILE_SHM; i++)
        id[i] = vp_ledger_id(ledger, (enum vp_ledger_file)i);
    /* An index without its log would send readers to frames that are gone. */
    if (!id[VP_FILE_WAL].there && id[VP_FILE_SHM].there) {
        if (!ledger->locked)
            return LOOK_NEEDS_LOCK;
        (void)unlink(ledger->path[VP_FILE_SHM]);
        id[VP_FILE_SHM].there = false;
    }
    if (id[VP_FILE_SHM].there && atomic_load(&connections) > 0)
        (void)vp_ledger_shm_whole(ledger);
    return LOOK_GOOD;
}

static enum look look(struct vp_ledger *ledger, struct vp_error *err)
{
    struct vp_file_id before[3] = {{0}};
    enum look seen = look_at_path(ledger, before, err);
    bool damaged;

    if (seen != LOOK_GOOD)
        return seen;
    ledger->damaged = false;
    if (connect_database(ledger, err) == 0) {
        if (same_files(ledger, before))
            return LOOK_GOOD;
        vp_ledger_detach(ledger);
        return LOOK_CHANGED;
    }
    damaged = ledger->damaged;
    ledger->damaged = false;
    vp_ledger_detach(ledger);
    return damaged ? LOOK_DAMAGED : LOOK_FAILED;
}

#define SOME_LOOKS 3
#define LOOKS 10

/* What to do about it, seen so many times: 0 look again, -1 failed. */
static int act_on(struct vp_ledger *ledger, enum look seen, int times, struct vp_error *err)
{
    if (seen == LOOK_FAILED || (seen == LOOK_DAMAGED && !ledger->may_create))
        return -1;
    if (seen == LOOK_CHANGED && (times < SOME_LOOKS || !ledger->may_create))
        return 0;
    if (seen == LOOK_MISSING && !ledger->may_create)
        return vp_fail(err, VP_GONE, "there is no ledger at %s", ledger->path[VP_FILE_DB]);
    if (!ledger->locked) /* and judge again what is there by then */
        return vp_ledger_lock(ledger, err);
    /* SQLite shares one -shm among a process's connections to one inode, also
     * when that file is no longer the one at the path; only another inode of
     * the database gets another. */
    if (seen == LOOK_CHANGED)
        return vp_ledger_copy(ledger, err);
    if (seen == LOOK_DAMAGED)
        vp_ledger_set_aside(ledger);
    return vp_ledger_create(ledger, err);
}

int vp_ledger_attach(struct vp_ledger *ledger, struct vp_error *err)
{
    bool had_lock = ledger->locked;
    enum look seen = LOOK_CHANGED;
    int result = 0;

    vp_ledger_detach(ledger);
    for (int i = 0; i < LOOKS && seen != LOOK_GOOD && result == 0; i++) {
        seen = look(ledger, err);
        if (seen != LOOK_GOOD)
            result = act_on(ledger, seen, i, err);
    }
    if (!had_lock)
        vp_ledger_unlock(ledger);
    if (result == 0 && seen != LOOK_GOOD)
        result = vp_fail(err, VP_BUSY, "ledger %s is replaced again and again",
                         ledger->path[VP_FILE_DB]);
    return result;
}
