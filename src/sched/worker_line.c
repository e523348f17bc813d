/* worker_line.c - see worker_line.h */
#include "sched/worker_line.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#include "base/check.h"
#include "base/json.h"
#include "base/utf8.h"
#include "sched/launcher.h"

#define COUNT_MAX 1e15 /* of requests: a double holds such numbers exactly */

/* ---- printing ---- */

static double count(double v)
{
    return v > 0 ? floor(MU_MIN(v, COUNT_MAX)) : 0; /* a NaN too is 0 */
}

static int print_alive(struct mu_buf *out, const struct mu_worker_line *l, struct mu_err *e)
{
    double rate = l->per_s > 0 ? MU_MIN(l->per_s, COUNT_MAX) : 0;
    return mu_buf_printf(out, e, "{\"alive\": %" PRId64 ", \"done\": %.0f, \"total\": %.0f, \"per_s\": %.3f}", l->task,
                         count(l->done), count(l->total), rate);
}

static int print_begun(struct mu_buf *out, const struct mu_worker_line *l, struct mu_err *e)
{
    return mu_buf_printf(out, e, "{\"begun\": %" PRId64 ", \"done\": %.0f, \"documents\": %.0f}", l->task,
                         count(l->done), count(l->documents));
}

/* One character, unless no room is left with what ends the line. */
static int add_why(struct mu_buf *out, struct mu_str c, bool *is_full, struct mu_err *e)
{
    size_t before = out->n;
    MU_TRY_RETURN(mu_json_dump_string(out, c, e));
    size_t n = out->n - before - 2; /* less the quotes */
    *is_full = before + n + sizeof "\"}" > MU_WORKER_LINE_BYTES;
    if (!*is_full)
        memmove(out->p + before, out->p + before + 1, n);
    out->n = before + (*is_full ? 0 : n);
    out->p[out->n] = '\0';
    return MU_OK;
}

static int print_ended(struct mu_buf *out, const struct mu_worker_line *l, struct mu_err *e)
{
    size_t n = strnlen(l->why, sizeof l->why);
    bool is_full = false;
    MU_TRY_RETURN(mu_buf_printf(out, e, "{\"ended\": %" PRId64 ", \"status\": %d, ", l->task, l->status));
    if (l->load_s > 0)
        MU_TRY_RETURN(mu_buf_printf(out, e, "\"load_s\": %.3f, ", MU_MIN(l->load_s, COUNT_MAX)));
    MU_TRY_RETURN(mu_buf_puts(out, "\"why\": \"", e));
    for (size_t i = 0; i < n && !is_full;) {
        uint32_t cp;
        int length = mu_utf8_decode(l->why + i, n - i, &cp);
        if (length > 0)
            MU_TRY_RETURN(add_why(out, (struct mu_str){l->why + i, (size_t)length}, &is_full, e));
        i += (size_t)MU_MAX(length, 1);
    }
    return mu_buf_puts(out, "\"}", e);
}

static int print_task(struct mu_buf *out, const struct mu_worker_line *l, struct mu_err *e)
{
    MU_TRY_RETURN(mu_buf_printf(out, e, "{\"task\": %" PRId64 ", \"config\": ", l->task));
    MU_TRY_RETURN(mu_json_dump_string(out, mu_str(l->config), e));
    return mu_buf_putc(out, '}', e);
}

int mu_worker_line_print(struct mu_buf *out, const struct mu_worker_line *l, struct mu_err *e)
{
    mu_buf_clear(out);
    switch (l->kind) {
    case MU_LINE_TASK:
        return print_task(out, l, e);
    case MU_LINE_ALIVE:
        return print_alive(out, l, e);
    case MU_LINE_BEGUN:
        return print_begun(out, l, e);
    case MU_LINE_ENDED:
        return print_ended(out, l, e);
    default:
        return mu_fail(e, MU_EINVAL, "a line between orchestrator and worker is a task, alive, begun or ended");
    }
}

/* ---- parsing ---- */

/* Of a member that may be left out. */
static bool read_number(const json_t *o, const char *key, double *out)
{
    const json_t *v = json_object_get(o, key);
    *out = json_number_value(v);
    return !v || (json_is_number(v) && *out >= 0 && *out <= COUNT_MAX);
}

