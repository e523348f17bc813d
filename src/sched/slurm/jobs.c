/* jobs.c - see jobs.h */
#include "sched/slurm/jobs.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "sched/slurm/words.h"

/* Widths of --Format: columns are cut there, so each is wide enough for what we keep. */
#define QUEUE_FORMAT      "JobArrayID:32,State:32,exit_code:16,RestartCnt:16,Reason:64"
#define ACCOUNTING_FORMAT "JobID,State,ExitCode"
#define WORDS             5

static const struct {
    const char *word;
    bool is_over;
} states[] = {
#define STATE_ROW(name, word, is_over) {word, is_over},
    MU_SLURM_STATE_MAP(STATE_ROW)
#undef STATE_ROW
};

bool mu_slurm_state_is_over(enum mu_slurm_state s)
{
    return states[s].is_over;
}

enum mu_slurm_state mu_slurm_state_of(struct mu_str word)
{
    const char *blank = word.n > 0 ? memchr(word.p, ' ', word.n) : NULL;
    if (blank)
        word.n = (size_t)(blank - word.p);
    for (int i = 0; i < MU_SLURM_OTHER; i++) {
        if (mu_str_eq(word, mu_str(states[i].word)))
            return (enum mu_slurm_state)i;
    }
    return MU_SLURM_OTHER;
}

/* ---- what went wrong ---- */

static bool says(struct mu_str text, const char *const *phrases)
{
    for (; *phrases; phrases++) {
        if (text.n > 0 && memmem(text.p, text.n, *phrases, strlen(*phrases)))
            return true;
    }
    return false;
}

/* The first line without "sbatch: error: ". */
static struct mu_str first_complaint(struct mu_str text)
{
    struct mu_str line = {text.p, 0};
    (void)mu_slurm_next_line(&text, &line);
    const char *p = line.p;
    size_t n = line.n;
    for (const char *colon; (colon = n > 0 ? memmem(p, n, "error: ", 7) : NULL) != NULL;) {
        n -= (size_t)(colon + 7 - p);
        p = colon + 7;
    }
    return n > 0 ? (struct mu_str){p, n} : MU_STR("it says nothing");
}

int mu_slurm_fail(struct mu_err *e, const char *program, struct mu_str complaint)
{
    static const char *const away[] = {"Unable to contact slurm controller",
                                       "Socket timed out",
                                       "Zero Bytes were transmitted",
                                       "Connection refused",
                                       "Connection timed out",
                                       "Transport endpoint",
                                       "communications shutdown",
                                       "Insane message length",
                                       "Unexpected message received",
                                       "Communication connection failure",
                                       "in standby mode",
                                       "fetch_config",
                                       "configuration source",
                                       NULL};
    static const char *const unknown[] = {"Invalid job id specified", NULL};
    struct mu_str why = first_complaint(complaint);
    int n = (int)MU_MIN(why.n, 300);
    if (says(complaint, away))
        return mu_fail(e, MU_EPEER, "Slurm's controller does not answer %s: %.*s", program, n, why.p);
    if (says(complaint, unknown))
        return mu_fail(e, MU_ENOENT, "Slurm knows no such job (any more): %.*s", n, why.p);
    return mu_fail(e, MU_EINVAL, "%s: %.*s", program, n, why.p);
}

int mu_slurm_command_within(struct mu_command_end *end, const char *const *argv, int64_t ns, struct mu_err *e)
{
    int rc = mu_command_run(end, argv, ns, e);
    if (rc == MU_ETIMEDOUT)
        return mu_fail(e, MU_EPEER, "Slurm's controller does not answer %s in %d s", argv[0], (int)(ns / 1000000000));
    if (rc == MU_ENOENT)
        return mu_fail(e, rc, "there is no %s here: Slurm's commands are needed (Debian's package slurm-client)",
                       argv[0]);
    if (rc != MU_OK || end->status == 0)
        return rc;
    return mu_slurm_fail(e, argv[0], mu_buf_str(&end->err));
}

int mu_slurm_command(struct mu_command_end *end, const char *const *argv, struct mu_err *e)
{
    return mu_slurm_command_within(end, argv, MU_SLURM_COMMAND_NS, e);
}

/* ---- numbers ---- */

