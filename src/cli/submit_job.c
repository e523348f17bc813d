/* submit_job.c - a job's way to Slurm and to its end (submit.h) */
#include <inttypes.h>
#include <math.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/file.h"
#include "cli/interrupt.h"
#include "cli/print_json.h"
#include "cli/submit.h"
#include "sched/slurm/duration.h"
#include "sched/slurm/look.h"
#include "sched/slurm/script.h"

#define SCRIPT_NAME "job.sh"

#define LOOK_FIRST_NS ((int64_t)500000000)
#define LOOK_LAST_NS  ((int64_t)15000000000)
#define AWAY_MAX_NS   ((int64_t)900 * 1000000000) /* the controller's absence that --wait bears */

int mu_submit_job_open(struct mu_submit_job *j, const struct mu_submit_args *a, const char *site_named,
                       struct mu_err *e)
{
    const char *site = a->site ? a->site : site_named ? site_named : getenv("MUSTER_SITE");
    *j = (struct mu_submit_job){.args = a,
                                .folder = MU_BUF_INIT("a path", MU_SUBMIT_PATH_MAX),
                                .script = MU_BUF_INIT("a job script", MU_SLURM_SCRIPT_MAX)};
    if (!site)
        return mu_fail(e, MU_EUSAGE, "--site FILE is needed, or $MUSTER_SITE: a site profile (docs/slurm.md)");
    if (a->dry_run && a->wait)
        return mu_fail(e, MU_EUSAGE, "--dry-run submits nothing that --wait could wait for");
    return mu_site_load(&j->site, site, e);
}

void mu_submit_job_fini(struct mu_submit_job *j)
{
    mu_buf_fini(&j->folder);
    mu_buf_fini(&j->script);
    mu_site_free(j->site);
}

int mu_submit_time_wished(const struct mu_submit_args *a, int64_t *seconds, struct mu_err *e)
{
    *seconds = 0;
    if (!a->time)
        return MU_OK;
    MU_TRY_RETURN(mu_slurm_duration_parse(seconds, mu_str(a->time), e));
    if (*seconds > 0 && *seconds != MU_SLURM_UNLIMITED)
        return MU_OK;
    return mu_fail(e, MU_EUSAGE,
                   "--time %s: a length above 0 such as 12h is needed; without it what is predicted is asked for",
                   a->time);
}

int mu_submit_make_script(struct mu_submit_job *j, const char *title, const char *name,
                          const struct mu_slurm_part *part, int64_t time_s, struct mu_err *e)
{
    const struct mu_slurm_script s = {.site = j->site,
                                      .title = title,
                                      .name = j->args->name ? j->args->name : name,
                                      .folder = j->folder.p,
                                      .dependency = j->args->dependency,
                                      .time_s = time_s,
                                      .part = {*part},
                                      .n_parts = 1};
    return mu_slurm_script_write(&j->script, &s, e);
}

int mu_submit_count_names(const char *tasks)
{
    int n = 0;
    for (const char *p = tasks; *p; p += strcspn(p, ",")) {
        p += strspn(p, ", ");
        n += *p != 0;
    }
    return n;
}

/* ---- the report ---- */

double mu_submit_hours(const struct mu_submit_time *t, double seconds)
{
    return seconds / 3600 * t->devices_held;
}

void mu_submit_print_time(const struct mu_submit_job *j, const struct mu_submit_time *t, FILE *f)
{
    char asked[32], predicted[32];
    fprintf(f, "walltime  predicted %s, asked %s", mu_slurm_duration_text(predicted, (int64_t)ceil(t->predicted_s)),
            mu_slurm_duration_text(asked, t->asked_s));
    if (t->runs > 1 && j->site->restarts > 0)
        fprintf(f, ": drained and queued again, about %" PRId64 " runs", t->runs);
    else if (t->runs > 1)
        fprintf(f, ": too short for all of it, and the profile allows no restarts; submit it again to go on");
    fprintf(f, "\n%s %.3g predicted, at most %.3g a run\n", j->partition->machine.is_host ? "rank hours" : "GPU hours",
            mu_submit_hours(t, t->predicted_s), mu_submit_hours(t, (double)t->asked_s));
}

/* ---- to Slurm ---- */

