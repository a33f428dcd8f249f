/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "host/ledger_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#include "decide/error.h"
#include "host/clock.h"

/* The ledger's files: which they are, who holds the lock, moving aside and
 * making anew. A database and a -shm that stay in use are never opened here by
 * descriptor: closing one would drop SQLite's POSIX locks on the file in this
 * process (sqlite.org/howtocorrupt.html, 2.2). */

static const char *const suffix[VP_FILE_COUNT] = {
    [VP_FILE_DB] = "ledger.db",
    [VP_FILE_WAL] = "ledger.db-wal",
    [VP_FILE_SHM] = "ledger.db-shm",
    [VP_FILE_LOCK] = "ledger.lock",
    [VP_FILE_NEW] = "ledger.db.new",
    [VP_FILE_NEW_WAL] = "ledger.db.new-wal",
    [VP_FILE_NEW_SHM] = "ledger.db.new-shm",
    [VP_FILE_BROKEN] = "ledger.db.broken",
    [VP_FILE_BROKEN_WAL] = "ledger.db.broken-wal",
};

/* The first region of SQLite's wal-index (WALINDEX_PGSZ, wal.c). */
#define SHM_REGION 32768

static void step(const char *name)
{
    if (vp_ledger_step)
        vp_ledger_step(name);
}

int vp_ledger_paths(struct vp_ledger *ledger, const char *run_dir, struct vp_error *err)
{
    for (int i = 0; i < VP_FILE_COUNT; i++) {
        if (asprintf(&ledger->path[i], "%s/%s", run_dir, suffix[i]) < 0) {
            ledger->path[i] = NULL;
            return vp_fail(err, VP_HOST, "no memory for the ledger's paths");
        }
    }
    return 0;
}

/* ---- the lock ---- */

int vp_ledger_lock_open(struct vp_ledger *ledger, struct vp_error *err)
{
    const char *path = ledger->path[VP_FILE_LOCK];

    if (ledger->lock_fd >= 0)
        return 0;
    ledger->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (ledger->lock_fd < 0 && errno == EROFS) { /* flock needs no right to write */
        ledger->lock_fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
        if (ledger->lock_fd < 0 && errno == ENOENT)
            errno = EROFS; /* it is missing because it cannot be made */
    }
    if (ledger->lock_fd < 0)
        return vp_fail_errno(err, VP_HOST, errno, "cannot open %s", path);
    return 0;
}

/* Whether the lock that we hold is the one that the others would take. */
static bool lock_is_current(const struct vp_ledger *ledger)
{
    struct stat ours, there;

    return fstat(ledger->lock_fd, &ours) == 0 && stat(ledger->path[VP_FILE_LOCK], &there) == 0 &&
           ours.st_dev == there.st_dev && ours.st_ino == there.st_ino;
}

static void sleep_1ms(void)
{
    struct timespec pause = {.tv_nsec = 1000000};

    nanosleep(&pause, NULL);
}

int vp_ledger_lock(struct vp_ledger *ledger, struct vp_error *err)
{
    int64_t deadline = vp_clock_ms() + ledger->lock_ms;

    ledger->deadline_ms = deadline;
    while (!ledger->locked) {
        if (vp_ledger_lock_open(ledger, err) < 0)
            return -1;
        if (flock(ledger->lock_fd, LOCK_EX | LOCK_NB) == 0) {
            if (lock_is_current(ledger)) {
                ledger->locked = true;
                return 0;
            }
            close(ledger->lock_fd);
            ledger->lock_fd = -1;
        } else if (errno != EWOULDBLOCK && errno != EINTR) {
            return vp_fail_errno(err, VP_HOST, errno, "cannot lock %s", ledger->path[VP_FILE_LOCK]);
        }
        if (vp_clock_ms() >= deadline)
            return vp_fail(err, VP_BUSY, "%s is held by another process for more than %u ms",
                           ledger->path[VP_FILE_LOCK], ledger->lock_ms);
        if (ledger->lock_fd >= 0)
            sleep_1ms();
    }
    return 0;
}

void vp_ledger_unlock(struct vp_ledger *ledger)
{
    if (!ledger->locked)
        return;
    flock(ledger->lock_fd, LOCK_UN);
    ledger->locked = false;
}

/* The lock file holds the serial of the last commit. A database that says less
 * has lost something (its -wal was deleted or spoilt, an old copy was put in
 * its place), which SQLite by itself takes for a sound older state. */
#define WITNESS_DIGITS 20

