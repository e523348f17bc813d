/* fake_launcher.c - see fake_launcher.h */
#include "fake_launcher.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "sched/worker_line.h"

#define SEC 1000000000ll

static struct fake_launcher *fake_of(struct mu_launcher *l)
{
    return (struct fake_launcher *)l;
}

/* "/tmp/x/OUT/model/suite/task.json" -> "model/suite" */
static void name_of(const char *path, char out[128])
{
    char copy[512];
    const char *part[3] = {"", "", ""};
    snprintf(copy, sizeof copy, "%s", path);
    for (char *p = strtok(copy, "/"); p; p = strtok(NULL, "/")) {
        part[0] = part[1];
        part[1] = part[2];
        part[2] = p;
    }
    snprintf(out, 128, "%s/%s", part[0], part[1]);
}

static void note_order(struct fake_launcher *f, const struct mu_worker_order *o)
{
    char *p = f->last_order;
    int left = (int)sizeof f->last_order, n = 0;
    for (int i = 0; i < o->n_nodes; i++)
        n += snprintf(p + n, (size_t)(left - n), "%s:%d ", o->node[i], o->share[i]);
    for (int i = 1; o->argv[i]; i++)
        n += snprintf(p + n, (size_t)(left - n), "%s%s", i > 1 ? " " : "", o->argv[i]);
}

static int fake_start(struct mu_launcher *l, const struct mu_worker_order *o, int64_t *worker, struct mu_err *e)
{
    struct fake_launcher *f = fake_of(l);
    struct fake_worker *w = &f->worker[f->n];
    if (f->n == FAKE_WORKERS)
        return mu_fail(e, MU_ELIMIT, "too many workers");
    *w =
        (struct fake_worker){.number = ++f->started, .ends_ns = INT64_MAX, .beat_ns = mu_now_ns(&f->clock), .task = -1};
    note_order(f, o);
    snprintf(w->node, sizeof w->node, "%s", o->n_nodes > 0 ? o->node[0] : "");
    *worker = w->number;
    f->n++;
    f->most = MU_MAX(f->most, f->n);
    return MU_OK;
}

static struct fake_worker *find(struct fake_launcher *f, int64_t number)
{
    for (int i = 0; i < f->n; i++)
        if (f->worker[i].number == number)
            return &f->worker[i];
    return NULL;
}

static void begin_task(struct fake_launcher *f, struct fake_worker *w, const char *name)
{
    w->status = 0;
    w->ends_ns = mu_now_ns(&f->clock) + SEC;
    for (int i = 0; i < f->n_scripts; i++) {
        const struct fake_script *s = &f->script[i];
        if (strcmp(s->task, name) != 0)
            continue;
        w->status = s->status[MU_MIN(f->tries[i], 7)];
        w->ends_ns = mu_now_ns(&f->clock) + (int64_t)(s->seconds * 1e9);
        f->tries[i]++;
    }
}

static void fake_say(struct mu_launcher *l, int64_t worker, const char *text)
{
    struct fake_launcher *f = fake_of(l);
    struct fake_worker *w = find(f, worker);
    struct mu_worker_line line;
    char name[128];
    if (!w || mu_worker_line_parse(&line, text, NULL) != MU_OK)
        return;
    if (line.kind == MU_LINE_TASK) {
        name_of(line.config, name);
        snprintf(f->last_config, sizeof f->last_config, "%s", line.config);
        snprintf(f->order + strlen(f->order), sizeof f->order - strlen(f->order), "%s ", name);
        w->task = line.task;
        f->tasks++;
        begin_task(f, w, name);
    }
    mu_worker_line_fini(&line);
}

/* ---- what they say ---- */

static void print(struct mu_worker_told *out, const struct fake_worker *w, const struct mu_worker_line *line)
{
    struct mu_buf text = MU_BUF_INIT("a line", 4096);
    *out = (struct mu_worker_told){.kind = MU_WORKER_SAID, .worker = w->number};
    if (mu_worker_line_print(&text, line, NULL) == MU_OK)
        snprintf(out->line, sizeof out->line, "%s", text.p);
    mu_buf_fini(&text);
}

static void end_worker(struct fake_launcher *f, struct fake_worker *w, int status, struct mu_worker_told *out)
{
    *out = (struct mu_worker_told){.kind = MU_WORKER_ENDED, .worker = w->number, .exit_status = status};
    for (int i = 0; i < f->n_down; i++)
        out->is_node_down |= strcmp(f->down[i], w->node) == 0;
    snprintf(out->line, sizeof out->line, "%s", f->says ? f->says : "as written");
    *w = f->worker[--f->n];
}

