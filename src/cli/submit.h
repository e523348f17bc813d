/* submit.h - what `muster submit` does alike for an evaluation and for a campaign */
#ifndef MU_CLI_SUBMIT_H
#define MU_CLI_SUBMIT_H

#include <stdio.h>

#include <jansson.h>

#include "base/buf.h"
#include "cli/opt.h"
#include "sched/slurm/jobs.h"
#include "sched/slurm/script.h"
#include "sched/slurm/site.h"

#define MU_SUBMIT_PATH_MAX 4096 /* bytes */

/* Assumed of a task whose documents are not read. */
#define MU_SUBMIT_REQUESTS 20000 /* of one name: hellaswag has 40,000, arc_easy 9,500, gsm8k 1,300 */
#define MU_SUBMIT_PROMPT   512
#define MU_SUBMIT_SCORED   32 /* rows of one request */

struct mu_submit_args {
    const char *model, *tasks, *site, *output, *partition, *time, *weights, *layout, *dependency, *name;
    int64_t nodes, devices, requests, prompt, output_tokens;
    struct mu_opt_list eval;
    bool dry_run, wait, json;
};

/* A job on its way. */
struct mu_submit_job {
    const struct mu_submit_args *args;
    struct mu_site *site;                      /* owned */
    const struct mu_site_partition *partition; /* of it */
    struct mu_buf folder;                      /* of results, script and log */
    struct mu_buf script;
    char id[MU_SLURM_ID_MAX]; /* "" until it is submitted */
};

/* site_named: the profile that something else than the options names; NULL: nothing does. */
int mu_submit_job_open(struct mu_submit_job *j, const struct mu_submit_args *a, const char *site_named,
                       struct mu_err *e);
void mu_submit_job_fini(struct mu_submit_job *j);

/* Of --time; 0: not given. */
int mu_submit_time_wished(const struct mu_submit_args *a, int64_t *seconds, struct mu_err *e);

/* What is told of it: for people, and as an object that script and id are added to. */
struct mu_submit_face {
    void (*report)(const void *arg, FILE *f);
    json_t *(*json)(const void *arg);
    const void *arg;
};

/* With the script made: the report to standard error; script, number or JSON to standard output; the script into the
 * folder and to Slurm, and its end awaited, as the options say. */
int mu_submit_act(struct mu_submit_job *j, const struct mu_submit_face *face, struct mu_err *e);

/* "walltime  predicted ..., asked ...", and what follows where that is several runs; then the hours of the devices that
 * the job holds. */
struct mu_submit_time {
    double predicted_s;
    int64_t asked_s, runs;
    int devices_held;
};
void mu_submit_print_time(const struct mu_submit_job *j, const struct mu_submit_time *t, FILE *f);
double mu_submit_hours(const struct mu_submit_time *t, double seconds); /* of devices */

/* The job's script: one part with its command, under the name asked for, else this one. */
int mu_submit_make_script(struct mu_submit_job *j, const char *title, const char *name,
                          const struct mu_slurm_part *part, int64_t time_s, struct mu_err *e);

int mu_submit_count_names(const char *tasks); /* "arc,gsm8k": 2 */

/* submit_campaign.c: a whole campaign as one job. */
int mu_submit_campaign(const struct mu_submit_args *a, const char *path, struct mu_err *e);

#endif
