/* machine_file.c - a cluster file's tree to a machine and back (docs/cluster.md)
 *
 * What is said twice must agree: a kind and its memory, links and their number times the rate of one, the cards of a
 * node and a device's share, nodes and their names, devices in all. A disagreement names both values and lines. */
#include "plan/machine.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/nearest.h"
#include "base/yaml.h"

#define AGREE          0.05 /* "80GB" and 81559 MiB are one thing */
#define HOST_CORES_MAX 65536

struct reader {
    const struct mu_yaml *y; /* NULL: no lines */
    const char *where;
    struct mu_err *e;
};

/* A mapping of the file and what it is called in sentences. */
struct part {
    const json_t *o; /* NULL: absent */
    const char *name;
};

/* ", line 7" */
struct place {
    char text[24];
};

static struct place place_of(const struct reader *r, const json_t *object, const char *key)
{
    struct place p = {""};
    int line = r->y ? mu_yaml_key_line(r->y, object, key) : 0;
    if (line > 0)
        snprintf(p.text, sizeof p.text, ", line %d", line);
    return p;
}

/* ---- quantities ---- */

enum unit { UNIT_BYTES, UNIT_RATE, UNIT_FLOPS, UNIT_SECONDS };

static const char *const unit_shape[] = {"80GiB", "450GB/s or 400Gb/s", "312TFLOPS", "2us"};

static const struct {
    const char *name;
    double factor;
} unit_names[][4] = {
    {{"B", 1}},
    {{"B/s", 1}, {"b/s", 0.125}, {"bit/s", 0.125}},
    {{"FLOPS", 1}, {"FLOP/s", 1}, {"F", 1}, {"OPS", 1}},
    {{"s", 1}},
};

static double prefix(const char **p)
{
    static const char letters[] = "numkMGTP";
    static const double factor[] = {1e-9, 1e-6, 1e-3, 1e3, 1e6, 1e9, 1e12, 1e15};
    const char *at = **p ? strchr(letters, **p == 'K' ? 'k' : **p) : NULL;
    if (!at)
        return 1;
    (*p)++;
    if (**p != 'i')
        return factor[at - letters];
    (*p)++;
    return pow(2, 10 * (double)(at - letters - 2));
}

static bool parse_quantity(const char *text, enum unit u, double *out)
{
    char *end;
    if (*text < '0' || *text > '9' || text[1] == 'x')
        return false;
    *out = strtod(text, &end);
    const char *p = end + strspn(end, " ");
    if (!*p)
        return isfinite(*out);
    *out *= prefix(&p);
    for (int i = 0; i < 4 && unit_names[u][i].name; i++) {
        if (strcmp(p, unit_names[u][i].name) == 0) {
            *out *= unit_names[u][i].factor;
            return isfinite(*out);
        }
    }
    return false;
}

/* Leaves *out when the key is absent. */
static int quantity(const struct reader *r, struct part p, const char *key, enum unit u, double *out)
{
    const json_t *v = json_object_get(p.o, key);
    if (!v || json_is_null(v))
        return MU_OK;
    if (json_is_number(v)) {
        *out = json_number_value(v);
        return MU_OK;
    }
    if (json_is_string(v) && parse_quantity(json_string_value(v), u, out))
        return MU_OK;
    return mu_fail(r->e, MU_EFORMAT, "%s%s: %s.%s is %.60s; a quantity such as %s is needed", r->where,
                   place_of(r, p.o, key).text, p.name, key, json_is_string(v) ? json_string_value(v) : "no number",
                   unit_shape[u]);
}

static int count(const struct reader *r, struct part p, const char *key, int hi, int *out)
{
    const json_t *v = json_object_get(p.o, key);
    if (!v || json_is_null(v))
        return MU_OK;
    if (!json_is_integer(v) || json_integer_value(v) < 1 || json_integer_value(v) > hi)
        return mu_fail(r->e, MU_EFORMAT, "%s%s: %s%s%s must be a whole number from 1 to %d", r->where,
                       place_of(r, p.o, key).text, p.name, *p.name ? "." : "", key, hi);
    *out = (int)json_integer_value(v);
    return MU_OK;
}

