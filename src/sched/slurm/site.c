/* site.c - a site profile's tree to struct mu_site, by one table of fields for each mapping */
#include "sched/slurm/site.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "base/nearest.h"
#include "base/yaml.h"
#include "sched/slurm/duration.h"

#define KEYS_MAX 24

#define MARGIN_DEFAULT 1.25
#define LEAD_DEFAULT_S 300
#define RESTARTS       20

enum kind {
    NESTED, /* read by its own function */
    TEXT,
    PLAIN, /* text that is_plain */
    LINES,
    FLAG,
    COUNT,
    FACTOR,
    SPAN /* a length of time */
};

struct field {
    const char *key;
    enum kind kind;
    size_t offset;
    double lo, hi; /* of COUNT, FACTOR and, in seconds, SPAN */
};

struct reader {
    const struct mu_yaml *y;
    const char *where;
    struct mu_err *e;
};

/* A mapping and what it is called in sentences. */
struct part {
    const json_t *o;
    const char *name;
};

#define SITE(member)      offsetof(struct mu_site, member)
#define PARTITION(member) offsetof(struct mu_site_partition, member)
#define SPAN_MAX          ((double)MU_SLURM_DAYS_MAX * 86400)

static const struct field site_fields[] = {
    {"name", PLAIN, SITE(name), 0, 0},
    {"muster", TEXT, SITE(muster), 0, 0},
    {"account", PLAIN, SITE(account), 0, 0},
    {"qos", PLAIN, SITE(qos), 0, 0},
    {"modules", LINES, SITE(modules), 0, 0},
    {"prolog", LINES, SITE(prolog), 0, 0},
    {"launch", NESTED, 0, 0, 0},
    {"folders", NESTED, 0, 0, 0},
    {"gres", NESTED, 0, 0, 0},
    {"signal_lead", SPAN, SITE(signal_lead_s), 30, 65535}, /* sbatch(1), --signal: at most 65535 */
    {"restarts", COUNT, SITE(restarts), 0, MU_SITE_RESTARTS_MAX},
    {"time_margin", FACTOR, SITE(time_margin), 1, 100},
    {"memory_margin", FACTOR, SITE(memory_margin), 1, 100},
    {"accounting", FLAG, SITE(has_accounting), 0, 0},
    {"partitions", NESTED, 0, 0, 0},
    {NULL, NESTED, 0, 0, 0},
};
static const struct field launch_fields[] = {
    {"by", NESTED, 0, 0, 0},
    {"mpi", PLAIN, SITE(mpi), 0, 0},
    {"options", LINES, SITE(launch_options), 0, 0},
    {NULL, NESTED, 0, 0, 0},
};
static const struct field folder_fields[] = {
    {"store", TEXT, SITE(store), 0, 0},
    {"scratch", TEXT, SITE(scratch), 0, 0},
    {"models", TEXT, SITE(models), 0, 0},
    {NULL, NESTED, 0, 0, 0},
};
static const struct field partition_fields[] = {
    {"name", PLAIN, PARTITION(name), 0, 0},
    {"account", PLAIN, PARTITION(account), 0, 0},
    {"qos", PLAIN, PARTITION(qos), 0, 0},
    {"constraint", PLAIN, PARTITION(constraint), 0, 0},
    {"constraint_linked", PLAIN, PARTITION(constraint_linked), 0, 0},
    {"cpus", COUNT, PARTITION(cpus), 1, MU_SITE_CPUS_MAX},
    {"max_time", SPAN, PARTITION(time_max_s), 60, SPAN_MAX},
    {"asks_memory", FLAG, PARTITION(asks_memory), 0, 0},
    {"exclusive", FLAG, PARTITION(is_exclusive), 0, 0},
    {"nodes", NESTED, 0, 0, 0},
    {"ranks", NESTED, 0, 0, 0},
    {"machine", NESTED, 0, 0, 0},
    {NULL, NESTED, 0, 0, 0},
};

/* Letters of partitions, accounts, gres, features and expressions over these. No blank, quote, # or backslash. */
bool mu_site_is_plain(const char *text)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.:,@%/+=-&|*()[]!";
    return *text && text[strspn(text, letters)] == 0;
}

/* ---- sentences ---- */

struct place {
    char text[MU_ERR_TEXT_MAX / 2];
};

/* "site.yaml, line 7: partitions.cpus" */
static struct place place_of(const struct reader *r, struct part p, const char *key)
{
    struct place at;
    int line = mu_yaml_key_line(r->y, p.o, key);
    char number[24] = "";
    if (line > 0)
        snprintf(number, sizeof number, ", line %d", line);
    snprintf(at.text, sizeof at.text, "%.300s%s: %s%s%.60s", r->where, number, p.name, *p.name ? "." : "", key);
    return at;
}