/* 0 of what is none. */
static int number(struct mu_str s)
{
    int64_t v;
    return mu_slurm_whole(s, INT32_MAX, &v) ? (int)v : 0;
}

/* Status and signal: "13:0" of sacct; squeue has wait(2)'s one number for both. */
static void exit_code(struct mu_slurm_job *j, struct mu_str s)
{
    const char *colon = s.n > 0 ? memchr(s.p, ':', s.n) : NULL;
    struct mu_str first = mu_slurm_next_word(&s, ":"), second = mu_slurm_next_word(&s, ":");
    j->status = colon ? number(first) : number(first) >> 8 & 255;
    j->signal = colon ? number(second) : number(first) & 127;
}

static void set_state(struct mu_slurm_job *j, struct mu_str word)
{
    j->state = mu_slurm_state_of(word);
    mu_slurm_keep(j->word, sizeof j->word, word);
}

/* Of two parts of a job the one that says more: what is not over, then what did not complete. */
static bool says_more(const struct mu_slurm_job *a, const struct mu_slurm_job *b)
{
    bool over_a = mu_slurm_state_is_over(a->state), over_b = mu_slurm_state_is_over(b->state);
    if (over_a != over_b)
        return !over_a;
    return a->state != MU_SLURM_COMPLETED && b->state == MU_SLURM_COMPLETED;
}

/* ---- squeue and sacct ---- */

static bool queue_line(struct mu_slurm_job *j, struct mu_str line)
{
    struct mu_str word[WORDS];
    for (int i = 0; i < WORDS; i++)
        word[i] = mu_slurm_next_word(&line, " \t");
    if (word[1].n == 0)
        return false;
    *j = (struct mu_slurm_job){.restarts = number(word[3])};
    mu_slurm_keep(j->id, sizeof j->id, word[0]);
    set_state(j, word[1]);
    exit_code(j, word[2]);
    if (!mu_str_eq(word[4], MU_STR("None")))
        mu_slurm_keep(j->reason, sizeof j->reason, word[4]);
    return true;
}

static bool accounting_line(struct mu_slurm_job *j, struct mu_str line)
{
    struct mu_str id = mu_slurm_next_word(&line, "|\n"), state = mu_slurm_next_word(&line, "|\n"),
                  code = mu_slurm_next_word(&line, "|\n");
    if (code.n == 0)
        return false;
    *j = (struct mu_slurm_job){.restarts = 0};
    mu_slurm_keep(j->id, sizeof j->id, id);
    set_state(j, state);
    exit_code(j, code);
    return true;
}

static int parse_lines(struct mu_slurm_job *out, struct mu_str printed,
                       bool (*read)(struct mu_slurm_job *, struct mu_str), const char *program, struct mu_err *e)
{
    struct mu_slurm_job j;
    struct mu_str line;
    bool has_one = false;
    while (mu_slurm_next_line(&printed, &line)) {
        struct mu_str rest = line;
        if (mu_slurm_next_word(&rest, " \t").n == 0)
            continue;
        if (!read(&j, line))
            return mu_fail(e, MU_EFORMAT, "%s printed \"%.*s\", which tells of no job", program,
                           (int)MU_MIN(line.n, 120), line.p);
        if (!has_one || says_more(&j, out))
            *out = j;
        has_one = true;
    }
    return has_one ? MU_OK : mu_fail(e, MU_ENOENT, "%s knows no such job (any more)", program);
}

int mu_slurm_look_parse(struct mu_slurm_job *out, struct mu_str printed, struct mu_err *e)
{
    return parse_lines(out, printed, queue_line, "squeue", e);
}

int mu_slurm_accounting_parse(struct mu_slurm_job *out, struct mu_str printed, struct mu_err *e)
{
    return parse_lines(out, printed, accounting_line, "sacct", e);
}

