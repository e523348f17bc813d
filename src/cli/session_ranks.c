/* session_ranks.c - the ranks of a session: started or joined, and what all but rank 0 do
 *
 * A command that opens one engine needs no more than that engine's own messages. In a session that is kept rank 0 calls
 * the others before each engine and sends them home at the end. */
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "cli/cmd.h"
#include "cli/session_int.h"
#include "comm/launch.h"
#include "comm/mpi/mpi.h"
#include "engine/ranks/rank.h"
#include "fmt/checkpoint.h"
#include "plan/layout.h"

#define MAGIC    0x6C6C6163u /* "call" */
#define TAG_CALL 64          /* in the world's group; the engine's own begin at 1 */
#define AWAIT_NS 1000000000ll

/* What a rank opens by itself of the engine that comes; all else it gets from the engine of rank 0. */
struct call {
    uint32_t magic;
    bool is_end;
    int64_t threads;
    char model[MU_PATH_BYTES_MAX], tokenizer[MU_PATH_BYTES_MAX], level[16]; /* "": NULL */
};

/* ---- joining ---- */

/* A layout in numbers says how many ranks there are. */
static int count_ranks(const struct mu_model_args *args, int *ranks, struct mu_err *e)
{
    struct mu_layout l;
    *ranks = (int)args->ranks;
    if (*ranks > 0 || !args->layout || strcmp(args->layout, "auto") == 0)
        return MU_OK;
    MU_TRY_RETURN(mu_layout_parse(&l, args->layout, 0, e));
    *ranks = mu_layout_ranks(&l);
    return MU_OK;
}

int mu_session_check_ranks(const struct mu_session *s, const struct mu_model_args *args, struct mu_err *e)
{
    int wanted, here = mu_comm_size(s->world);
    MU_TRY_RETURN(count_ranks(args, &wanted, e));
    if (args->endpoint && MU_MAX(wanted, here) > 1)
        return mu_fail(e, MU_EUSAGE, "a server computes: leave --ranks and --layout out");
    if (wanted == 0 || wanted == here)
        return MU_OK;
    return mu_fail(e, MU_EUSAGE, "%d ranks are wanted, and this process was started with %d", wanted, here);
}

/* The code behind another process's exit status; its sentence is on standard error already. */
static int code_of_status(int status, struct mu_err *e)
{
    int code = MU_OK;
    while (code < MU_CODE_N && mu_code_exit_status(code) != status)
        code++;
    if (code != MU_OK)
        code = mu_fail(e, code < MU_CODE_N ? code : MU_EPEER, "%s", "");
    return code;
}

/* A rank that fails by itself tells the others, which would wait for it. */
static int follow(struct mu_session *s, const struct mu_model_args *args, struct mu_err *e)
{
    struct mu_engine_opts o = mu_session_engine_opts(args);
    int rc;
    s->is_over = true;
    MU_TRY(mu_session_open_texts(s, args, false, e));
    MU_TRY(mu_session_open_device(s, args, e));
    o.device = s->device;
    o.tokenizer = s->tok;
    o.world = s->world;
    return mu_engine_follow(&o, e);
out:
    mu_comm_abort(s->world, e->text);
    return rc;
}

int mu_session_join(struct mu_session *s, const struct mu_model_args *args, struct mu_err *e)
{
    struct mu_launch_opts o = {.argv = mu_command_line()};
    int status, rank, size;
    bool is_launched = mu_mpi_is_launched(&rank, &size);
    *s = (struct mu_session){.quiet = args->quiet};
    MU_TRY_RETURN(count_ranks(args, &o.ranks, e));
    if (args->endpoint)
        return o.ranks > 1 ? mu_fail(e, MU_EUSAGE, "a server computes: leave --ranks and --layout out") : MU_OK;
    if (!is_launched) /* once; a launcher's ranks tell each other, which one that has ended cannot */
        MU_TRY_RETURN(mu_model_path_check(args->model, e));
    MU_TRY_RETURN(mu_launch(&s->world, &o, &s->is_over, &status, e));
    if (s->is_over)
        return code_of_status(status, e);
    return mu_comm_rank(s->world) > 0 ? follow(s, args, e) : MU_OK;
}

/* ---- one engine after another ---- */

static int await_call(struct mu_session *s, struct call *c, struct mu_err *e)
{
    bool is_there = false;
    size_t bytes = 0;
    while (!is_there)
        MU_TRY_RETURN(mu_rank_await(s->world, 0, TAG_CALL, AWAIT_NS, &is_there, NULL, &bytes, e));
    if (bytes != sizeof *c)
        return mu_fail(e, MU_EFORMAT, "rank 0 calls with %zu bytes where %zu are expected: is it another program?",
                       bytes, sizeof *c);
    MU_TRY_RETURN(mu_comm_recv(s->world, 0, TAG_CALL, c, sizeof *c, e));
    if (c->magic == MAGIC)
        return MU_OK;
    return mu_fail(e, MU_EFORMAT, "what rank 0 says is no call: is it another program?");
}

