#include "published.h"

#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"

#define PROMPT_FEW 8 /* "prompt of a few tokens" */

/* ---- a model object to a spec ---- */

static int64_t int_of(const json_t *o, const char *key, int64_t dflt)
{
    const json_t *v = json_object_get(o, key);
    return json_is_integer(v) ? json_integer_value(v) : dflt;
}

static void latent(struct mu_layer_spec *l, const json_t *a)
{
    l->attn = MU_ATTN_LATENT;
    l->q_lora = (int)int_of(a, "q_lora_rank", 0);
    l->kv_lora = (int)int_of(a, "kv_lora_rank", 0);
    l->dk_nope = (int)int_of(a, "qk_nope_head_dim", 0);
    l->dk_rope = (int)int_of(a, "qk_rope_head_dim", 0);
    l->dk = l->dk_nope + l->dk_rope;
    l->dv = (int)int_of(a, "v_head_dim", 0);
}

static struct mu_layer_spec layer_of(const json_t *m, int index)
{
    const json_t *moe = json_object_get(m, "moe"), *a = json_object_get(m, "attention");
    const char *act = json_string_value(json_object_get(m, "ffn_act"));
    struct mu_layer_spec l = {.n_heads = (int)int_of(m, "heads", 1), .n_kv_heads = (int)int_of(m, "kv_heads", 1)};
    l.dk = l.dv = (int)int_of(m, "head_dim", int_of(m, "hidden", 0) / l.n_heads);
    if (a)
        latent(&l, a);
    l.mlp = act && strcmp(act, "swiglu") == 0 ? MU_MLP_GATED : MU_MLP_PLAIN;
    l.ffn = (int)int_of(m, "ffn", 0);
    if (!moe || index < int_of(moe, "dense_layers", 0))
        return l;
    l.mlp = MU_MLP_MOE;
    l.ffn = 0;
    l.moe = (struct mu_moe_spec){.n_experts = (int)int_of(moe, "n_routed", 1),
                                 .top_k = (int)int_of(moe, "top_k", 1),
                                 .ffn = (int)int_of(moe, "ffn", 1),
                                 .n_shared = (int)int_of(moe, "n_shared", 0)};
    return l;
}

static int spec_of(struct mu_spec *s, const json_t *m, struct mu_err *e)
{
    s->n_layers = (int)int_of(m, "layers", 0);
    s->hidden = int_of(m, "hidden", 0);
    s->vocab = int_of(m, "vocab", 0);
    s->is_tied = json_is_true(json_object_get(m, "tie_embeddings"));
    MU_TRY_RETURN(MU_NEW_ARRAY(&s->layers, s->n_layers, "the layers of a published model", e));
    for (int i = 0; i < s->n_layers; i++) {
        s->layers[i] = layer_of(m, i);
        s->n_params += (int64_t)mu_layer_weight_of(s, &s->layers[i]).held;
    }
    s->n_params += s->vocab * s->hidden * (s->is_tied ? 1 : 2);
    return MU_OK;
}

/* ---- what ran it ---- */

struct format {
    const char *name;
    double bytes;
    enum mu_rate rate;
    enum mu_dtype kv;
};

static const struct format formats[] = {
    {"fp16", 2, MU_RATE_BF16, MU_F16},          {"bf16", 2, MU_RATE_BF16, MU_BF16},
    {"int8", 1, MU_RATE_BF16, MU_F16},          /* weights alone */
    {"fp8", 1, MU_RATE_FP8, MU_F8_E4M3},        /* and the cache: TensorRT-LLM's FP8 recipe */
    {"nvfp4", 0.5625, MU_RATE_FP4, MU_F8_E4M3}, /* 4 bits and a scale of 8 for 16 */
};

static const struct format *format_of(const char *name)
{
    for (size_t i = 0; i < MU_COUNT(formats); i++) {
        if (strcmp(formats[i].name, name) == 0)
            return &formats[i];
    }
    return NULL;
}

static const struct {
    const char *gpu, *preset;
} gpus[] = {{"A100-80GB", "a100"}, {"A100-40GB", "a100-40"}, {"H100-80GB", "h100"}, {"H200", "h200"},
            {"B200", "b200"},      {"GB200", "gb200"},       {"H800-80GB", "h800"}};

static int find_machine(const struct pub *p, const char *gpu)
{
    for (size_t i = 0; i < MU_COUNT(gpus); i++) {
        for (int k = 0; strcmp(gpus[i].gpu, gpu) == 0 && k < p->n_machines; k++) {
            if (strcmp(p->machines[k].name, gpus[i].preset) == 0)
                return k;
        }
    }
    return -1;
}

