/* topology.c - see topology.h */
#include "sched/slurm/topology.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/mem.h"
#include "sched/slurm/duration.h"
#include "sched/slurm/words.h"

#define COLUMNS 8 /* of MU_SLURM_SINFO_FORMAT */

/* ---- words of a line ---- */

/* Value of "Key=value" at the beginning of a word, up to a blank; the first one counts: what people write (Reason,
 * Comment) comes behind what Slurm says. */
static bool field(struct mu_str line, const char *key, struct mu_str *out)
{
    size_t n = strlen(key);
    for (size_t i = 0; i + n < line.n; i++) {
        if ((i > 0 && line.p[i - 1] != ' ') || memcmp(line.p + i, key, n) != 0 || line.p[i + n] != '=')
            continue;
        out->p = line.p + i + n + 1;
        out->n = line.n - (i + n + 1);
        const char *blank = memchr(out->p, ' ', out->n);
        out->n = blank ? (size_t)(blank - out->p) : out->n;
        return true;
    }
    return false;
}

static int fail_line(struct mu_str line, const char *what, struct mu_err *e)
{
    return mu_fail(e, MU_EFORMAT, "Slurm printed a line that %s: \"%.*s\"", what, (int)MU_MIN(line.n, 120), line.p);
}

bool mu_slurm_list_has(const char *list, const char *name)
{
    size_t n = strlen(name);
    for (const char *p = list; *p; p += strcspn(p, ",")) {
        p += *p == ',';
        if (n > 0 && strncmp(p, name, n) == 0 && (p[n] == ',' || p[n] == 0))
            return true;
    }
    return false;
}

/* ---- gres ---- */

/* Up to the comma outside of parentheses. */
static struct mu_str first_gres(struct mu_str s)
{
    size_t n = 0;
    bool inside = false;
    for (; n < s.n && (inside || s.p[n] != ','); n++)
        inside = s.p[n] == '(' || (inside && s.p[n] != ')');
    return (struct mu_str){s.p, n};
}

/* "gpu", "gpu:2", "gpu:h100", "gpu:h100:8(S:0-1)" */
static int one_gres(struct mu_slurm_gres *out, struct mu_str g, struct mu_err *e)
{
    struct mu_slurm_gres one = {.count = 1};
    const char *paren = memchr(g.p, '(', g.n);
    struct mu_str body = {g.p, paren ? (size_t)(paren - g.p) : g.n};
    int64_t count = 1;
    if (body.n < 3 || memcmp(body.p, "gpu", 3) != 0 || (body.n > 3 && body.p[3] != ':'))
        return MU_OK;
    body = (struct mu_str){body.p + MU_MIN(body.n, 4), body.n - MU_MIN(body.n, 4)};
    const char *last = body.n > 0 ? memrchr(body.p, ':', body.n) : NULL;
    struct mu_str tail = last ? (struct mu_str){last + 1, (size_t)(body.p + body.n - last - 1)} : body;
    struct mu_str kind = {body.p, last ? (size_t)(last - body.p) : 0};
    if (!mu_slurm_whole(tail, 100000, &count)) {
        if (last || (tail.n > 0 && tail.p[0] >= '0' && tail.p[0] <= '9'))
            return fail_line(g, "has generic resources without a count", e);
        kind = tail;
        count = 1;
    }
    mu_slurm_keep(one.kind, sizeof one.kind, kind);
    one.count = (int)count;
    if (out->count == 0)
        *out = one;
    else if (strcmp(out->kind, one.kind) == 0)
        out->count += one.count;
    else
        out->is_mixed = true;
    return MU_OK;
}

int mu_slurm_gres_parse(struct mu_slurm_gres *out, struct mu_str text, struct mu_err *e)
{
    *out = (struct mu_slurm_gres){.count = 0};
    while (text.n > 0) {
        struct mu_str one = first_gres(text);
        MU_TRY_RETURN(one_gres(out, one, e));
        size_t used = MU_MIN(one.n + 1, text.n);
        text = (struct mu_str){text.p + used, text.n - used};
    }
    return MU_OK;
}

/* ---- nodes ---- */

/* "IDLE+DRAIN", "MIXED", "DOWN*": the star says that the node does not answer. */
static bool is_usable(const char *state)
{
    static const char *const bad[] = {"DOWN",         "DRAIN", "FAIL",         "MAINT",         "UNKNOWN",
                                      "FUTURE",       "INVAL", "ERROR",        "NOT_RESP",      "REBOOT",
                                      "PLANNED_DOWN", "*",     "POWERED_DOWN", "POWERING_DOWN", "NO_RESPOND"};
    for (size_t i = 0; i < MU_COUNT(bad); i++) {
        if (strstr(state, bad[i]))
            return false;
    }
    return state[0] != 0;
}