static int text(const struct reader *r, struct part p, const char *key, const char **out)
{
    const json_t *v = json_object_get(p.o, key);
    if (!v || json_is_null(v))
        return MU_OK;
    *out = json_string_value(v);
    if (!*out || !**out || strlen(*out) >= MU_MACHINE_NAME_MAX)
        return mu_fail(r->e, MU_EFORMAT, "%s%s: %s%s%s must be a name shorter than %d bytes", r->where,
                       place_of(r, p.o, key).text, p.name, *p.name ? "." : "", key, MU_MACHINE_NAME_MAX);
    return MU_OK;
}

/* [[size, part of the peak], ...] */
static int curve(const struct reader *r, struct part p, const char *key, struct mu_curve *out)
{
    const json_t *v = json_object_get(p.o, key), *point;
    size_t i;
    if (!v || json_is_null(v))
        return MU_OK;
    bool ok = json_is_array(v) && json_array_size(v) <= MU_CURVE_MAX;
    *out = (struct mu_curve){0};
    for (i = 0; ok && i < json_array_size(v); i++) {
        point = json_array_get(v, i);
        const json_t *x = json_array_get(point, 0), *y = json_array_get(point, 1);
        ok = json_array_size(point) == 2 && (json_is_number(x) || json_is_string(x)) && json_is_number(y);
        if (ok && json_is_string(x))
            ok =
                parse_quantity(json_string_value(x), strcmp(key, "product") == 0 ? UNIT_FLOPS : UNIT_BYTES, &out->x[i]);
        else if (ok)
            out->x[i] = json_number_value(x);
        out->y[i] = ok ? json_number_value(y) : 0;
        out->n = (int)i + 1;
    }
    return ok ? MU_OK
              : mu_fail(r->e, MU_EFORMAT, "%s%s: %s.%s must be at most %d points such as [1MB, 0.6]", r->where,
                        place_of(r, p.o, key).text, p.name, key, MU_CURVE_MAX);
}

/* ---- structure ---- */

static int check_keys(const struct reader *r, struct part p, const char *const *known)
{
    const char *key;
    json_t *v;
    json_object_foreach((json_t *)(uintptr_t)p.o, key, v)
    {
        int i = 0;
        while (known[i] && strcmp(known[i], key) != 0)
            i++;
        if (known[i])
            continue;
        const char *near = mu_name_nearest(known, key);
        return mu_fail(r->e, MU_EFORMAT, "%s%s: there is no key \"%.40s\"%s%s%s%s%s", r->where,
                       place_of(r, p.o, key).text, key, *p.name ? " in " : "", p.name, near ? "; did you mean \"" : "",
                       near ? near : "", near ? "\"?" : "");
    }
    return MU_OK;
}

static int get_part(const struct reader *r, const json_t *tree, const char *name, const char *const *known,
                    struct part *out)
{
    *out = (struct part){json_object_get(tree, name), name};
    if (!out->o || json_is_null(out->o)) {
        out->o = NULL;
        return MU_OK;
    }
    if (!json_is_object(out->o))
        return mu_fail(r->e, MU_EFORMAT, "%s%s: %s must be a mapping", r->where, place_of(r, tree, name).text, name);
    return check_keys(r, *out, known);
}

static bool agree(double a, double b)
{
    return fabs(a - b) <= AGREE * MU_MAX(fabs(a), fabs(b));
}

/* a and b are the two values as text with their keys. */
static int contradict(const struct reader *r, const char *a, struct place at_a, const char *b, struct place at_b)
{
    return mu_fail(r->e, MU_EFORMAT, "%s contradicts itself: %s%s, but %s%s", r->where, a, at_a.text, b, at_b.text);
}

/* A rate said as a whole and as so many of one. */
static int whole_and_parts(const struct reader *r, struct part p, const char *one_key, int n, double one, double share,
                           double *rate)
{
    char a[96], b[96];
    if (one <= 0)
        return MU_OK;
    double sum = n * one * share;
    if (json_object_get(p.o, "rate") && !agree(sum, *rate)) {
        snprintf(a, sizeof a, "%s.rate is %.4g GB/s", p.name, *rate * 1e-9);
        snprintf(b, sizeof b, "%d of %.4g GB/s make %.4g GB/s a device", n, one * 1e-9, sum * 1e-9);
        return contradict(r, a, place_of(r, p.o, "rate"), b, place_of(r, p.o, one_key));
    }
    *rate = sum;
    return MU_OK;
}

/* ---- parts ---- */