static int bad(const struct reader *r, struct part p, const char *key, const char *wanted)
{
    return mu_fail(r->e, MU_EFORMAT, "%s must be %s", place_of(r, p, key).text, wanted);
}

/* ---- values ---- */

static bool is_line(const char *s)
{
    for (; *s; s++) {
        if ((unsigned char)*s < ' ' && *s != '\t')
            return false;
    }
    return true;
}

static int read_text(const struct reader *r, struct part p, const struct field *f, const json_t *v, const char **out)
{
    const char *s = json_string_value(v);
    if (!s || !*s || strlen(s) > MU_SITE_TEXT_MAX || strlen(s) != json_string_length(v) || !is_line(s))
        return bad(r, p, f->key, "a text of one line");
    if (f->kind == PLAIN && !mu_site_is_plain(s))
        return bad(r, p, f->key, "a name of letters, digits and _.:,@%/+=-&|*()[]! alone");
    *out = s;
    return MU_OK;
}

static int read_lines(const struct reader *r, struct part p, const struct field *f, const json_t *v,
                      struct mu_site_lines *out)
{
    size_t n = json_array_size(v);
    if (!json_is_array(v) || n > MU_SITE_LINES_MAX)
        return mu_fail(r->e, MU_EFORMAT, "%s must be a list of at most %d texts", place_of(r, p, f->key).text,
                       MU_SITE_LINES_MAX);
    *out = (struct mu_site_lines){0};
    for (size_t i = 0; i < n; i++)
        MU_TRY_RETURN(read_text(r, p, f, json_array_get(v, i), &out->line[out->n++]));
    return MU_OK;
}

static int read_number(const struct reader *r, struct part p, const struct field *f, const json_t *v, double *out)
{
    char wanted[96];
    *out = json_number_value(v);
    if (json_is_number(v) && (f->kind == FACTOR || json_is_integer(v)) && *out >= f->lo && *out <= f->hi)
        return MU_OK;
    snprintf(wanted, sizeof wanted, "a %snumber from %g to %g", f->kind == COUNT ? "whole " : "", f->lo, f->hi);
    return bad(r, p, f->key, wanted);
}

/* YAML reads 04:00:00 as its seconds. */
static int read_span(const struct reader *r, struct part p, const struct field *f, const json_t *v, int64_t *out)
{
    struct mu_err why = MU_ERR_INIT;
    const char *s = json_string_value(v);
    char wanted[128];
    if (json_is_integer(v))
        *out = json_integer_value(v);
    else if (!s)
        return bad(r, p, f->key, "a length of time such as 12h or 1-12:00:00");
    else if (mu_slurm_duration_parse(out, mu_str(s), &why) != MU_OK)
        return mu_fail(r->e, MU_EFORMAT, "%s: %s", place_of(r, p, f->key).text, why.text);
    if (*out == MU_SLURM_UNLIMITED || (*out >= (int64_t)f->lo && *out <= (int64_t)f->hi))
        return MU_OK;
    snprintf(wanted, sizeof wanted, "from %g to %g seconds", f->lo, f->hi);
    return bad(r, p, f->key, wanted);
}

static int read_value(const struct reader *r, struct part p, const struct field *f, const json_t *v, void *at)
{
    double number;
    switch (f->kind) {
    case TEXT:
    case PLAIN:
        return read_text(r, p, f, v, at);
    case LINES:
        return read_lines(r, p, f, v, at);
    case FLAG:
        if (!json_is_boolean(v))
            return bad(r, p, f->key, "true or false");
        *(bool *)at = json_is_true(v);
        return MU_OK;
    case COUNT:
        MU_TRY_RETURN(read_number(r, p, f, v, &number));
        *(int64_t *)at = (int64_t)number;
        return MU_OK;
    case FACTOR:
        return read_number(r, p, f, v, at);
    case SPAN:
        return read_span(r, p, f, v, at);
    case NESTED:
        break;
    }
    return MU_OK;
}

/* ---- mappings ---- */

static const struct field *find_field(const struct field *fields, const char *key)
{
    for (; fields->key; fields++) {
        if (strcmp(fields->key, key) == 0)
            return fields;
    }
    return NULL;
}

static int unknown_key(const struct reader *r, struct part p, const struct field *fields, const char *key)
{
    const char *names[KEYS_MAX + 1] = {NULL};
    for (int i = 0; i < KEYS_MAX && fields[i].key; i++)
        names[i] = fields[i].key;
    const char *near = mu_name_nearest(names, key);
    return mu_fail(r->e, MU_EFORMAT, "%s is no key that is known%s%s%s", place_of(r, p, key).text,
                   near ? "; did you mean \"" : "", near ? near : "", near ? "\"?" : "");
}