static bool read_text(const json_t *o, const char *key, struct mu_str *out)
{
    const json_t *v = json_object_get(o, key);
    *out = (struct mu_str){json_string_value(v), json_string_length(v)};
    return json_is_string(v) && strlen(out->p) == out->n;
}

static bool read_alive(struct mu_worker_line *out, const json_t *o)
{
    return out->task >= -1 && read_number(o, "done", &out->done) && read_number(o, "total", &out->total) &&
           read_number(o, "per_s", &out->per_s);
}

static bool read_begun(struct mu_worker_line *out, const json_t *o)
{
    return out->task >= 0 && read_number(o, "done", &out->done) && read_number(o, "documents", &out->documents);
}

static bool read_ended(struct mu_worker_line *out, const json_t *o)
{
    const json_t *status = json_object_get(o, "status");
    struct mu_str why;
    if (out->task < 0 || !json_is_integer(status) || json_integer_value(status) < 0 ||
        json_integer_value(status) > 255 || !read_text(o, "why", &why) || !read_number(o, "load_s", &out->load_s))
        return false;
    out->status = (int)json_integer_value(status);
    size_t n = mu_utf8_valid_prefix(why.p, MU_MIN(why.n, sizeof out->why - 1));
    memcpy(out->why, why.p, n);
    return true;
}

static bool read_task(struct mu_worker_line *out, const json_t *o, int *rc, struct mu_err *e)
{
    struct mu_str config;
    if (out->task < 0 || !read_text(o, "config", &config) || config.n == 0 || config.n > MU_WORKER_TASK_BYTES)
        return false;
    *rc = mu_buf_add(&out->text, config.p, config.n, e);
    out->config = out->text.p;
    return *rc == MU_OK;
}

/* Exactly one of the four numbers says what a line is. */
static enum mu_worker_line_kind kind_of(const json_t *o, int64_t *task)
{
    static const char *const keys[] = {
        [MU_LINE_TASK] = "task", [MU_LINE_ALIVE] = "alive", [MU_LINE_BEGUN] = "begun", [MU_LINE_ENDED] = "ended"};
    enum mu_worker_line_kind kind = MU_LINE_OTHER;
    for (size_t i = 0; i < MU_COUNT(keys); i++) {
        const json_t *v = json_object_get(o, keys[i]);
        if (!v)
            continue;
        if (!json_is_integer(v) || kind != MU_LINE_OTHER)
            return MU_LINE_OTHER;
        kind = (enum mu_worker_line_kind)i;
        *task = json_integer_value(v);
    }
    return kind;
}

static bool read_line(struct mu_worker_line *out, const json_t *o, int *rc, struct mu_err *e)
{
    switch (out->kind) {
    case MU_LINE_TASK:
        return read_task(out, o, rc, e);
    case MU_LINE_ALIVE:
        return read_alive(out, o);
    case MU_LINE_BEGUN:
        return read_begun(out, o);
    case MU_LINE_ENDED:
        return read_ended(out, o);
    default:
        return false;
    }
}

static void clear(struct mu_worker_line *l)
{
    *l = (struct mu_worker_line){
        .kind = MU_LINE_OTHER, .task = -1, .text = MU_BUF_INIT("the path of a task's options", MU_WORKER_TASK_BYTES)};
}

int mu_worker_line_parse(struct mu_worker_line *out, const char *line, struct mu_err *e)
{
    struct mu_err why = MU_ERR_INIT;
    json_t *o = NULL;

    clear(out);
    int rc = mu_json_parse_strict(&o, mu_str(line), "a line", &why);
    if (rc != MU_OK)
        return rc == MU_ENOMEM ? mu_fail(e, rc, "%s", why.text) : MU_OK;
    out->kind = kind_of(o, &out->task);
    bool is_ours = read_line(out, o, &rc, e);
    json_decref(o);
    if (!is_ours) {
        mu_worker_line_fini(out);
        clear(out);
    }
    return rc;
}

void mu_worker_line_fini(struct mu_worker_line *l)
{
    mu_buf_fini(&l->text);
    l->config = NULL;
}
