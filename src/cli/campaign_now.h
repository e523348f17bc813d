/* campaign_now.h - OUTPUT/now.json: how what runs is getting on, written about once a second by who runs the campaign
 *
 *   {"at": unix_seconds, "host": "...", "pid": n,
 *    "running": [{"task": "a/mmlu", "worker": 17, "devices": "0-1", "node": "n1", "seconds": 12.5, "done": 120,
 *                 "total": 400, "per_s": 3.5, "alive_s": 0.4}],
 *    "workers": [{"worker": 17, "model": "a", "devices": "0", "node": "n1", "state":
 * "running|idle|starting|draining"}], "devices": [{"device": 0, "node": "n1", "memory": bytes, "free": bytes, "tasks":
 * 1, "healthy": true, "lent": false}],
 *    "replicas": [{"model": "a", "allowed": 3, "workers": 2, "tasks_waiting": 5, "requests_waiting": 4000, "demand":
 * 30, "capacity": 12.5, "why": "the queue is too long"}], "gpu_hours_max": 100, "walltime_max_s": 86400,
 *    "share": {"devices": 4, "mine": 2, "others": [{"campaign": "b", "devices": 2}], "is_lost": false}}
 *
 * For the eye alone: no decision stands on it. Of an object in a list only what names it is needed, all else is empty
 * or 0 where it is missing; the two budgets may be missing, and keys of other names are left alone. */
#ifndef MU_CLI_CAMPAIGN_NOW_H
#define MU_CLI_CAMPAIGN_NOW_H

#include <jansson.h>

#include "base/buf.h"

#define MU_NOW_BYTES_MAX   ((size_t)16 << 20)
#define MU_NOW_RUNNING_MAX 4096
#define MU_NOW_WORKERS_MAX 4096
#define MU_NOW_DEVICES_MAX 16384
#define MU_NOW_MODELS_MAX  4096
#define MU_NOW_OLD_S       5.0 /* older than that it no longer tells of now */

struct mu_now_task {
    const char *task, *devices, *node;
    int64_t worker;
    double seconds;
    double done, total; /* requests; total 0: not known yet */
    double per_s;
    double alive_s; /* since its last sign of life; -1: none yet */
};

struct mu_now_worker {
    int64_t worker;
    const char *model, *devices, *node, *state;
};

struct mu_now_device {
    int64_t device;
    const char *node;
    double memory, free; /* bytes */
    int64_t tasks;
    bool is_healthy;
    bool is_lent; /* not this campaign's for now */
};

/* Of devices that several campaigns share. */
struct mu_now_share {
    bool is_there;
    int64_t devices, mine;
    bool is_lost;         /* the others could not be asked */
    const json_t *others; /* array of objects; NULL: not told */
};

struct mu_now_replicas {
    const char *model, *why;  /* why: of the last look (sched/scale.h) */
    int64_t allowed, workers; /* that may hold it, and that do */
    int64_t tasks_waiting;
    double requests_waiting;
    double demand, capacity; /* requests a second that come, and that one of them does */
};

/* Texts are borrowed from the tree. All zero is nothing known. */
struct mu_now {
    double at; /* seconds since 1970, by its writer's clock; 0: nothing was read */
    const char *host;
    int64_t pid;
    struct mu_now_task *running; /* by name */
    struct mu_now_worker *workers;
    struct mu_now_device *devices;
    struct mu_now_replicas *replicas; /* none where the campaign does not scale */
    int n_running, n_workers, n_devices, n_replicas;
    double gpu_hours_max, walltime_max_s; /* budgets; 0: none, or not told */
    struct mu_now_share share;
    json_t *tree; /* owned */
};

/* Fills out, which is zeroed first. MU_EFORMAT: damaged. where: its name, for sentences. */
int mu_now_parse(struct mu_now *out, struct mu_str text, const char *where, struct mu_err *e);
int mu_now_load(struct mu_now *out, const char *path, struct mu_err *e); /* MU_ENOENT: there is none */
void mu_now_fini(struct mu_now *now);                                    /* zeroes it */

const struct mu_now_task *mu_now_find(const struct mu_now *now, const char *task); /* NULL: it is not there */

/* "devices: 2 of 4 (others: b 2)"; "" where none are shared. */
void mu_now_share_text(const struct mu_now *now, char *out, size_t bytes);

#endif
