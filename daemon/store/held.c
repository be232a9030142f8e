/* SPDX-License-Identifier: MIT */
#include "store/held.h"

#include "proto/names.h"
#include "util/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#define MAGIC       "berth held 1\n"
#define N_RECORDS   1024 /* far above what any number of clusters with two slots each comes to */
#define BOOT_ID     37
#define REQUEST_MAX 64
#define CLUSTER_MAX 159

struct held_record {
        _Atomic int64_t grant; /* 0: not in use */
        int64_t lease;
        uint64_t time_usec;
        struct process_id process;
        uint32_t uid;
        int32_t slot;
        char namespace[NAMES_NAMESPACE_MAX + 1];
        char worker[NAMES_WORKER_MAX + 1];
        char cluster[CLUSTER_MAX + 1];
        char request[REQUEST_MAX + 1];
};

struct held_file {
        char magic[16];
        char boot_id[BOOT_ID];
        uint32_t record_size;
        _Atomic uint32_t
                has_overflown; /* more were held at a time than there is room for: it proves nothing */
        struct held_record records[N_RECORDS];
};

static int read_boot_id(char ret[BOOT_ID])
{
        _cleanup_close_ int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);

        memset(ret, 0, BOOT_ID);
        if (fd < 0)
                return -errno;
        return read(fd, ret, BOOT_ID - 1) == BOOT_ID - 1 ? 0 : -EIO;
}

static bool is_of_this_boot(const struct held_file *file, const char *boot_id)
{
        return !strncmp(file->magic, MAGIC, sizeof(file->magic)) &&
               !memcmp(file->boot_id, boot_id, BOOT_ID) && file->record_size == sizeof(struct held_record);
}

/* The magic last: what is cut short here was never a file of this boot. */
static void begin_anew(struct held_file *file, const char *boot_id)
{
        memset(file, 0, sizeof(*file));
        memcpy(file->boot_id, boot_id, BOOT_ID);
        file->record_size = sizeof(struct held_record);
        atomic_signal_fence(memory_order_release);
        (void)strcpy(file->magic, MAGIC);
}

static void trim(struct held *held)
{
        while (held->n_used && !held->file->records[held->n_used - 1].grant)
                held->n_used--;
}

static int map(const char *path, struct held_file **ret)
{
        _cleanup_close_ int fd = -1;
        struct held_file *file;
        struct stat stat;
        int r;

        fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
        if (fd < 0 || fstat(fd, &stat))
                return -errno;
        if (!S_ISREG(stat.st_mode))
                return -EINVAL;
        /* A store into a page that the disk has no room for would be a SIGBUS. */
        r = posix_fallocate(fd, 0, sizeof(*file));
        if (r)
                return -r;
        file = mmap(NULL, sizeof(*file), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        if (file == MAP_FAILED)
                return -errno;
        *ret = file;
        return 0;
}

int held_open(struct held *held, const char *directory)
{
        char path[PATH_MAX], boot_id[BOOT_ID];
        struct held_file *file = NULL;
        int r;

        *held = (struct held){0};
        if (snprintf(path, sizeof(path), "%s/ledger.held", directory) >= (int)sizeof(path))
                return -ENAMETOOLONG;
        r = read_boot_id(boot_id);
        if (!r)
                r = map(path, &file);
        if (r) {
                /* It would be out of date, and believed by the next life. */
                (void)unlink(path);
                return r;
        }
        held->is_known = is_of_this_boot(file, boot_id) && !file->has_overflown;
        if (!held->is_known)
                begin_anew(file, boot_id);
        held->file = file;
        held->n_used = N_RECORDS;
        trim(held);
        return 0;
}

void held_close(struct held *held)
{
        if (held->file)
                (void)munmap(held->file, sizeof(*held->file));
        held->file = NULL;
}

/* ---- writing ---- */

static struct held_record *find(const struct held *held, int64_t grant)
{
        for (unsigned i = 0; i < held->n_used; i++)
                if (held->file->records[i].grant == grant)
                        return &held->file->records[i];
        return NULL;
}

static void copy(char *to, size_t size, const char *text)
{
        (void)snprintf(to, size, "%s", text ? text : "");
}

static void put(struct held *held, const struct ledger_change *change)
{
        struct held_record *record = find(held, 0);

        if (!record && held->n_used < N_RECORDS)
                record = &held->file->records[held->n_used++];
        if (!record) {
                held->file->has_overflown = 1;
                return;
        }
        record->lease = change->lease;
        record->time_usec = change->time_usec;
        record->process = change->process;
        record->uid = change->uid;
        record->slot = change->slot;
        copy(record->namespace, sizeof(record->namespace), change->namespace);
        copy(record->worker, sizeof(record->worker), change->worker);
        copy(record->cluster, sizeof(record->cluster), change->cluster);
        copy(record->request, sizeof(record->request), change->request);
        atomic_store_explicit(&record->grant, change->grant, memory_order_release);
}

static void take_out(struct held *held, int64_t grant)
{
        struct held_record *record = find(held, grant);

        if (!record)
                return;
        atomic_store_explicit(&record->grant, 0, memory_order_release);
        trim(held);
}

void held_note(struct held *held, const struct ledger_change *change)
{
        if (!held->file || change->grant <= 0)
                return;
        if (change->kind == LEDGER_SLOT_GRANTED)
                put(held, change);
        else if (change->kind == LEDGER_SLOT_FREED)
                take_out(held, change->grant);
}

/* ---- reading ---- */

static const char *or_null(const char *text)
{
        return *text ? text : NULL;
}

static void read_record(const struct held_record *record, struct ledger_change *change)
{
        *change = (struct ledger_change){
                .kind = LEDGER_SLOT_GRANTED,
                .grant = record->grant,
                .lease = record->lease,
                .time_usec = record->time_usec,
                .process = record->process,
                .uid = record->uid,
                .slot = record->slot,
                .namespace = record->namespace,
                .worker = or_null(record->worker),
                .cluster = or_null(record->cluster),
                .request = or_null(record->request),
                .exit_status = -1,
        };
}

bool held_find(const struct held *held, int64_t grant, struct ledger_change *change)
{
        const struct held_record *record = held->file ? find(held, grant) : NULL;

        if (record)
                read_record(record, change);
        return record;
}

void held_each(const struct held *held, ledger_load_fn *each, void *owner)
{
        struct ledger_change change;

        for (unsigned i = 0; held->file && i < held->n_used; i++) {
                if (!held->file->records[i].grant)
                        continue;
                read_record(&held->file->records[i], &change);
                each(owner, &change);
        }
}
