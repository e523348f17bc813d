/* fake_launcher.c - see fake_launcher.h */
#include "fake_launcher.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/file.h"
#include "base/json.h"
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

/* ---- tasks of documents ---- */

static bool is_to_do(const struct fake_worker *w, int document)
{
    char key[16];
    snprintf(key, sizeof key, " %d ", document);
    return document >= w->first && document <= w->last && !strstr(w->skip, key) && !w->documents->answered[document];
}

/* "part" and "skip" of the task's options. */
static void read_options(struct fake_worker *w, const char *config)
{
    struct fake_documents *d = w->documents;
    struct mu_buf text = MU_BUF_INIT("options", 1 << 20);
    const char *part = NULL, *number;
    json_t *o = NULL, *why;
    w->first = 0, w->last = d->n - 1;
    snprintf(w->skip, sizeof w->skip, " ");
    if (mu_file_read_all(&text, config, NULL) != MU_OK || mu_json_parse(&o, mu_buf_str(&text), config, NULL) != MU_OK)
        return;
    part = json_string_value(json_object_get(o, "part"));
    if (part)
        sscanf(part, "%d-%d", &w->first, &w->last);
    json_object_foreach(json_object_get(o, "skip"), number, why)
    {
        size_t n = strlen(w->skip);
        snprintf(w->skip + n, sizeof w->skip - n, "%s ", number);
    }
    snprintf(d->parts + strlen(d->parts), sizeof d->parts - strlen(d->parts), "%s ", part ? part : "all");
    snprintf(d->skip, sizeof d->skip, "%s", w->skip);
    json_decref(o);
    mu_buf_fini(&text);
}

static bool kills(const struct fake_worker *w)
{
    const struct fake_documents *d = w->documents;
    for (int i = 0; i < d->n_deadly; i++)
        if (is_to_do(w, d->deadly[i]))
            return true;
    return d->pair[1] > 0 && is_to_do(w, d->pair[0]) && is_to_do(w, d->pair[1]);
}

static bool is_deadly(const struct fake_documents *d, int document)
{
    bool is = d->pair[1] > 0 && (document == d->pair[0] || document == d->pair[1]);
    for (int i = 0; i < d->n_deadly; i++)
        is |= d->deadly[i] == document;
    return is;
}

static int count_done(const struct fake_worker *w)
{
    int n = 0;
    for (int i = w->first; i <= w->last; i++)
        n += w->documents->answered[i];
    return n;
}

static bool has_to_do(const struct fake_worker *w)
{
    for (int i = w->first; i <= w->last; i++)
        if (is_to_do(w, i))
            return true;
    return false;
}

static void answer(struct fake_worker *w, bool also_deadly)
{
    for (int i = w->first; i <= w->last; i++)
        w->documents->answered[i] |= is_to_do(w, i) && (also_deadly || !is_deadly(w->documents, i));
    w->done = count_done(w);
}

/* What its worker says when computing begins, which decides how it ends. */
static struct mu_worker_line begin_documents(struct fake_worker *w)
{
    struct fake_documents *d = w->documents;
    struct mu_worker_line line = {.kind = MU_LINE_BEGUN, .task = w->task, .done = count_done(w), .documents = d->n};
    bool dies = kills(w) || d->kills > 0 || (d->bad_node && strcmp(d->bad_node, w->node) == 0);
    w->has_begun = true;
    w->status = dies ? d->death : 0;
    d->kills -= d->kills > 0;
    if (dies && d->answers_others)
        answer(w, false);
    return line;
}

static void begin_task(struct fake_launcher *f, struct fake_worker *w, const char *name, const char *config)
{
    w->status = 0;
    w->documents = NULL;
    w->ends_ns = mu_now_ns(&f->clock) + SEC;
    for (int i = 0; i < f->n_documents; i++) {
        if (strcmp(f->documents[i].task, name) != 0)
            continue;
        w->documents = &f->documents[i];
        read_options(w, config);
        w->has_begun = !has_to_do(w);
        w->done = count_done(w);
    }
    w->load_s = w->is_loaded ? 0 : f->load_s;
    w->is_loaded = true;
    w->from_ns = mu_now_ns(&f->clock) + (int64_t)(w->load_s * 1e9);
    w->ends_ns = w->from_ns + (f->seconds > 0 ? (int64_t)(f->seconds * 1e9) : SEC);
    for (int i = 0; i < f->n_scripts; i++) {
        const struct fake_script *s = &f->script[i];
        if (strcmp(s->task, name) != 0)
            continue;
        w->status = s->status[MU_MIN(f->tries[i], 7)];
        w->ends_ns = w->from_ns + (int64_t)(s->seconds * 1e9);
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
        begin_task(f, w, name, line.config);
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
    struct mu_worker_line line = {.kind = MU_LINE_ENDED, .task = w->task, .status = w->status, .load_s = w->load_s};
    int status = w->status;
    if (w->documents && !w->has_begun && !w->is_dying) {
        line = begin_documents(w);
        w->ends_ns = mu_now_ns(&f->clock) + 3 * SEC;
        print(out, w, &line);
        return true;
    }
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
    if (w->documents && status == 0)
        answer(w, true);
    print(out, w, &line);
    w->task = -1;
    if (w->is_dying)
        w->ends_ns = mu_now_ns(&f->clock);
    return true;
}

/* Its requests are done one after the other at the launcher's rate. */
static void tell_progress(const struct fake_launcher *f, const struct fake_worker *w, struct mu_worker_line *line)
{
    bool has_end = w->task >= 0 && w->ends_ns != INT64_MAX;
    int64_t ran_ns = has_end ? MU_MAX(mu_now_ns(&f->clock) - w->from_ns, 0) : 0;
    line->total = has_end ? f->rate * (double)(w->ends_ns - w->from_ns) * 1e-9 : 0;
    line->done = MU_MIN(f->rate * (double)ran_ns * 1e-9, line->total);
    line->per_s = ran_ns > 0 ? f->rate : 0;
}

static bool beat(struct fake_launcher *f, struct mu_worker_told *out)
{
    int64_t now = mu_now_ns(&f->clock);
    for (int i = 0; i < f->n; i++) {
        struct fake_worker *w = &f->worker[i];
        struct mu_worker_line line = {.kind = MU_LINE_ALIVE, .task = w->task, .total = 100, .done = 1, .per_s = 1};
        if (now - w->beat_ns < SEC || w->status == FAKE_SILENT)
            continue;
        if (w->documents)
            line.done = w->done, line.total = w->last - w->first + 1;
        w->beat_ns = now;
        if (f->rate > 0)
            tell_progress(f, w, &line);
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