static const char *const top_keys[] = {"name", "nodes", "devices", "gpus", "links", "network", "storage", "host", NULL};
static const char *const gpu_keys[] = {"kind", "name", "count",  "memory",  "memory_rate", "f32",       "bf16", "fp8",
                                       "int8", "fp4",  "launch", "product", "rows",        "attention", "copy", NULL};
static const char *const link_keys[] = {"kind", "count", "link_rate", "rate", "latency", "crowded", "reached", NULL};
static const char *const network_keys[] = {"kind", "cards", "card_rate", "rate", "latency", "reached", NULL};
static const char *const storage_keys[] = {"rate", "total", NULL};
static const char *const host_keys[] = {"memory", "is_device", "cores", "reading", NULL};

static int read_kind(const struct reader *r, struct part p, struct mu_machine *m)
{
    struct mu_err why = MU_ERR_INIT;
    const char *kind = NULL;
    double memory = 0;
    char a[96], b[96];

    MU_TRY_RETURN(text(r, p, "kind", &kind));
    MU_TRY_RETURN(quantity(r, p, "memory", UNIT_BYTES, &memory));
    if (!kind)
        return MU_OK;
    if (mu_machine_preset(m, kind, &why) != MU_OK)
        return mu_fail(r->e, MU_EFORMAT, "%s%s: gpus.kind: %s", r->where, place_of(r, p.o, "kind").text, why.text);
    if (memory > 0 && !agree(memory, m->device.memory) && !agree(memory * 1.0737, m->device.memory)) {
        snprintf(a, sizeof a, "gpus.kind is %s with %.1f GiB", kind, m->device.memory * 0x1p-30);
        snprintf(b, sizeof b, "gpus.memory is %.1f GiB", memory * 0x1p-30);
        return contradict(r, a, place_of(r, p.o, "kind"), b, place_of(r, p.o, "memory"));
    }
    return MU_OK;
}

static int read_gpus(const struct reader *r, struct part p, struct mu_machine *m)
{
    static const char *const rates[MU_RATE_N] = {"f32", "bf16", "fp8", "int8", "fp4"};
    struct mu_device_spec *d = &m->device;
    const char *name = NULL;

    MU_TRY_RETURN(read_kind(r, p, m));
    MU_TRY_RETURN(text(r, p, "name", &name));
    if (name)
        snprintf(d->name, sizeof d->name, "%s", name);
    MU_TRY_RETURN(count(r, p, "count", MU_NODE_DEVICES_MAX, &m->devices));
    MU_TRY_RETURN(quantity(r, p, "memory", UNIT_BYTES, &d->memory));
    MU_TRY_RETURN(quantity(r, p, "memory_rate", UNIT_RATE, &d->memory_rate));
    for (int i = 0; i < MU_RATE_N; i++)
        MU_TRY_RETURN(quantity(r, p, rates[i], UNIT_FLOPS, &d->flops[i]));
    MU_TRY_RETURN(quantity(r, p, "launch", UNIT_SECONDS, &d->launch_s));
    MU_TRY_RETURN(curve(r, p, "product", &d->product));
    MU_TRY_RETURN(curve(r, p, "rows", &d->rows));
    MU_TRY_RETURN(curve(r, p, "attention", &d->attention));
    return curve(r, p, "copy", &d->copy);
}

static int read_link(const struct reader *r, struct part p, const char *n_key, const char *one_key, double share,
                     struct mu_link_spec *l)
{
    const char *kind = NULL;
    double one = 0;
    int n = 1;

    MU_TRY_RETURN(text(r, p, "kind", &kind));
    if (kind)
        snprintf(l->name, sizeof l->name, "%s", kind);
    MU_TRY_RETURN(count(r, p, n_key, 1024, &n));
    MU_TRY_RETURN(quantity(r, p, one_key, UNIT_RATE, &one));
    MU_TRY_RETURN(quantity(r, p, "rate", UNIT_RATE, &l->rate));
    MU_TRY_RETURN(whole_and_parts(r, p, one_key, n, one, share, &l->rate));
    MU_TRY_RETURN(quantity(r, p, "latency", UNIT_SECONDS, &l->latency_s));
    MU_TRY_RETURN(quantity(r, p, "crowded", UNIT_SECONDS, &l->crowded_s));
    return curve(r, p, "reached", &l->reached);
}