static int parse_node(struct mu_slurm_node *n, struct mu_str line, struct mu_err *e)
{
    struct mu_str v;
    int64_t cpus, port;
    *n = (struct mu_slurm_node){.cpus = 0};
    if (!field(line, "NodeName", &v) || v.n == 0 || v.n >= sizeof n->name)
        return fail_line(line, "names no node", e);
    mu_slurm_keep(n->name, sizeof n->name, v);
    if (!field(line, "CPUTot", &v) || !mu_slurm_whole(v, 1 << 20, &cpus))
        return fail_line(line, "has no CPUTot", e);
    n->cpus = (int)cpus;
    if (!field(line, "RealMemory", &v) || !mu_slurm_whole(v, INT64_C(1) << 40, &n->memory_mib))
        return fail_line(line, "has no RealMemory", e);
    if (!field(line, "State", &v))
        return fail_line(line, "has no State", e);
    mu_slurm_keep(n->state, sizeof n->state, v);
    n->is_usable = is_usable(n->state);
    if (field(line, "NodeAddr", &v) && v.n < sizeof n->address)
        mu_slurm_keep(n->address, sizeof n->address, v);
    if (field(line, "Port", &v) && mu_slurm_whole(v, UINT16_MAX, &port))
        n->port = (int)port;
    if (field(line, "ActiveFeatures", &v) && !mu_str_eq(v, MU_STR("(null)")))
        mu_slurm_keep(n->features, sizeof n->features, v);
    if (field(line, "Partitions", &v))
        mu_slurm_keep(n->partitions, sizeof n->partitions, v);
    return field(line, "Gres", &v) ? mu_slurm_gres_parse(&n->gpus, v, e) : MU_OK;
}

/* Room for one more: doubled when a power of two is reached. */
static int grow(void *array, int n, int max, size_t size, const char *what, struct mu_err *e)
{
    void **at = array;
    if (n == max)
        return mu_fail(e, MU_ELIMIT, "more than %d %s", max, what);
    if (n & (n - 1))
        return MU_OK;
    size_t bytes = size * (n > 0 ? 2 * (size_t)n : 1);
    void *p = mu_realloc(*at, bytes);
    if (!p)
        return mu_fail_nomem(e, bytes, what);
    *at = p;
    return MU_OK;
}

int mu_slurm_nodes_parse(struct mu_slurm_cluster *out, struct mu_str text, struct mu_err *e)
{
    struct mu_str line;
    while (mu_slurm_next_line(&text, &line)) {
        if (line.n == 0)
            continue;
        MU_TRY_RETURN(grow(&out->nodes, out->n_nodes, MU_SLURM_NODES_MAX, sizeof *out->nodes, "nodes", e));
        MU_TRY_RETURN(parse_node(&out->nodes[out->n_nodes], line, e));
        out->n_nodes++;
    }
    return MU_OK;
}

/* ---- partitions ---- */

static int split_columns(struct mu_str line, struct mu_str column[COLUMNS], struct mu_err *e)
{
    for (int i = 0; i < COLUMNS; i++) {
        const char *bar = line.n > 0 ? memchr(line.p, '|', line.n) : NULL;
        if (!bar != (i == COLUMNS - 1))
            return fail_line(line, "has not the columns asked of sinfo", e);
        column[i] = (struct mu_str){line.p, bar ? (size_t)(bar - line.p) : line.n};
        if (bar)
            line = (struct mu_str){bar + 1, line.n - column[i].n - 1};
    }
    return MU_OK;
}

/* "n/a": none is set. */
static int time_limit(struct mu_str s, int64_t *out, struct mu_err *e)
{
    *out = 0;
    return mu_str_eq(s, MU_STR("n/a")) || s.n == 0 ? MU_OK : mu_slurm_duration_parse(out, s, e);
}

static struct mu_slurm_partition *find_partition(struct mu_slurm_cluster *c, struct mu_str name)
{
    for (int i = 0; i < c->n_partitions; i++) {
        if (mu_str_eq(mu_str(c->partitions[i].name), name))
            return &c->partitions[i];
    }
    return NULL;
}

static int parse_partition(struct mu_slurm_cluster *out, struct mu_str line, struct mu_err *e)
{
    struct mu_str column[COLUMNS];
    int64_t nodes;
    MU_TRY_RETURN(split_columns(line, column, e));
    if (column[0].n == 0 || column[0].n >= MU_SLURM_NAME_MAX || !mu_slurm_whole(column[4], MU_SLURM_NODES_MAX, &nodes))
        return fail_line(line, "names no partition and its nodes", e);
    struct mu_slurm_partition *known = find_partition(out, column[0]);
    if (known) {
        known->nodes = (int)MU_MIN(known->nodes + nodes, MU_SLURM_NODES_MAX);
        return MU_OK;
    }
    MU_TRY_RETURN(
        grow(&out->partitions, out->n_partitions, MU_SLURM_PARTITIONS_MAX, sizeof *out->partitions, "partitions", e));
    struct mu_slurm_partition *p = &out->partitions[out->n_partitions];
    *p = (struct mu_slurm_partition){.is_up = mu_str_eq(column[1], MU_STR("up")), .nodes = (int)nodes};
    mu_slurm_keep(p->name, sizeof p->name, column[0]);
    MU_TRY_RETURN(time_limit(column[2], &p->time_max_s, e));
    MU_TRY_RETURN(time_limit(column[3], &p->time_default_s, e));
    out->n_partitions++;
    return MU_OK;
}