static const char *engine_name(const struct pub_row *r, const char *note, const char *precision)
{
    bool is_int8 = strcmp(precision, "int8") == 0;
    if (strstr(r->source, "FasterTransformer"))
        return "FasterTransformer";
    if (strstr(note, "DeepSpeed"))
        return is_int8 ? "DeepSpeed-Inference int8" : "DeepSpeed-Inference";
    if (strstr(note, "Accelerate"))
        return is_int8 ? "Accelerate int8" : "Accelerate";
    return "TensorRT-LLM"; /* and, for want of their own, the rows of serving systems like it */
}

static int find_engine(const struct pub *p, const char *name)
{
    for (int i = 0; i < p->n_engines; i++) {
        if (strcmp(p->engines[i].name, name) == 0)
            return i;
    }
    return -1;
}

/* ---- one row ---- */

static const char *text(const json_t *row, const char *key)
{
    const char *s = json_string_value(json_object_get(row, key));
    return s ? s : "";
}

static const char *why_not(const json_t *row, const char *precision, int machine)
{
    if (strstr(text(row, "note"), "offload"))
        return "weights offloaded to host or disk: not modelled";
    if (strncmp(text(row, "gpu"), "TPU", 3) == 0)
        return "TPU: products sharded in two dimensions over a torus are not modelled";
    if (machine < 0)
        return "no preset of the device";
    if (!format_of(precision))
        return "a weight format without a rate";
    return NULL;
}

/* Tokens a second of one user, "20-22", give the sequences that a GPU decodes together. */
static int64_t batch_of_rates(const json_t *measured, double node_rate)
{
    double lo = 0, hi = 0;
    const char *t = text(measured, "tokens_per_s_per_user");
    if (sscanf(t, "%lf-%lf", &lo, &hi) != 2 || lo + hi <= 0)
        return 0;
    return (int64_t)(node_rate / 8 / ((lo + hi) / 2));
}

static void measured_of(struct pub_row *r, const json_t *row)
{
    static const struct {
        const char *key;
        enum pub_unit unit;
        double scale;
    } keys[] = {{"latency_ms", PUB_SECONDS, 1e-3},
                {"latency_s", PUB_SECONDS, 1},
                {"ms_per_token_amortised", PUB_SECONDS_AMORTISED, 1e-3},
                {"output_tokens_per_s", PUB_OUTPUT_RATE, 1},
                {"output_tokens_per_s_per_8gpu_node", PUB_NODE_DECODE_RATE, 1}};
    const json_t *m = json_object_get(row, "measured");
    r->is_oom = json_is_true(json_object_get(m, "oom"));
    r->memory = json_number_value(json_object_get(m, "memory_gb")) * 1e9;
    for (size_t i = 0; i < MU_COUNT(keys); i++) {
        if (!mu_json_has(m, keys[i].key))
            continue;
        r->unit = keys[i].unit;
        r->measured = json_number_value(json_object_get(m, keys[i].key)) * keys[i].scale;
        if (r->unit == PUB_NODE_DECODE_RATE)
            r->w.batch = batch_of_rates(m, r->measured);
        return;
    }
    if (!r->is_oom && !r->skipped)
        r->skipped = "no time or rate among the measurements";
}

static uint64_t fnv(const char *s)
{
    uint64_t h = 14695981039346656037u;
    for (; *s; s++)
        h = (h ^ (unsigned char)*s) * 1099511628211u;
    return h;
}

static void keys_of(struct pub_row *r, const json_t *row, const char *precision)
{
    char config[256];
    snprintf(config, sizeof config, "%s|%s|%d|%d|%d|%d|%s", r->model, r->gpu, r->layout.tp, r->layout.pp,
             (int)r->w.prompt, (int)r->w.output, precision);
    r->fold = (int)(fnv(config) % PUB_FOLDS);
    snprintf(r->layout_free, sizeof r->layout_free, "%.20s|%s|%s|%s|%d|%d|%d", r->source, r->model, r->gpu, precision,
             (int)int_of(row, "batch", 0), (int)r->w.prompt, (int)r->w.output);
}