/* Every member of the mapping into the struct at base; an absent or null one leaves its default. */
static int read_fields(const struct reader *r, struct part p, const struct field *fields, void *base)
{
    const char *key;
    json_t *v;
    json_object_foreach((json_t *)(uintptr_t)p.o, key, v)
    {
        const struct field *f = find_field(fields, key);
        if (!f)
            return unknown_key(r, p, fields, key);
        if (f->kind != NESTED && !json_is_null(v))
            MU_TRY_RETURN(read_value(r, p, f, v, (char *)base + f->offset));
    }
    return MU_OK;
}

/* *out->o NULL: absent. */
static int get_mapping(const struct reader *r, const json_t *o, const char *key, struct part *out)
{
    *out = (struct part){json_object_get(o, key), key};
    if (!out->o || json_is_null(out->o)) {
        out->o = NULL;
        return MU_OK;
    }
    return json_is_object(out->o) ? MU_OK : bad(r, (struct part){o, ""}, key, "a mapping");
}

static int read_launch(const struct reader *r, const json_t *root, struct mu_site *s)
{
    struct part p;
    MU_TRY_RETURN(get_mapping(r, root, "launch", &p));
    if (!p.o)
        return MU_OK;
    MU_TRY_RETURN(read_fields(r, p, launch_fields, s));
    const char *by = json_string_value(json_object_get(p.o, "by"));
    if (by && strcmp(by, "mpirun") == 0)
        s->launch = MU_SITE_MPIRUN;
    else if (json_object_get(p.o, "by") && !(by && strcmp(by, "srun") == 0))
        return bad(r, p, "by", "srun or mpirun");
    return MU_OK;
}

/* Of a machine's GPUs, as the table of GPU kinds would have it: their kind, or their name where they have none. */
static const char *gpus_of(const json_t *machine)
{
    const json_t *gpus = json_object_get(machine, "gpus");
    const char *kind = json_string_value(json_object_get(gpus, "kind"));
    return kind ? kind : json_string_value(json_object_get(gpus, "name"));
}

/* A table that leaves GPUs out would let jobs ask for none of them; whole nodes need no asking. */
static int find_gres(const struct reader *r, const json_t *root, const json_t *machine, struct mu_site_partition *t)
{
    const char *kind = gpus_of(machine);
    struct part p;
    MU_TRY_RETURN(get_mapping(r, root, "gres", &p));
    const json_t *v = kind ? json_object_get(p.o, kind) : NULL;
    const struct field f = {kind, PLAIN, 0, 0, 0};
    if (v)
        return read_text(r, p, &f, v, &t->gres);
    if (json_object_size(p.o) == 0 || t->machine.is_host || t->is_exclusive)
        return MU_OK;
    return mu_fail(r->e, MU_EFORMAT,
                   "%s: what Slurm calls the GPUs of partition %s is not there: add \"%.60s\", or leave gres out",
                   place_of(r, (struct part){root, ""}, "gres").text, t->name, kind ? kind : "their kind");
}

/* ---- partitions ---- */

static int read_count(const struct reader *r, struct part p, const char *key, int hi, int *out)
{
    const struct field f = {key, COUNT, 0, 1, hi};
    const json_t *v = json_object_get(p.o, key);
    double number;
    if (!v || json_is_null(v))
        return MU_OK;
    MU_TRY_RETURN(read_number(r, p, &f, v, &number));
    *out = (int)number;
    return MU_OK;
}

/* nodes and ranks: how many nodes a job may have, and how many ranks share a node's CPUs. */
static int read_machine(const struct reader *r, struct part p, struct mu_site_partition *t)
{
    struct mu_machine *m = &t->machine;
    struct part machine;
    int nodes = 1, ranks = 0;
    MU_TRY_RETURN(get_mapping(r, p.o, "machine", &machine));
    if (!machine.o)
        return bad(r, p, "machine", "there: a node as docs/cluster.md has it, such as {gpus: {kind: h100, count: 8}}");
    MU_TRY_RETURN(mu_machine_from_node(m, r->y, machine.o, r->where, r->e));
    MU_TRY_RETURN(read_count(r, p, "nodes", MU_NODES_MAX, &nodes));
    MU_TRY_RETURN(read_count(r, p, "ranks", MU_NODE_DEVICES_MAX, &ranks));
    if (ranks > 0 && !m->is_host)
        return bad(r, p, "ranks", "left out: a node with GPUs has a rank each");
    mu_machine_resize(m, nodes, ranks > 0 ? ranks : m->devices);
    if (t->cpus < m->devices)
        return mu_fail(r->e, MU_EFORMAT, "%s is %lld, fewer than the %d ranks of a node", place_of(r, p, "cpus").text,
                       (long long)t->cpus, m->devices);
    return mu_machine_check(m, r->where, r->e);
}

