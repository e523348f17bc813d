/* campaign_rig.c - see campaign_rig.h */
#include "campaign_rig.h"

#include <stdio.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "sched/orchestrate.h"
#include "xt.h"

#define LEASE_NS 60000000000ll

static void append(struct rig *r, const struct mu_event *ev, int n)
{
    struct mu_err err = MU_ERR_INIT;
    XT_OK(mu_state_log_append(&r->log, ev, n, &err));
}

void rig_add(struct rig *r, struct mu_event ev)
{
    append(r, &ev, 1);
}

void rig_open(struct rig *r, const char *folder, int n_tasks)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_event *ev = NULL;
    char path[700], (*name)[16] = NULL;
    snprintf(r->folder, sizeof r->folder, "%s", folder);
    snprintf(path, sizeof path, "%s/%s", folder, MU_ORCHESTRA_STORE);
    XT_OK(mu_state_log_open(&r->log, path, NULL, true, 0, &err));
    XT_OK(MU_NEW_ARRAY(&ev, n_tasks + 2, "events", &err));
    XT_OK(MU_NEW_ARRAY(&name, n_tasks, "names", &err));
    ev[0] = (struct mu_event){.kind = MU_EVENT_OPENED, .text = "0123456789abcdef"};
    ev[1] = (struct mu_event){.kind = MU_EVENT_NODE_SEEN, .amount = 4, .text = "n1"};
    for (int i = 0; i < n_tasks; i++) {
        snprintf(name[i], sizeof name[i], "a/%04d", i);
        ev[i + 2] =
            (struct mu_event){.kind = MU_EVENT_TASK_ADDED, .task = i, .value = i % MU_PRIORITY_N, .text = name[i]};
    }
    append(r, ev, n_tasks + 2);
    mu_free(ev);
    mu_free(name);
}

void rig_close(struct rig *r)
{
    mu_state_log_close(&r->log);
}

void rig_start(struct rig *r, int task)
{
    const struct mu_state *s = &r->log.state;
    int32_t attempt = s->tasks[task].attempts + 1, group = s->n_groups;
    char device[16];
    snprintf(device, sizeof device, "%d", task % 4);
    const struct mu_event ev[] = {
        {.kind = MU_EVENT_TASK_READY, .task = task, .attempt = attempt},
        {.kind = MU_EVENT_GROUP_STARTED, .group = group, .job = -1, .value = 1, .text = device},
        {.kind = MU_EVENT_TASK_STARTED, .task = task, .attempt = attempt, .group = group, .amount = LEASE_NS},
    };
    append(r, ev, 3);
}

static void drain(struct rig *r, int32_t group)
{
    const struct mu_event ev[] = {{.kind = MU_EVENT_GROUP_DRAINING, .group = group},
                                  {.kind = MU_EVENT_GROUP_DRAINED, .group = group}};
    append(r, ev, 2);
}

void rig_finish(struct rig *r, int task)
{
    int32_t group = r->log.state.tasks[task].group;
    rig_add(r, (struct mu_event){
                   .kind = MU_EVENT_TASK_FINISHED, .task = task, .attempt = r->log.state.tasks[task].attempts});
    drain(r, group);
}

void rig_fail(struct rig *r, int task, enum mu_failure f, const char *why, bool for_good)
{
    int32_t group = r->log.state.tasks[task].group;
    rig_add(r, (struct mu_event){.kind = MU_EVENT_ATTEMPT_FAILED,
                                 .task = task,
                                 .attempt = r->log.state.tasks[task].attempts,
                                 .value = (int32_t)f,
                                 .text = why});
    if (for_good)
        rig_add(r, (struct mu_event){.kind = MU_EVENT_TASK_FAILED, .task = task, .value = (int32_t)f, .text = why});
    drain(r, group);
}

void rig_now(const struct rig *r, const char *json)
{
    struct mu_err err = MU_ERR_INIT;
    char path[700];
    snprintf(path, sizeof path, "%s/now.json", r->folder);
    XT_OK(mu_file_write_all(path, json, strlen(json), &err));
}

void rig_remove_now(const struct rig *r)
{
    char path[700];
    snprintf(path, sizeof path, "%s/now.json", r->folder);
    unlink(path);
}