uint64_t vp_ledger_witness(const struct vp_ledger *ledger)
{
    char text[WITNESS_DIGITS + 1] = "";
    char *end;
    unsigned long long serial;

    if (pread(ledger->lock_fd, text, WITNESS_DIGITS, 0) != WITNESS_DIGITS)
        return 0;
    if (text[0] < '0' || text[0] > '9')
        return 0;
    serial = strtoull(text, &end, 10);
    return *end == '\0' ? serial : 0;
}

void vp_ledger_witness_set(const struct vp_ledger *ledger, uint64_t serial)
{
    char text[32];
    int length =
        snprintf(text, sizeof(text), "%0*llu\n", WITNESS_DIGITS, (unsigned long long)serial);

    /* A witness that could not be written is an older one: it proves less, but
     * nothing that is wrong. */
    if (pwrite(ledger->lock_fd, text, (size_t)length, 0) != length)
        return;
}

/* ---- which files these are ---- */

struct vp_file_id vp_ledger_id(const struct vp_ledger *ledger, enum vp_ledger_file file)
{
    struct vp_file_id id = {0};
    struct stat st;

    if (lstat(ledger->path[file], &st) == 0) {
        id.there = true;
        id.dev = st.st_dev;
        id.ino = st.st_ino;
    }
    return id;
}

bool vp_ledger_same_id(const struct vp_file_id *a, const struct vp_file_id *b)
{
    return a->there && b->there && a->dev == b->dev && a->ino == b->ino;
}

bool vp_ledger_shm_whole(const struct vp_ledger *ledger)
{
    const char *path = ledger->path[VP_FILE_SHM];
    struct stat st;

    return stat(path, &st) == 0 && (st.st_size >= SHM_REGION || truncate(path, SHM_REGION) == 0);
}

bool vp_ledger_is_current(struct vp_ledger *ledger)
{
    bool short_file;

    if (!ledger->db)
        return false;
    for (int i = VP_FILE_DB; i <= VP_FILE_SHM; i++) {
        struct vp_file_id now = vp_ledger_id(ledger, (enum vp_ledger_file)i);
        if (!vp_ledger_same_id(&now, &ledger->id[i]))
            return false;
    }
    return vp_ledger_shm_whole(ledger) && vp_ledger_header_good(ledger->db, &short_file);
}

/* ---- aside and anew ---- */

void vp_ledger_set_aside(struct vp_ledger *ledger)
{
    /* The database first: from here on it is missing for everybody, and what
     * is left of it is swept by vp_ledger_create. */
    step("set-aside");
    (void)rename(ledger->path[VP_FILE_DB], ledger->path[VP_FILE_BROKEN]);
    step("set-aside-wal");
    (void)rename(ledger->path[VP_FILE_WAL], ledger->path[VP_FILE_BROKEN_WAL]);
    (void)unlink(ledger->path[VP_FILE_SHM]);
}

static void remove_new(struct vp_ledger *ledger)
{
    (void)unlink(ledger->path[VP_FILE_NEW]);
    (void)unlink(ledger->path[VP_FILE_NEW_WAL]);
    (void)unlink(ledger->path[VP_FILE_NEW_SHM]);
}

static const char schema[] =
    "PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF; BEGIN;"
    "PRAGMA application_id = %d; PRAGMA user_version = %d;"
    "CREATE TABLE guest(uuid TEXT PRIMARY KEY, name TEXT NOT NULL, pid INTEGER NOT NULL,"
    " pid_start INTEGER NOT NULL, policy TEXT NOT NULL, policy_hash TEXT NOT NULL,"
    " mode TEXT NOT NULL, state TEXT NOT NULL, operation TEXT NOT NULL,"
    " daemon_pid INTEGER NOT NULL, daemon_start INTEGER NOT NULL, since INTEGER NOT NULL,"
    " held_until INTEGER NOT NULL, hold_until INTEGER NOT NULL, gen INTEGER NOT NULL,"
    " fixed TEXT NOT NULL, plan TEXT, pending TEXT, unplaced TEXT, would TEXT) WITHOUT ROWID;"
    "CREATE TABLE cpu(cpu INTEGER PRIMARY KEY, uuid TEXT NOT NULL, use TEXT NOT NULL"
    " CHECK(use IN ('vcpu', 'emulator', 'iothread', 'vhost', 'idle', 'fixed')));"
    "CREATE TABLE request(id INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL,"
    " uuid TEXT NOT NULL, UNIQUE(kind, uuid));"
    "CREATE TABLE drift(id INTEGER PRIMARY KEY AUTOINCREMENT, guest TEXT NOT NULL,"
    " uuid TEXT NOT NULL, tid INTEGER NOT NULL, role TEXT NOT NULL, number INTEGER NOT NULL,"
    " kind TEXT NOT NULL, path TEXT NOT NULL, wanted TEXT NOT NULL, found TEXT NOT NULL,"
    " wanted_text TEXT NOT NULL, found_text TEXT NOT NULL, first INTEGER NOT NULL,"
    " last INTEGER NOT NULL, count INTEGER NOT NULL, state TEXT NOT NULL,"
    " repaired INTEGER NOT NULL, repair_us INTEGER NOT NULL, by_pid INTEGER NOT NULL,"
    " by_comm TEXT NOT NULL, by_uid INTEGER NOT NULL, by_unit TEXT NOT NULL,"
    " by_tty TEXT NOT NULL, by_exact INTEGER NOT NULL);"
    "CREATE TABLE meta(key TEXT PRIMARY KEY, value) WITHOUT ROWID;"
    "INSERT INTO meta VALUES('gen', %lld), ('serial', %llu), ('adopt', 1);"
    "COMMIT;";