/* Replicas of the engine before were parts of the world, of which none is lost; the next one's may be others. */
static int join_parts(struct mu_session *s, struct mu_err *e)
{
    return s->keep.n_calls++ > 0 ? mu_comm_set_parts(s->world, 0, e) : MU_OK;
}

static const char *text_or_null(const char *text)
{
    return text[0] ? text : NULL;
}

static int follow_call(struct mu_session *s, const struct call *c, struct mu_err *e)
{
    struct mu_model_args args = MU_MODEL_ARGS_INIT;
    args.model = c->model;
    args.tokenizer = text_or_null(c->tokenizer);
    args.level = text_or_null(c->level);
    args.threads = c->threads;
    args.quiet = s->quiet;
    MU_TRY_RETURN(join_parts(s, e));
    int rc = follow(s, &args, e);
    mu_session_drop(s);
    return rc;
}

/* An engine that could not be opened is no end: rank 0 tells, and calls again. */
static int follow_calls(struct mu_session *s, struct mu_err *e)
{
    struct mu_err why = MU_ERR_INIT;
    struct call *c = NULL;
    int rc;
    s->is_over = true;
    MU_TRY(MU_NEW(&c, "a call to ranks", &why));
    do {
        MU_TRY(await_call(s, c, &why));
        rc = c->is_end ? MU_OK : follow_call(s, c, &why);
    } while (!c->is_end && !mu_comm_is_dead(s->world));
out:
    if (rc != MU_OK)
        *e = why;
    mu_free(c);
    return rc;
}

int mu_session_join_kept(struct mu_session *s, const struct mu_model_args *args, struct mu_err *e)
{
    struct mu_launch_opts o = {.argv = mu_command_line()};
    int status;
    *s = (struct mu_session){.quiet = args->quiet, .keep = {.is_on = true}};
    MU_TRY_RETURN(count_ranks(args, &o.ranks, e));
    MU_TRY_RETURN(mu_launch(&s->world, &o, &s->is_over, &status, e));
    if (s->is_over)
        return code_of_status(status, e);
    return mu_comm_rank(s->world) > 0 ? follow_calls(s, e) : MU_OK;
}

/* ---- rank 0 ---- */

static int copy_text(char *out, size_t n, const char *what, const char *text, struct mu_err *e)
{
    if (text && strlen(text) >= n)
        return mu_fail(e, MU_EUSAGE, "%s is longer than %zu bytes", what, n - 1);
    snprintf(out, n, "%s", text ? text : "");
    return MU_OK;
}

static int send_all(struct mu_session *s, const struct call *c, struct mu_err *e)
{
    for (int r = 1; r < mu_comm_size(s->world); r++)
        MU_TRY_RETURN(mu_comm_send(s->world, r, TAG_CALL, c, sizeof *c, e));
    return MU_OK;
}

int mu_session_call_ranks(struct mu_session *s, const struct mu_model_args *args, struct mu_err *e)
{
    struct call *c = NULL;
    int rc = MU_OK;
    if (mu_comm_size(s->world) == 1)
        return MU_OK;
    if (mu_comm_n_lost(s->world) > 0)
        return mu_fail(e, MU_EPEER,
                       "ranks were lost since the start: no other model can be opened by those that are left");
    MU_TRY_RETURN(MU_NEW(&c, "a call to ranks", e));
    c->magic = MAGIC;
    c->threads = args->threads;
    MU_TRY(copy_text(c->model, sizeof c->model, "the model's path", args->model, e));
    MU_TRY(copy_text(c->tokenizer, sizeof c->tokenizer, "the tokenizer's path", args->tokenizer, e));
    MU_TRY(copy_text(c->level, sizeof c->level, "the CPU level", args->level, e));
    MU_TRY(send_all(s, c, e));
    MU_TRY(join_parts(s, e));
out:
    mu_free(c);
    return rc;
}

static void send_end(struct mu_session *s)
{
    struct call *c = mu_calloc(1, sizeof *c);
    if (!c) /* without a word they learn it from the end of this process */
        return;
    c->magic = MAGIC;
    c->is_end = true;
    for (int r = 1; r < mu_comm_size(s->world); r++)
        (void)mu_comm_send(s->world, r, TAG_CALL, c, sizeof *c, NULL);
    mu_free(c);
}

void mu_session_leave_ranks(struct mu_session *s)
{
    if (!s->world || mu_comm_rank(s->world) > 0)
        return;
    if (s->keep.is_on)
        send_end(s);
    else if (!s->has_asked)
        mu_engine_dismiss(s->world);
}
