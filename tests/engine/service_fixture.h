/* service_fixture.h - a folder for records of services, and records to put there */
#ifndef TESTS_ENGINE_SERVICE_FIXTURE_H
#define TESTS_ENGINE_SERVICE_FIXTURE_H

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "engine/service/folder.h"
#include "engine/service/watch.h"
#include "xt.h"

#define SF_NAME  "night-1"
#define SF_ID    "0123456789abcdef0123456789abcdef"
#define SF_ID_2  "00000000000000000000000000000002"
#define SF_TOKEN "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaabbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"

struct sf {
    char path[64], file[128];
    struct mu_service_folder folder;
};

static inline void sf_begin(struct sf *f)
{
    struct mu_err err = MU_ERR_INIT;
    snprintf(f->path, sizeof f->path, "/tmp/muster_service_XXXXXX");
    XT_CHECK(mkdtemp(f->path));
    snprintf(f->file, sizeof f->file, "%s/%s.json", f->path, SF_NAME);
    XT_OK(mu_service_folder_open(&f->folder, f->path, false, &err));
}

static inline void sf_end(struct sf *f)
{
    char(*names)[MU_SERVICE_NAME_MAX + 1] = NULL;
    char file[256];
    int n = 0;
    XT_EQ(mu_service_names(&f->folder, &names, &n, NULL), MU_OK);
    for (int i = 0; i < n; i++) {
        snprintf(file, sizeof file, "%s/%s.json", f->path, names[i]);
        if (unlink(file) != 0)
            rmdir(file);
    }
    mu_free(names);
    mu_service_folder_close(&f->folder);
    XT_CHECKF(rmdir(f->path) == 0, "something is left in %s", f->path);
}

/* Of a machine that is not this one: nothing can be told of its processes. */
static inline struct mu_service_record sf_record(void)
{
    return (struct mu_service_record){.name = SF_NAME,
                                      .id = SF_ID,
                                      .token = SF_TOKEN,
                                      .host = "node7.cluster",
                                      .address = "127.0.0.1",
                                      .port = 8123,
                                      .model = "m",
                                      .engine = "light",
                                      .arch = "LlamaForCausalLM",
                                      .weights_hash = "00112233445566778899aabbccddeeff",
                                      .weights = "f32",
                                      .kv_dtype = "f32",
                                      .mla = "absorbed",
                                      .tokenizer = "0011223344556677",
                                      .numerics = 3,
                                      .params = 260000,
                                      .context = 4096,
                                      .boot = "a-boot-of-another-machine",
                                      .space = "pid:[1]",
                                      .pid = 4711,
                                      .start = 99,
                                      .since = 1700000000,
                                      .heartbeat = 1700000005,
                                      .beats = 1,
                                      .every = 5};
}

/* The same by a process of this machine. */
static inline struct mu_service_record sf_record_here(pid_t pid, int64_t start)
{
    struct mu_service_record r = sf_record(), self = {.port = 0};
    mu_service_know_self(&self);
    memcpy(r.boot, self.boot, sizeof r.boot);
    memcpy(r.space, self.space, sizeof r.space);
    r.pid = pid;
    r.start = start;
    return r;
}

static inline void sf_write(const struct sf *f, const struct mu_service_record *r)
{
    struct mu_err err = MU_ERR_INIT;
    XT_OK(mu_service_write(&f->folder, r, false, &err));
}

#endif
