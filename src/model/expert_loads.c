/* expert_loads.c - see expert_loads.h */
#include "model/expert_loads.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/file.h"
#include "base/mem.h"

#define KIND       "expert loads"
#define BYTES_MAX  ((size_t)32 << 20) /* a thousand layers of a thousand experts, 20 digits each */
#define ROWS_MAX   1e18
#define LOADS_WHAT "loads of experts"

int mu_experts_most(const struct mu_spec *s)
{
    int most = 0;
    for (int i = 0; i < s->n_layers; i++)
        if (s->layers[i].mlp == MU_MLP_MOE)
            most = MU_MAX(most, s->layers[i].moe.n_experts);
    return most;
}

int mu_expert_loads_new(struct mu_expert_loads *out, const struct mu_spec *s, struct mu_err *e)
{
    *out = (struct mu_expert_loads){.n_layers = s->n_layers, .stride = mu_experts_most(s)};
    return MU_NEW_ARRAY(&out->rows, (int64_t)out->n_layers * out->stride, LOADS_WHAT, e);
}

void mu_expert_loads_fini(struct mu_expert_loads *l)
{
    mu_free(l->rows);
    *l = (struct mu_expert_loads){0};
}

/* ---- reading ---- */

static int read_layer(double *rows, const json_t *v, int layer, int n_experts, const char *where, struct mu_err *e)
{
    json_t *list;
    int64_t which;

    MU_TRY_RETURN(mu_json_int(v, "layer", 0, MU_LAYERS_MAX, &which, where, e));
    MU_TRY_RETURN(mu_json_array(v, "rows", &list, where, e));
    if (which != layer || (int)json_array_size(list) != n_experts)
        return mu_fail(e, MU_EFORMAT,
                       "%s counts %zu experts of layer %" PRId64
                       " where this model has %d in layer %d: loads of another "
                       "model",
                       where, json_array_size(list), which, n_experts, layer);
    for (int x = 0; x < n_experts; x++) {
        const json_t *one = json_array_get(list, (size_t)x);
        rows[x] = json_is_number(one) ? json_number_value(one) : -1;
        if (!(rows[x] >= 0 && rows[x] <= ROWS_MAX))
            return mu_fail(e, MU_EFORMAT, "%s: rows of expert %d of layer %d must be a number from 0 to %g", where, x,
                           layer, ROWS_MAX);
    }
    return MU_OK;
}

static int read_tree(struct mu_expert_loads *out, const json_t *v, const char *where, const struct mu_spec *s,
                     struct mu_err *e)
{
    const char *kind, *hash;
    json_t *layers;
    int64_t version;
    size_t at = 0;

    MU_TRY_RETURN(mu_json_string(v, "muster", &kind, where, e));
    if (strcmp(kind, KIND) != 0)
        return mu_fail(e, MU_EFORMAT, "%s holds \"%.60s\", not \"" KIND "\"", where, kind);
    MU_TRY_RETURN(mu_json_int(v, "version", 1, MU_EXPERT_LOADS_VERSION, &version, where, e));
    MU_TRY_RETURN(mu_json_string(v, "weights", &hash, where, e));
    snprintf(out->weights_hash, sizeof out->weights_hash, "%.*s", MU_EXPERT_LOADS_HASH - 1, hash);
    MU_TRY_RETURN(mu_json_array(v, "layers", &layers, where, e));
    for (int i = 0; i < s->n_layers; i++) {
        if (s->layers[i].mlp != MU_MLP_MOE)
            continue;
        if (at == json_array_size(layers))
            return mu_fail(e, MU_EFORMAT, "%s has loads of %zu layers, and none of layer %d: loads of another model",
                           where, at, i);
        MU_TRY_RETURN(read_layer(out->rows + (int64_t)i * out->stride, json_array_get(layers, at++), i,
                                 s->layers[i].moe.n_experts, where, e));
    }
    if (at < json_array_size(layers))
        return mu_fail(e, MU_EFORMAT,
                       "%s has loads of %zu layers where this model has %zu with experts: loads of another "
                       "model",
                       where, json_array_size(layers), at);
    return MU_OK;
}

int mu_expert_loads_parse(struct mu_expert_loads *out, struct mu_str text, const char *where, const struct mu_spec *s,
                          struct mu_err *e)
{
    json_t *v = NULL;
    int rc;

    *out = (struct mu_expert_loads){0};
    MU_TRY(mu_json_parse(&v, text, where, e));
    MU_TRY(mu_expert_loads_new(out, s, e));
    MU_TRY(read_tree(out, v, where, s, e));
out:
    json_decref(v);
    if (rc != MU_OK)
        mu_expert_loads_fini(out);
    return rc;
}

int mu_expert_loads_read(struct mu_expert_loads *out, const char *path, const struct mu_spec *s, struct mu_err *e)
{
    struct mu_buf text = MU_BUF_INIT(LOADS_WHAT, BYTES_MAX);
    int rc = mu_file_read_all(&text, path, e);

    if (rc == MU_OK)
        rc = mu_expert_loads_parse(out, mu_buf_str(&text), path, s, e);
    mu_buf_fini(&text);
    return rc;
}

/* ---- writing ---- */

static int print_layers(struct mu_buf *b, const struct mu_spec *s, const int64_t *rows, struct mu_err *e)
{
    int stride = mu_experts_most(s), n = 0;
    for (int i = 0; i < s->n_layers; i++) {
        if (s->layers[i].mlp != MU_MLP_MOE)
            continue;
        MU_TRY_RETURN(mu_buf_printf(b, e, "%s\n    {\"layer\": %d, \"rows\": [", n++ ? "," : "", i));
        for (int x = 0; x < s->layers[i].moe.n_experts; x++)
            MU_TRY_RETURN(mu_buf_printf(b, e, "%s%" PRId64, x ? ", " : "", rows[(int64_t)i * stride + x]));
        MU_TRY_RETURN(mu_buf_puts(b, "]}", e));
    }
    return MU_OK;
}

static int print(struct mu_buf *b, const struct mu_spec *s, const int64_t *rows, const char *hash, struct mu_err *e)
{
    MU_TRY_RETURN(mu_buf_printf(
        b, e, "{\n  \"muster\": \"" KIND "\",\n  \"version\": %d,\n  \"weights\": ", MU_EXPERT_LOADS_VERSION));
    MU_TRY_RETURN(mu_json_dump_string(b, mu_str(hash), e));
    MU_TRY_RETURN(mu_buf_puts(b, ",\n  \"layers\": [", e));
    MU_TRY_RETURN(print_layers(b, s, rows, e));
    return mu_buf_puts(b, "\n  ]\n}\n", e);
}

int mu_expert_loads_write(const char *path, const struct mu_spec *s, const int64_t *rows, const char *weights_hash,
                          struct mu_err *e)
{
    struct mu_buf b = MU_BUF_INIT(LOADS_WHAT, BYTES_MAX);
    int rc;

    MU_TRY(print(&b, s, rows, weights_hash, e));
    MU_TRY(mu_file_write_all(path, b.p, b.n, e));
out:
    mu_buf_fini(&b);
    return rc;
}