int mu_slurm_partitions_parse(struct mu_slurm_cluster *out, struct mu_str text, struct mu_err *e)
{
    struct mu_str line;
    while (mu_slurm_next_line(&text, &line)) {
        if (line.n > 0)
            MU_TRY_RETURN(parse_partition(out, line, e));
    }
    return MU_OK;
}

void mu_slurm_cluster_fini(struct mu_slurm_cluster *c)
{
    mu_free(c->nodes);
    mu_free(c->partitions);
    *c = (struct mu_slurm_cluster)MU_SLURM_CLUSTER_INIT;
}

/* ---- a machine ---- */

static bool has_all(const char *list, const char *wanted)
{
    char one[MU_SLURM_NAME_MAX];
    for (const char *p = wanted ? wanted : ""; *p;) {
        size_t n = strcspn(p, ",");
        if (n >= sizeof one)
            return false;
        memcpy(one, p, n);
        one[n] = 0;
        if (n > 0 && !mu_slurm_list_has(list, one))
            return false;
        p += n + (p[n] == ',');
    }
    return true;
}

static bool is_candidate(const struct mu_slurm_node *n, const char *partition, const char *features)
{
    return n->is_usable && mu_slurm_list_has(n->partitions, partition) && has_all(n->features, features);
}

static bool is_alike(const struct mu_slurm_node *a, const struct mu_slurm_node *b)
{
    return a->gpus.count == b->gpus.count && strcmp(a->gpus.kind, b->gpus.kind) == 0 && a->cpus == b->cpus &&
           a->memory_mib == b->memory_mib;
}

/* In the order of hardware, so that those alike are neighbours. */
static int by_hardware(const void *x, const void *y)
{
    const struct mu_slurm_node *a = *(const struct mu_slurm_node *const *)x,
                               *b = *(const struct mu_slurm_node *const *)y;
    int kind = strcmp(a->gpus.kind, b->gpus.kind);
    if (kind != 0)
        return kind;
    if (a->gpus.count != b->gpus.count)
        return a->gpus.count < b->gpus.count ? -1 : 1;
    if (a->cpus != b->cpus)
        return a->cpus < b->cpus ? -1 : 1;
    return (a->memory_mib > b->memory_mib) - (a->memory_mib < b->memory_mib);
}

static int make_machine(struct mu_machine *out, const struct mu_slurm_node *n, int nodes, struct mu_err *e)
{
    double memory = (double)n->memory_mib * 0x1p20;
    if (n->gpus.count == 0 || !n->gpus.kind[0]) {
        if (n->gpus.count > 0)
            return mu_fail(e, MU_EUNSUPPORTED, "Slurm names no kind of the %d GPUs of %s: say it in the site profile",
                           n->gpus.count, n->name);
        mu_machine_guess(out, memory, n->cpus);
        mu_machine_resize(out, nodes, 1);
        out->between = out->inside;
    } else {
        MU_TRY_RETURN(mu_machine_preset(out, n->gpus.kind, e));
        mu_machine_resize(out, nodes, MU_MIN(n->gpus.count, MU_NODE_DEVICES_MAX));
        out->host_memory = memory;
    }
    return MU_OK;
}

int mu_slurm_machine(struct mu_machine *out, const struct mu_slurm_cluster *c, const char *partition,
                     const char *features, struct mu_err *e)
{
    const struct mu_slurm_node **list = NULL, *best = NULL;
    int n = 0, most = 0;
    MU_TRY_RETURN(MU_NEW_ARRAY(&list, MU_MAX(c->n_nodes, 1), "a list of nodes", e));
    for (int i = 0; i < c->n_nodes; i++) {
        if (is_candidate(&c->nodes[i], partition, features))
            list[n++] = &c->nodes[i];
    }
    qsort(list, (size_t)n, sizeof *list, by_hardware);
    for (int i = 0, run = 0; i < n; i++) {
        run = i > 0 && is_alike(list[i - 1], list[i]) ? run + 1 : 1;
        if (run > most) {
            most = run;
            best = list[i];
        }
    }
    mu_free(list);
    if (!best)
        return mu_fail(e, MU_ENOENT, "no usable node of partition %s%s%s", partition, features ? " has " : "",
                       features ? features : "");
    return make_machine(out, best, most, e);
}