static int read_storage(const struct reader *r, struct part p, struct mu_machine *m)
{
    char a[96], b[96];
    MU_TRY_RETURN(quantity(r, p, "rate", UNIT_RATE, &m->storage_rate));
    if (json_object_get(p.o, "rate"))
        m->storage_total = 0;
    MU_TRY_RETURN(quantity(r, p, "total", UNIT_RATE, &m->storage_total));
    if (m->storage_total <= 0 || m->storage_total >= m->storage_rate)
        return MU_OK;
    snprintf(a, sizeof a, "storage.rate of one node is %.4g GB/s", m->storage_rate * 1e-9);
    snprintf(b, sizeof b, "storage.total of all is %.4g GB/s", m->storage_total * 1e-9);
    return contradict(r, a, place_of(r, p.o, "rate"), b, place_of(r, p.o, "total"));
}

static int read_host(const struct reader *r, struct part p, struct mu_machine *m)
{
    const json_t *is_device = json_object_get(p.o, "is_device");
    if (is_device && !json_is_boolean(is_device))
        return mu_fail(r->e, MU_EFORMAT, "%s%s: host.is_device must be true or false", r->where,
                       place_of(r, p.o, "is_device").text);
    m->is_host = json_is_true(is_device);
    MU_TRY_RETURN(count(r, p, "cores", HOST_CORES_MAX, &m->host_cores));
    MU_TRY_RETURN(curve(r, p, "reading", &m->reading));
    return quantity(r, p, "memory", UNIT_BYTES, &m->host_memory);
}

/* nodes: a number, or names. */
static int read_nodes(const struct reader *r, const json_t *tree, struct mu_machine *m)
{
    const json_t *v = json_object_get(tree, "nodes");
    size_t n = json_array_size(v);
    if (!json_is_array(v))
        return count(r, (struct part){tree, ""}, "nodes", MU_NODES_MAX, &m->nodes);
    if (n < 1 || n > MU_NODES_MAX)
        return mu_fail(r->e, MU_EFORMAT, "%s%s: nodes names %zu; from 1 to %d are possible", r->where,
                       place_of(r, tree, "nodes").text, n, MU_NODES_MAX);
    for (size_t i = 0; i < n; i++) {
        if (!json_is_string(json_array_get(v, i)))
            return mu_fail(r->e, MU_EFORMAT, "%s%s: nodes is a number, or a list of names", r->where,
                           place_of(r, tree, "nodes").text);
    }
    m->nodes = (int)n;
    return MU_OK;
}

static int check_total(const struct reader *r, const json_t *tree, struct part gpus, const struct mu_machine *m)
{
    int total = m->nodes * m->devices;
    char a[96], b[96];
    MU_TRY_RETURN(count(r, (struct part){tree, ""}, "devices", MU_NODES_MAX * MU_NODE_DEVICES_MAX, &total));
    if (total == m->nodes * m->devices)
        return MU_OK;
    snprintf(a, sizeof a, "devices is %d", total);
    snprintf(b, sizeof b, "%d nodes of %d make %d", m->nodes, m->devices, m->nodes * m->devices);
    return contradict(r, a, place_of(r, tree, "devices"), b, place_of(r, gpus.o, "count"));
}

static int read_parts(const struct reader *r, const json_t *tree, struct mu_machine *m)
{
    struct part gpus, links, network, storage, host;

    MU_TRY_RETURN(get_part(r, tree, "gpus", gpu_keys, &gpus));
    MU_TRY_RETURN(get_part(r, tree, "links", link_keys, &links));
    MU_TRY_RETURN(get_part(r, tree, "network", network_keys, &network));
    MU_TRY_RETURN(get_part(r, tree, "storage", storage_keys, &storage));
    MU_TRY_RETURN(get_part(r, tree, "host", host_keys, &host));
    if (!gpus.o)
        return mu_fail(r->e, MU_EFORMAT, "%s: \"gpus\" is missing: what each node has, such as {kind: h100, count: 8}",
                       r->where);
    MU_TRY_RETURN(read_gpus(r, gpus, m));
    MU_TRY_RETURN(read_nodes(r, tree, m));
    MU_TRY_RETURN(check_total(r, tree, gpus, m));
    int cards = m->devices;
    MU_TRY_RETURN(count(r, network, "cards", 1024, &cards));
    MU_TRY_RETURN(read_link(r, links, "count", "link_rate", 1, &m->inside));
    MU_TRY_RETURN(read_link(r, network, "cards", "card_rate", 1.0 / m->devices, &m->between));
    MU_TRY_RETURN(read_storage(r, storage, m));
    if (m->nodes > 1 && m->between.rate <= 0)
        return mu_fail(r->e, MU_EFORMAT,
                       "%s: %d nodes%s, but no network between them: add network: {cards: 8, "
                       "card_rate: 400Gb/s}",
                       r->where, m->nodes, place_of(r, tree, "nodes").text);
    return read_host(r, host, m);
}