static int row_of(struct pub *p, struct pub_row *r, const json_t *row, struct mu_err *e)
{
    const char *precision = text(row, "precision");
    r->id = text(row, "id"), r->source = text(row, "source");
    r->model = text(row, "model_name"), r->gpu = text(row, "gpu");
    r->machine = find_machine(p, r->gpu);
    r->skipped = why_not(row, precision, r->machine);
    r->layout = (struct mu_layout){
        .tp = (int)int_of(row, "tp", 1), .pp = (int)int_of(row, "pp", 1), .ep = (int)int_of(row, "ep", 1)};
    r->layout.dp = (int)int_of(row, "n_gpus", 1) / (r->layout.tp * r->layout.pp);
    r->w = (struct mu_workload){.prompt = int_of(row, "input_len", PROMPT_FEW),
                                .output = int_of(row, "output_len", 0),
                                .batch = int_of(row, "batch", 0)};
    measured_of(r, row);
    if (r->unit == PUB_NODE_DECODE_RATE)
        r->w.output = 2;
    keys_of(r, row, precision);
    if (r->skipped)
        return MU_OK;
    const struct format *f = format_of(precision);
    r->engine = find_engine(p, engine_name(r, text(row, "note"), precision));
    r->w.weight_bytes_per_param = f->bytes, r->w.rate = f->rate, r->w.kv_dtype = f->kv;
    return spec_of(&r->spec, json_object_get(row, "model"), e);
}

/* ---- all rows ---- */

static void fill_kinds(struct pub *p)
{
    static const char *const names[] = {"FasterTransformer",        "TensorRT-LLM", "DeepSpeed-Inference",
                                        "DeepSpeed-Inference int8", "Accelerate",   "Accelerate int8"};
    for (size_t i = 0; i < MU_COUNT(gpus); i++) {
        struct mu_err ignored = MU_ERR_INIT;
        if (mu_machine_preset(&p->machines[p->n_machines], gpus[i].preset, &ignored) == MU_OK)
            p->n_machines++;
    }
    for (size_t i = 0; i < MU_COUNT(names); i++)
        p->engines[p->n_engines++] = *mu_cost_engine_find(names[i]);
}

int pub_load(struct pub *p, const char *path, struct mu_err *e)
{
    json_t *list;
    *p = (struct pub){0};
    fill_kinds(p);
    MU_TRY_RETURN(mu_json_load(&p->tree, path, e));
    MU_TRY_RETURN(mu_json_array(p->tree, "inference", &list, path, e));
    MU_TRY_RETURN(MU_NEW_ARRAY(&p->rows, json_array_size(list), "published rows", e));
    for (; p->n < (int)json_array_size(list); p->n++)
        MU_TRY_RETURN(row_of(p, &p->rows[p->n], json_array_get(list, (size_t)p->n), e));
    return MU_OK;
}

void pub_free(struct pub *p)
{
    for (int i = 0; i < p->n; i++)
        mu_spec_fini(&p->rows[i].spec);
    mu_free(p->rows);
    json_decref(p->tree);
}

/* The row's machine with nodes enough, and its workload with engine and batch. */
static int question(const struct pub *p, const struct pub_row *r, struct mu_machine *m, struct mu_workload *w,
                    struct mu_err *e)
{
    int ranks = mu_layout_ranks(&r->layout);
    *m = p->machines[r->machine];
    m->nodes = (ranks + m->devices - 1) / m->devices;
    *w = r->w;
    w->engine = &p->engines[r->engine];
    if (w->batch == 0) {
        w->batch = 1;
        MU_TRY_RETURN(mu_cost_batch_max(&w->batch, &r->spec, &r->layout, m, w, e));
    }
    w->batch = MU_MAX(w->batch, 1);
    return MU_OK;
}

int pub_predict(const struct pub *p, const struct pub_row *r, double *out, struct mu_err *e)
{
    struct mu_machine m;
    struct mu_workload w;
    struct mu_cost c;
    MU_TRY_RETURN(question(p, r, &m, &w, e));
    MU_TRY_RETURN(mu_cost_of(&c, &r->spec, &r->layout, &m, &w, e));
    switch (r->unit) {
    case PUB_SECONDS:
        *out = c.request_s;
        break;
    case PUB_SECONDS_AMORTISED:
        *out = c.request_s / (double)(w.batch * w.output);
        break;
    case PUB_OUTPUT_RATE:
        *out = c.output_per_s;
        break;
    case PUB_NODE_DECODE_RATE:
        *out = 8 * (double)w.batch / c.decode.total;
        break;
    }
    return MU_OK;
}

int pub_fits(const struct pub *p, const struct pub_row *r, bool *out, double *bytes, struct mu_err *e)
{
    struct mu_machine m;
    struct mu_workload w;
    MU_TRY_RETURN(question(p, r, &m, &w, e));
    MU_TRY_RETURN(mu_cost_memory(bytes, &r->spec, &r->layout, &w, e));
    *out = *bytes <= m.device.memory * w.engine->memory_part;
    return MU_OK;
}