/* The profile may be older than the cluster. Without a controller there is nothing to submit to. */
static int compare_profile(const struct mu_submit_job *j, struct mu_err *e)
{
    struct mu_slurm_cluster c = MU_SLURM_CLUSTER_INIT;
    struct mu_err why = MU_ERR_INIT;
    char differs[256];
    int rc = mu_slurm_cluster_read(&c, &why);
    if (rc == MU_EPEER || rc == MU_ENOENT)
        return mu_fail(e, rc, "%s", why.text);
    if (rc != MU_OK)
        fprintf(stderr, "warning: the profile cannot be held against the cluster: %s\n", why.text);
    else if (mu_slurm_differs(differs, j->partition, &c)[0])
        fprintf(stderr, "warning: %s\n", differs);
    mu_slurm_cluster_fini(&c);
    return MU_OK;
}

static int submit(struct mu_submit_job *j, struct mu_err *e)
{
    struct mu_buf path = MU_BUF_INIT("a path", MU_SUBMIT_PATH_MAX);
    int rc = MU_OK;
    MU_TRY(compare_profile(j, e));
    MU_TRY(mu_path_make_folders(j->folder.p, e));
    MU_TRY(mu_path_join(&path, j->folder.p, SCRIPT_NAME, e));
    MU_TRY(mu_file_write_all(path.p, j->script.p, j->script.n, e));
    MU_TRY(mu_slurm_submit(j->id, path.p, e));
    fprintf(stderr, "submitted job %s; its script and log are in %s\n", j->id, j->folder.p);
out:
    mu_buf_fini(&path);
    return rc;
}

/* ---- to its end ---- */

/* One look. A controller that is away, or that complains of something else than the job, is borne for a while.
 * *away_ns: since when; 0: it answers. */
static int look(const struct mu_submit_job *x, struct mu_slurm_job *j, int64_t *away_ns, struct mu_err *e)
{
    int64_t now = mu_now_ns(mu_clock_real());
    int rc = mu_slurm_look(j, x->id, x->site->has_accounting, e);
    if (rc == MU_OK || rc == MU_ENOENT || rc == MU_ENOMEM) {
        *away_ns = 0;
        return rc;
    }
    if (*away_ns == 0) {
        fprintf(stderr, "%s; it is asked again\n", e->text);
        *away_ns = now;
    }
    return now - *away_ns > AWAY_MAX_NS ? rc : MU_OK;
}

static void say_change(const struct mu_slurm_job *j, struct mu_slurm_job *said)
{
    bool is_same = strcmp(j->word, said->word) == 0 && strcmp(j->reason, said->reason) == 0;
    if (!j->word[0] || (is_same && j->restarts == said->restarts))
        return;
    fprintf(stderr, "job %s: %s%s%s%s", j->id, j->word, j->reason[0] ? " (" : "", j->reason, j->reason[0] ? ")" : "");
    if (j->restarts > 0)
        fprintf(stderr, ", queued again %d time%s", j->restarts, j->restarts == 1 ? "" : "s");
    fputc('\n', stderr);
    *said = *j;
}

static int follow(const struct mu_submit_job *x, struct mu_err *e)
{
    struct mu_slurm_job j = {.state = MU_SLURM_OTHER}, said = j;
    int64_t pause_ns = LOOK_FIRST_NS, away_ns = 0;
    while (!mu_slurm_state_is_over(j.state)) {
        if (mu_interrupted())
            return mu_fail(e, MU_ECANCELED, "stopped waiting; job %s goes on, and scancel %s ends it", x->id, x->id);
        MU_TRY_RETURN(look(x, &j, &away_ns, e));
        say_change(&j, &said);
        if (!mu_slurm_state_is_over(j.state))
            (void)poll(NULL, 0, (int)(pause_ns / 1000000));
        pause_ns = MU_MIN(pause_ns + pause_ns / 4, LOOK_LAST_NS);
    }
    return mu_slurm_job_code(&j, e);
}

/* ---- all of it ---- */

static int print_json(const struct mu_submit_job *j, const struct mu_submit_face *face, struct mu_err *e)
{
    json_t *v = face->json(face->arg);
    bool is_whole = v && json_object_set_new(v, "script", json_string(j->script.p)) == 0 &&
                    (!j->id[0] || json_object_set_new(v, "id", json_string(j->id)) == 0);
    if (!is_whole) {
        json_decref(v);
        v = NULL;
    }
    return mu_print_json(v, "the submission", e);
}

int mu_submit_act(struct mu_submit_job *j, const struct mu_submit_face *face, struct mu_err *e)
{
    const struct mu_submit_args *a = j->args;
    if (!a->json)
        face->report(face->arg, stderr);
    if (!a->dry_run)
        MU_TRY_RETURN(submit(j, e));
    if (a->json)
        MU_TRY_RETURN(print_json(j, face, e));
    else
        printf(a->dry_run ? "%s" : "%s\n", a->dry_run ? j->script.p : j->id);
    fflush(stdout);
    return a->wait ? follow(j, e) : MU_OK;
}
