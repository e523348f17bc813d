/* cmd_models.c - `muster models`: the models known by name, or what a path holds */
#include <inttypes.h>
#include <stdio.h>

#include <muster/model.h>
#include <muster/tokenizer.h>

#include "base/check.h"
#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "cli/cmd.h"
#include "cli/print_json.h"

struct models_args {
    bool json, verify;
};

/* "7.24 B", "0.26 M" */
static const char *count_text(char buf[24], int64_t n)
{
    if (n >= 1000000000)
        snprintf(buf, 24, "%.2f B", (double)n * 1e-9);
    else
        snprintf(buf, 24, "%.2f M", (double)n * 1e-6);
    return buf;
}

/* ---- presets ---- */

static json_t *preset_json(const struct mu_preset *p)
{
    return json_pack("{s:s, s:s, s:s, s:s, s:s, s:I, s:I, s:b, s:s?}", "name", p->name, "hub", p->hub, "family",
                     p->family, "licence", p->licence, "dtype", p->dtype, "n_params", (json_int_t)p->n_params,
                     "context", (json_int_t)p->context, "runs", !p->obstacle, "obstacle", p->obstacle);
}

static int list_presets(bool as_json, struct mu_err *e)
{
    json_t *all = json_array();
    char count[24];
    if (!as_json)
        printf("%-16s %-10s %10s %9s %-5s  %s\n", "name", "family", "parameters", "context", "dtype", "licence");
    for (int i = 0; i < mu_preset_count(); i++) {
        const struct mu_preset *p = mu_preset_at(i);
        if (as_json)
            json_array_append_new(all, preset_json(p));
        else
            printf("%-16s %-10s %10s %9" PRId64 " %-5s  %s%s\n", p->name, p->family,
                   p->n_params ? count_text(count, p->n_params) : "-", p->context, p->dtype, p->licence,
                   p->obstacle ? " (does not run yet)" : "");
    }
    if (as_json)
        return mu_print_json(all, "the report", e);
    json_decref(all);
    return MU_OK;
}

static int show_preset(const struct mu_preset *p, bool as_json, struct mu_err *e)
{
    char count[24];
    if (as_json)
        return mu_print_json(preset_json(p), "the report", e);
    printf("%s (%s): %s, %s parameters, context %" PRId64 ", published as %s, licence: %s\n", p->name, p->hub,
           p->family, p->n_params ? count_text(count, p->n_params) : "uncounted", p->context, p->dtype, p->licence);
    if (p->obstacle)
        printf("%s\n", p->obstacle);
    return MU_OK;
}

/* ---- a path ---- */

static json_t *facts_json(const char *path, const struct mu_model_facts *f, const struct mu_tokenizer_info *tok,
                          const char *tok_problem)
{
    json_t *v = json_pack("{s:s, s:s, s:s, s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:i}", "path", path,
                          "architecture", f->architecture, "family", f->family, "format", f->format, "dtype", f->dtype,
                          "n_params", (json_int_t)f->n_params, "n_params_active", (json_int_t)f->n_params_active,
                          "context", (json_int_t)f->context, "vocab", (json_int_t)f->vocab, "hidden",
                          (json_int_t)f->hidden, "layers", (json_int_t)f->n_layers, "tensors", (json_int_t)f->n_tensors,
                          "bytes", (json_int_t)f->n_bytes, "files", f->n_files);
    if (v && f->packed)
        json_object_set_new(v, "packed", json_string(f->packed));
    if (v && tok)
        json_object_set_new(
            v, "tokenizer",
            json_pack("{s:s, s:s, s:i}", "source", tok->source, "model", tok->model, "n_vocab", tok->n_vocab));
    else if (v)
        json_object_set_new(v, "tokenizer_problem", json_string(tok_problem));
    return v;
}