/* What a worker whose time has come does; false: nothing that is heard. */
static bool act(struct fake_launcher *f, struct fake_worker *w, struct mu_worker_told *out)
{
    struct mu_worker_line line = {.kind = MU_LINE_ENDED, .task = w->task, .status = w->status};
    int status = w->status;
    w->ends_ns = INT64_MAX;
    if (w->is_dying && w->task < 0) {
        end_worker(f, w, status, out);
        return true;
    }
    if (status == FAKE_NODE && f->n_down < FAKE_NODES)
        snprintf(f->down[f->n_down++], sizeof f->down[0], "%s", w->node);
    if (status == FAKE_REFUSED) {
        end_worker(f, w, 14, out);
        out->is_refused = true;
        return true;
    }
    if (status == FAKE_NODE || (status >= FAKE_DIES && status < FAKE_SILENT)) {
        end_worker(f, w, status == FAKE_NODE ? 128 + SIGKILL : status - FAKE_DIES, out);
        return true;
    }
    if (status == FAKE_SILENT || status == FAKE_STUBBORN)
        return false;
    if (status)
        snprintf(line.why, sizeof line.why, "%s", f->says ? f->says : "as written");
    print(out, w, &line);
    w->task = -1;
    if (w->is_dying)
        w->ends_ns = mu_now_ns(&f->clock);
    return true;
}

static bool beat(struct fake_launcher *f, struct mu_worker_told *out)
{
    int64_t now = mu_now_ns(&f->clock);
    for (int i = 0; i < f->n; i++) {
        struct fake_worker *w = &f->worker[i];
        struct mu_worker_line line = {.kind = MU_LINE_ALIVE, .task = w->task, .total = 100, .done = 1, .per_s = 1};
        if (now - w->beat_ns < SEC || w->status == FAKE_SILENT)
            continue;
        w->beat_ns = now;
        print(out, w, &line);
        return true;
    }
    return false;
}

static bool fake_wait(struct mu_launcher *l, int64_t timeout_ns, struct mu_worker_told *out)
{
    struct fake_launcher *f = fake_of(l);
    int64_t until = mu_now_ns(&f->clock) + timeout_ns;
    for (;;) {
        struct fake_worker *first = NULL;
        if (beat(f, out))
            return true;
        for (int i = 0; i < f->n; i++)
            if (!first || f->worker[i].ends_ns < first->ends_ns)
                first = &f->worker[i];
        int64_t now = mu_now_ns(&f->clock), next = first ? MU_MIN(first->ends_ns, until) : until;
        mu_clock_fake_advance(&f->clock, MU_MAX(next - now, 0));
        if (!first || first->ends_ns > until)
            return beat(f, out);
        if (act(f, first, out))
            return true;
    }
}

static void fake_stop(struct mu_launcher *l, int64_t worker, bool at_once)
{
    struct fake_launcher *f = fake_of(l);
    struct fake_worker *w = find(f, worker);
    if (!w || ((w->status == FAKE_STUBBORN || w->status == FAKE_SILENT) && !at_once))
        return;
    w->is_dying = true;
    w->ends_ns = mu_now_ns(&f->clock);
    w->status = at_once ? 128 + SIGKILL : mu_code_exit_status(MU_ECANCELED);
    if (at_once)
        w->task = -1;
}

static bool fake_is_down(struct mu_launcher *l, const char *node)
{
    struct fake_launcher *f = fake_of(l);
    if (f->back_ns && mu_now_ns(&f->clock) >= f->back_ns)
        f->n_down = 0;
    for (int i = 0; i < f->n_down; i++)
        if (strcmp(f->down[i], node) == 0)
            return true;
    return false;
}

static void fake_close(struct mu_launcher *l)
{
    fake_of(l)->n = 0;
}

static const struct mu_launcher_ops fake_ops = {.name = "fake",
                                                .start = fake_start,
                                                .say = fake_say,
                                                .wait = fake_wait,
                                                .stop = fake_stop,
                                                .is_node_down = fake_is_down,
                                                .close = fake_close};

void fake_launcher_init(struct fake_launcher *f, const struct fake_script *script, int n_scripts)
{
    *f = (struct fake_launcher){.l = {&fake_ops}, .script = script, .n_scripts = n_scripts};
    mu_clock_fake_init(&f->clock, 1000 * SEC);
}