/* The controller forgets a job some minutes after its end (MinJobAge); accounting does not. */
int mu_slurm_look(struct mu_slurm_job *out, const char *id, bool has_accounting, struct mu_err *e)
{
    struct mu_command_end end = MU_COMMAND_END_INIT;
    const char *queue[] = {"squeue", "--noheader", "--states=all",           "--array",
                           "--jobs", id,           "--Format=" QUEUE_FORMAT, NULL};
    const char *accounting[] = {
        "sacct", "--noheader", "--parsable2", "--allocations", "--jobs", id, "--format=" ACCOUNTING_FORMAT, NULL};
    int rc = mu_slurm_command(&end, queue, e);
    if (rc == MU_OK)
        rc = mu_slurm_look_parse(out, mu_buf_str(&end.out), e);
    if (rc == MU_ENOENT && has_accounting) {
        rc = mu_slurm_command(&end, accounting, e);
        if (rc == MU_OK)
            rc = mu_slurm_accounting_parse(out, mu_buf_str(&end.out), e);
    }
    mu_command_end_fini(&end);
    return rc;
}

/* ---- submitting ---- */

int mu_slurm_submit_parse(char id[MU_SLURM_ID_MAX], struct mu_str printed, struct mu_err *e)
{
    struct mu_str rest = printed, word = mu_slurm_next_word(&rest, " \t\n;");
    for (size_t i = 0; i < word.n; i++) {
        if (word.p[i] < '0' || word.p[i] > '9')
            word.n = 0;
    }
    if (word.n == 0 || word.n >= MU_SLURM_ID_MAX)
        return mu_fail(e, MU_EFORMAT, "sbatch printed \"%.*s\", which is no job", (int)MU_MIN(printed.n, 120),
                       printed.n > 0 ? printed.p : "");
    mu_slurm_keep(id, MU_SLURM_ID_MAX, word);
    return MU_OK;
}

/* A controller that was reached and did not answer in time may have taken the job. */
static int tell_doubt(struct mu_err *e, const struct mu_err *why)
{
    if (strstr(why->text, "Unable to contact") || strstr(why->text, "Connection refused"))
        return mu_fail(e, why->code, "%s", why->text);
    return mu_fail(e, why->code,
                   "%.600s; it may have taken the job all the same: look at `squeue --me` before submitting it again",
                   why->text);
}

int mu_slurm_submit(char id[MU_SLURM_ID_MAX], const char *script, struct mu_err *e)
{
    struct mu_command_end end = MU_COMMAND_END_INIT;
    struct mu_err why = MU_ERR_INIT;
    const char *argv[] = {"sbatch", "--parsable", "--", script, NULL};
    int rc = mu_slurm_command(&end, argv, &why);
    if (rc != MU_OK)
        rc = rc == MU_EPEER ? tell_doubt(e, &why) : mu_fail(e, rc, "%s", why.text);
    if (rc == MU_OK)
        rc = mu_slurm_submit_parse(id, mu_buf_str(&end.out), e);
    mu_command_end_fini(&end);
    return rc;
}

/* ---- the end of a job ---- */

/* The status is that of the program, whose sentence stands in the job's log. */
static int code_of_status(const struct mu_slurm_job *j, struct mu_err *e)
{
    for (int code = MU_OK + 1; code < MU_CODE_N; code++) {
        if (mu_code_exit_status(code) == j->status)
            return mu_fail(e, code, "job %s ended with status %d: %s; its log tells more", j->id, j->status,
                           mu_code_meaning(code));
    }
    if (j->signal > 0)
        return mu_fail(e, MU_EPEER, "job %s was ended by signal %d; its log tells more", j->id, j->signal);
    return mu_fail(e, MU_EPEER, "job %s ended with status %d; its log tells more", j->id, j->status);
}

int mu_slurm_job_code(const struct mu_slurm_job *j, struct mu_err *e)
{
    switch (j->state) {
    case MU_SLURM_COMPLETED:
        return MU_OK;
    case MU_SLURM_FAILED:
        return code_of_status(j, e);
    case MU_SLURM_CANCELLED:
        return mu_fail(e, MU_ECANCELED, "job %s was cancelled", j->id);
    case MU_SLURM_TIMEOUT:
    case MU_SLURM_DEADLINE:
        return mu_fail(e, MU_ETIMEDOUT, "job %s came to the end of its time; submitted again it goes on", j->id);
    case MU_SLURM_OUT_OF_MEMORY:
        return mu_fail(e, MU_ENOMEM, "job %s took more memory than it had asked for", j->id);
    default:
        return mu_fail(e, MU_EPEER, "job %s ended: %s", j->id, j->word);
    }
}