static void print_facts(const char *path, const struct mu_model_facts *f, const struct mu_tokenizer_info *tok,
                        const char *tok_problem)
{
    char all[24], active[24];
    printf("%s: %s (%s), %s parameters", path, f->architecture, f->family, count_text(all, f->n_params));
    if (f->n_params_active != f->n_params)
        printf(" (%s used for one token)", count_text(active, f->n_params_active));
    printf("\n  network    %" PRId64 " layers, hidden %" PRId64 ", vocabulary %" PRId64 ", context %" PRId64 "\n",
           f->n_layers, f->hidden, f->vocab, f->context);
    if (f->packed)
        printf("  weights    packed as %s, %.1f MB\n", f->packed, (double)f->n_bytes * 1e-6);
    else
        printf("  weights    %s, %s, %" PRId64 " tensors, %.1f MB in %d file%s\n", f->format, f->dtype, f->n_tensors,
               (double)f->n_bytes * 1e-6, f->n_files, f->n_files == 1 ? "" : "s");
    if (tok)
        printf("  tokenizer  %s, %s, %" PRId32 " ids\n", tok->source, tok->model, tok->n_vocab);
    else
        printf("  tokenizer  none: %s\n", tok_problem);
}

static int show_path(const char *path, const struct models_args *args, struct mu_err *e)
{
    struct mu_err tok_err = MU_ERR_INIT;
    struct mu_tokenizer_info info;
    mu_tokenizer *tok = NULL;
    mu_model_card *card = NULL;
    int rc = MU_OK;

    if (!mu_path_exists(path))
        return mu_fail(e, MU_ENOENT, "%s is neither a path nor a model muster knows; `muster models` lists those",
                       path);
    MU_TRY(mu_model_card_open(&card, path, e));
    if (args->verify)
        MU_TRY(mu_model_card_verify(card, e));
    bool has_tok = mu_tokenizer_open(&tok, path, NULL, &tok_err) == MU_OK;
    if (has_tok)
        mu_tokenizer_info(tok, &info);
    const struct mu_model_facts *f = mu_model_card_facts(card);
    if (args->json)
        MU_TRY(mu_print_json(facts_json(path, f, has_tok ? &info : NULL, tok_err.text), "the report", e));
    else
        print_facts(path, f, has_tok ? &info : NULL, tok_err.text);
    if (args->verify && !args->json)
        printf("  verified   every byte of the weights is as it was written\n");
out:
    mu_tokenizer_close(tok);
    mu_model_card_close(card);
    return rc;
}

static int models_run(void *p, int n_operands, char **operands, struct mu_err *e)
{
    const struct models_args *args = p;
    if (n_operands == 0 && args->verify)
        return mu_fail(e, MU_EUSAGE, "--verify needs the path of a packed model");
    if (n_operands == 0)
        return list_presets(args->json, e);
    for (int i = 0; i < n_operands; i++) {
        bool is_path = args->verify || mu_path_exists(operands[i]);
        const struct mu_preset *preset = is_path ? NULL : mu_preset_find(operands[i]);
        MU_TRY_RETURN(preset ? show_preset(preset, args->json, e) : show_path(operands[i], args, e));
    }
    return MU_OK;
}

#define FIELD(name) offsetof(struct models_args, name)

static const struct mu_opt models_opts[] = {
    {MU_OPT_FLAG, "verify", 0, FIELD(verify),
     .help = "Read all of a packed model and compare it with the hash it was written with."},
    {MU_OPT_FLAG, "json", 0, FIELD(json), .help = "Print JSON for programs."},
    {.type = MU_OPT_END},
};

const struct mu_cmd mu_cmd_models = {
    .name = "models",
    .summary = "list known models, or tell what a path holds",
    .operands = "[PATH|NAME...]",
    .story =
        "Without operands lists the published models muster knows by name, with parameters, context, dtype and "
        "licence. "
        "With a checkpoint folder, a .safetensors or a .gguf file it tells what is in it; only headers are read, but "
        "with --verify all of a packed model.",
    .examples = "  muster models\n  muster models Llama-3-8B\n  muster models models/muster-llama-tiny\n"
                "  muster models --verify DIR-int8\n",
    .opts = models_opts,
    .args_size = sizeof(struct models_args),
    .run = models_run,
};