static int read_tree(struct mu_machine *out, const struct reader *r, const json_t *tree)
{
    const char *name = NULL;

    *out = (struct mu_machine){.nodes = 1, .devices = 1};
    if (!json_is_object(tree))
        return mu_fail(r->e, MU_EFORMAT, "%s: a mapping with nodes, gpus, links, network and storage is needed",
                       r->where);
    MU_TRY_RETURN(check_keys(r, (struct part){tree, ""}, top_keys));
    MU_TRY_RETURN(text(r, (struct part){tree, ""}, "name", &name));
    MU_TRY_RETURN(read_parts(r, tree, out));
    if (name || !out->name[0])
        snprintf(out->name, sizeof out->name, "%s", name ? name : "cluster");
    return mu_machine_check(out, r->where, r->e);
}

int mu_machine_from_tree(struct mu_machine *out, const json_t *tree, const char *where, struct mu_err *e)
{
    return read_tree(out, &(struct reader){NULL, where, e}, tree);
}

int mu_machine_from_yaml(struct mu_machine *out, const struct mu_yaml *y, const char *where, struct mu_err *e)
{
    return read_tree(out, &(struct reader){y, where, e}, mu_yaml_root(y));
}

int mu_machine_from_node(struct mu_machine *out, const struct mu_yaml *y, const json_t *node, const char *where,
                         struct mu_err *e)
{
    return read_tree(out, &(struct reader){y, where, e}, node);
}

/* ---- back to a tree ---- */

static json_t *curve_json(const struct mu_curve *c)
{
    json_t *points = json_array();
    for (int i = 0; i < c->n; i++)
        json_array_append_new(points, json_pack("[f, f]", c->x[i], c->y[i]));
    return points;
}

static json_t *link_json(const struct mu_link_spec *l)
{
    json_t *o = json_pack("{s:s, s:f, s:f, s:o}", "kind", l->name[0] ? l->name : "link", "rate", l->rate, "latency",
                          l->latency_s, "reached", curve_json(&l->reached));
    if (o && l->crowded_s > 0)
        json_object_set_new(o, "crowded", json_real(l->crowded_s));
    return o;
}

static void add_cores(json_t *o, const struct mu_machine *m)
{
    json_t *host = json_object_get(o, "host");
    if (!host || m->host_cores == 0)
        return;
    json_object_set_new(host, "cores", json_integer(m->host_cores));
    json_object_set_new(host, "reading", curve_json(&m->reading));
}

json_t *mu_machine_json(const struct mu_machine *m)
{
    const struct mu_device_spec *d = &m->device;
    json_t *gpus = json_pack("{s:s, s:i, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:o, s:o, s:o, s:o}", "name",
                             d->name[0] ? d->name : "device", "count", m->devices, "memory", d->memory, "memory_rate",
                             d->memory_rate, "f32", d->flops[MU_RATE_F32], "bf16", d->flops[MU_RATE_BF16], "fp8",
                             d->flops[MU_RATE_FP8], "int8", d->flops[MU_RATE_INT8], "fp4", d->flops[MU_RATE_FP4],
                             "launch", d->launch_s, "product", curve_json(&d->product), "rows", curve_json(&d->rows),
                             "attention", curve_json(&d->attention), "copy", curve_json(&d->copy));
    json_t *o = json_pack("{s:s, s:i, s:o, s:{s:f, s:f}, s:{s:f, s:b}}", "name", m->name[0] ? m->name : "machine",
                          "nodes", m->nodes, "gpus", gpus, "storage", "rate", m->storage_rate, "total",
                          m->storage_total, "host", "memory", m->host_memory, "is_device", (int)m->is_host);
    add_cores(o, m);
    if (o && m->inside.rate > 0)
        json_object_set_new(o, "links", link_json(&m->inside));
    if (o && m->between.rate > 0)
        json_object_set_new(o, "network", link_json(&m->between));
    return o;
}