static int read_partition(const struct reader *r, const json_t *root, const json_t *o, struct mu_site_partition *t)
{
    struct part p = {o, "partitions"};
    if (!json_is_object(o))
        return bad(r, (struct part){root, ""}, "partitions", "a list of mappings");
    *t = (struct mu_site_partition){.time_max_s = MU_SLURM_UNLIMITED, .asks_memory = true};
    MU_TRY_RETURN(read_fields(r, p, partition_fields, t));
    if (!t->name)
        return mu_fail(r->e, MU_EFORMAT, "%s, line %d: a partition has no name", r->where, mu_yaml_line(r->y, o));
    if (t->cpus == 0)
        return mu_fail(r->e, MU_EFORMAT, "%s, line %d: partition %s lacks cpus: how many of a node a job may take",
                       r->where, mu_yaml_line(r->y, o), t->name);
    MU_TRY_RETURN(read_machine(r, p, t));
    return find_gres(r, root, json_object_get(o, "machine"), t);
}

static int read_partitions(const struct reader *r, const json_t *root, struct mu_site *s)
{
    const json_t *list = json_object_get(root, "partitions");
    size_t n = json_array_size(list);
    if (!json_is_array(list) || n < 1 || n > MU_SITE_PARTITIONS_MAX)
        return mu_fail(r->e, MU_EFORMAT,
                       "%s: partitions must be a list of 1 to %d mappings with name, cpus and machine", r->where,
                       MU_SITE_PARTITIONS_MAX);
    for (size_t i = 0; i < n; i++)
        MU_TRY_RETURN(read_partition(r, root, json_array_get(list, i), &s->partition[s->n_partitions++]));
    return MU_OK;
}

static int read_site(const struct reader *r, struct mu_site *s)
{
    const json_t *root = mu_yaml_root(s->yaml);
    struct part folders;
    if (!json_is_object(root))
        return mu_fail(r->e, MU_EFORMAT, "%s: a mapping with partitions is needed (docs/slurm.md)", r->where);
    MU_TRY_RETURN(read_fields(r, (struct part){root, ""}, site_fields, s));
    MU_TRY_RETURN(read_launch(r, root, s));
    MU_TRY_RETURN(get_mapping(r, root, "folders", &folders));
    if (folders.o)
        MU_TRY_RETURN(read_fields(r, folders, folder_fields, s));
    return read_partitions(r, root, s);
}

/* Takes y, also on failure. */
static int make(struct mu_site **out, struct mu_yaml *y, const char *where, struct mu_err *e)
{
    struct mu_site *s = NULL;
    int rc = MU_NEW(&s, "a site profile", e);
    if (rc != MU_OK) {
        mu_yaml_free(y);
        return rc;
    }
    s->yaml = y;
    s->name = "site";
    s->muster = "muster";
    s->mpi = "pmix";
    s->signal_lead_s = LEAD_DEFAULT_S;
    s->restarts = RESTARTS;
    s->time_margin = s->memory_margin = MARGIN_DEFAULT;
    rc = read_site(&(struct reader){y, where, e}, s);
    if (rc != MU_OK) {
        mu_site_free(s);
        return rc;
    }
    *out = s;
    return MU_OK;
}

/* ---- the face ---- */

int mu_site_load(struct mu_site **out, const char *path, struct mu_err *e)
{
    struct mu_yaml *y = NULL;
    MU_TRY_RETURN(mu_yaml_load(&y, path, e));
    return make(out, y, path, e);
}

int mu_site_parse(struct mu_site **out, struct mu_str text, const char *where, struct mu_err *e)
{
    struct mu_yaml *y = NULL;
    MU_TRY_RETURN(mu_yaml_parse(&y, text, where, e));
    return make(out, y, where, e);
}

void mu_site_free(struct mu_site *s)
{
    if (s)
        mu_yaml_free(s->yaml);
    mu_free(s);
}

int mu_site_partition_find(const struct mu_site_partition **out, const struct mu_site *s, const char *name,
                           struct mu_err *e)
{
    const char *names[MU_SITE_PARTITIONS_MAX + 1] = {NULL};
    for (int i = 0; i < s->n_partitions; i++) {
        names[i] = s->partition[i].name;
        if (strcmp(names[i], name) != 0)
            continue;
        *out = &s->partition[i];
        return MU_OK;
    }
    const char *near = mu_name_nearest(names, name);
    return mu_fail(e, MU_ENOENT, "the profile of %s has no partition \"%.60s\"; %s%s", s->name, name,
                   near ? "did you mean " : "its first is ", near ? near : names[0]);
}