static int write_schema(struct vp_ledger *ledger, sqlite3 *db, struct vp_error *err)
{
    char *text;
    char *message = NULL;
    struct timespec now;
    int rc;

    clock_gettime(CLOCK_REALTIME, &now);
    text = sqlite3_mprintf(schema, VP_LEDGER_APPLICATION, VP_LEDGER_MAJOR * 1000 + VP_LEDGER_MINOR,
                           (long long)now.tv_sec * 1000 + now.tv_nsec / 1000000,
                           (unsigned long long)vp_ledger_witness(ledger) + 1);
    if (!text)
        return vp_fail(err, VP_HOST, "no memory for the ledger's schema");
    rc = sqlite3_exec(db, text, NULL, NULL, &message);
    sqlite3_free(text);
    if (rc != SQLITE_OK)
        vp_fail(err, VP_HOST, "cannot make %s: %s", ledger->path[VP_FILE_NEW],
                message ? message : sqlite3_errstr(rc));
    sqlite3_free(message);
    return rc == SQLITE_OK ? 0 : -1;
}

static int build_new(struct vp_ledger *ledger, struct vp_error *err)
{
    const char *path = ledger->path[VP_FILE_NEW];
    sqlite3 *db = NULL;
    int fd, rc, result;

    /* SQLite gives -wal and -shm the mode that the database has. */
    fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return vp_fail_errno(err, VP_HOST, errno, "cannot make %s", path);
    close(fd);
    rc = sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);
    if (rc == SQLITE_OK) {
        step("schema");
        result = write_schema(ledger, db, err);
    } else {
        result = vp_fail(err, VP_HOST, "cannot make %s: %s", path, sqlite3_errstr(rc));
    }
    /* The last close moves all into the database and removes its -wal. */
    rc = sqlite3_close(db);
    if (result == 0 && (rc != SQLITE_OK || access(ledger->path[VP_FILE_NEW_WAL], F_OK) == 0))
        result = vp_fail(err, VP_HOST, "cannot make %s: its contents could not be written", path);
    return result;
}

/* The new database takes the path; a -wal of another would be read as its own. */
static int place_new(struct vp_ledger *ledger, struct vp_error *err)
{
    step("sweep");
    (void)unlink(ledger->path[VP_FILE_WAL]);
    (void)unlink(ledger->path[VP_FILE_SHM]);
    step("place");
    if (rename(ledger->path[VP_FILE_NEW], ledger->path[VP_FILE_DB]) == 0)
        return 0;
    return vp_fail_errno(err, VP_HOST, errno, "cannot rename %s", ledger->path[VP_FILE_NEW]);
}

int vp_ledger_create(struct vp_ledger *ledger, struct vp_error *err)
{
    int result;

    remove_new(ledger);
    step("build");
    result = build_new(ledger, err);
    if (result == 0)
        result = place_new(ledger, err);
    if (result < 0)
        remove_new(ledger);
    return result;
}

static int copy_bytes(int from, int to)
{
    char buf[16384];
    ssize_t length;

    while ((length = read(from, buf, sizeof(buf))) > 0)
        if (write(to, buf, (size_t)length) != length)
            return -1;
    return length < 0 ? -1 : 0;
}

int vp_ledger_copy(struct vp_ledger *ledger, struct vp_error *err)
{
    int result = 0;
    int from, to;

    remove_new(ledger);
    step("copy");
    from = open(ledger->path[VP_FILE_DB], O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    to = open(ledger->path[VP_FILE_NEW], O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (from < 0 || to < 0 || copy_bytes(from, to) < 0)
        result = vp_fail_errno(err, VP_HOST, errno, "cannot copy %s", ledger->path[VP_FILE_DB]);
    if (from >= 0)
        close(from);
    if (to >= 0)
        close(to);
    if (result == 0)
        result = place_new(ledger, err);
    if (result < 0)
        remove_new(ledger);
    return result;
}
