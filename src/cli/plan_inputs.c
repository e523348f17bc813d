/* plan_inputs.c - see plan_inputs.h */
#include "cli/plan_inputs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/file.h"
#include "base/gpus.h"
#include "base/host.h"
#include "base/pool.h"
#include "base/yaml.h"
#include "fmt/weights.h"
#include "model/packed.h"
#include "model/presets.h"

#define PATH_BYTES_MAX 4096
#define KEPT_NAME      "machine.json"

static bool ends_with(const char *s, const char *end)
{
    size_t n = strlen(s), m = strlen(end);
    return n >= m && strcmp(s + n - m, end) == 0;
}

/* ---- the model ---- */

static int from_config(struct mu_spec *out, const char *path, struct mu_err *e)
{
    json_t *config = NULL;
    MU_TRY_RETURN(mu_json_load(&config, path, e));
    int rc = mu_spec_from_config(out, config, path, e);
    json_decref(config);
    return rc;
}

static int from_folder(struct mu_spec *out, const char *folder, struct mu_err *e)
{
    struct mu_buf path = MU_BUF_INIT("a path", PATH_BYTES_MAX);
    int rc = MU_OK;
    MU_TRY(mu_path_join(&path, folder, "config.json", e));
    MU_TRY(from_config(out, path.p, e));
out:
    mu_buf_fini(&path);
    return rc;
}

static int from_gguf(struct mu_spec *out, const char *path, struct mu_err *e)
{
    struct mu_weights *w = NULL;
    MU_TRY_RETURN(mu_weights_open(&w, path, MU_READ_DIRECT, e));
    int rc = mu_spec_from_gguf(out, w, path, e);
    mu_weights_close(w);
    return rc;
}

int mu_plan_spec_open(struct mu_spec *out, const char *model, struct mu_err *e)
{
    const struct mu_preset *preset = mu_path_exists(model) ? NULL : mu_preset_find(model);
    *out = (struct mu_spec)MU_SPEC_INIT;
    if (preset)
        return mu_preset_spec(out, preset, e);
    if (!mu_path_exists(model))
        return mu_fail(e, MU_ENOENT, "%s is neither a path nor a model muster knows; `muster models` lists those",
                       model);
    if (mu_path_is_dir(model))
        return from_folder(out, model, e);
    return ends_with(model, ".gguf") ? from_gguf(out, model, e) : from_config(out, model, e);
}

static int packed_format(enum mu_wformat *out, const char *folder, struct mu_err *e)
{
    struct mu_weights *w = NULL;
    enum mu_mla_form mla;
    MU_TRY_RETURN(mu_weights_open(&w, folder, MU_READ_DIRECT, e));
    const struct mu_packed_head *head = mu_weights_packed(w);
    int rc = head ? mu_packed_formats(head, out, &mla, folder, e) : MU_OK;
    mu_weights_close(w);
    return rc;
}

int mu_plan_weights(enum mu_wformat *out, const char *model, const struct mu_spec *s, const char *asked,
                    struct mu_err *e)
{
    struct mu_buf path = MU_BUF_INIT("a path", PATH_BYTES_MAX);
    int rc = MU_OK;
    if (asked)
        return mu_wformat_from_name(out, asked, e);
    if (mu_wformat_from_name(out, s->default_dtype, NULL) != MU_OK)
        *out = MU_WBF16;
    MU_TRY(mu_path_join(&path, model, MU_PACKED_NAME, e));
    if (mu_path_exists(path.p))
        MU_TRY(packed_format(out, model, e));
out:
    mu_buf_fini(&path);
    return rc;
}

/* ---- the machine ---- */

int mu_plan_machine_load(struct mu_machine *out, const char *path, struct mu_err *e)
{
    struct mu_yaml *y = NULL;
    MU_TRY_RETURN(mu_yaml_load(&y, path, e));
    int rc = mu_machine_from_yaml(out, y, path, e);
    mu_yaml_free(y);
    return rc;
}

int mu_machine_kept_path(struct mu_buf *file, struct mu_buf *folder, struct mu_err *e)
{
    const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    if (cache && cache[0] == '/')
        MU_TRY_RETURN(mu_buf_printf(folder, e, "%s/muster", cache));
    else if (home && home[0] == '/')
        MU_TRY_RETURN(mu_buf_printf(folder, e, "%s/.cache/muster", home));
    else
        return mu_fail(e, MU_ENOENT, "neither XDG_CACHE_HOME nor HOME names a folder");
    return mu_path_join(file, folder->p, KEPT_NAME, e);
}

int mu_machine_kept(struct mu_machine *out, const char *path, bool *is_there, struct mu_err *e)
{
    struct mu_buf file = MU_BUF_INIT("a path", PATH_BYTES_MAX), folder = MU_BUF_INIT("a path", PATH_BYTES_MAX);
    struct mu_err none = MU_ERR_INIT;
    int rc = MU_OK;
    *is_there = false;
    if (!path && (mu_machine_kept_path(&file, &folder, &none) != MU_OK || !mu_path_exists(file.p)))
        goto out;
    path = path ? path : file.p;
    MU_TRY(mu_plan_machine_load(out, path, e));
    *is_there = out->is_host;
    if (!out->is_host)
        rc = mu_fail(e, MU_EUSAGE, "%s describes GPUs, and ranks run on CPUs here: muster calibrate describes those",
                     path);
out:
    mu_buf_fini(&folder);
    mu_buf_fini(&file);
    return rc;
}

static int from_gpus(struct mu_machine *out, const struct mu_gpus *g, char how[MU_PLAN_HOW_MAX], struct mu_err *e)
{
    const char *preset = mu_machine_preset_of(g->gpu[0].name);
    if (!preset)
        return mu_fail(
            e, MU_EUNSUPPORTED,
            "muster has no rates of the GPU \"%s\" found here; describe the machine in a file and give it by "
            "--cluster (docs/cluster.md)",
            g->gpu[0].name);
    for (int i = 1; i < g->n; i++) {
        if (strcmp(g->gpu[i].name, g->gpu[0].name) != 0)
            return mu_fail(
                e, MU_EUNSUPPORTED,
                "the GPUs here differ (\"%s\" and \"%s\"); plan each kind by a file of its own (docs/cluster.md)",
                g->gpu[0].name, g->gpu[i].name);
    }
    MU_TRY_RETURN(mu_machine_preset(out, preset, e));
    mu_machine_resize(out, 1, g->n);
    if (g->gpu[0].memory_bytes > 0)
        out->device.memory = (double)g->gpu[0].memory_bytes;
    if (g->link_rate > 0) {
        out->inside.rate = g->link_rate;
        snprintf(out->inside.name, sizeof out->inside.name, "%s", g->link);
    }
    snprintf(how, MU_PLAN_HOW_MAX, "%d x %s by %s", g->n, g->gpu[0].name, g->how);
    return MU_OK;
}

static int from_cpus(struct mu_machine *out, int ranks, int threads, struct mu_err *e)
{
    struct mu_host host;
    struct mu_pool *pool = NULL;
    double bandwidth, rate;
    int rc = MU_OK;

    MU_TRY(mu_host_discover(&host, e));
    MU_TRY(mu_pool_open(&pool, &(struct mu_pool_opts){.n_threads = threads}, e));
    MU_TRY(mu_measure_read_bandwidth(pool, &bandwidth, e));
    MU_TRY(mu_measure_fma_rate(pool, &rate, e));
    mu_machine_host(out, (double)host.memory_available, bandwidth, rate, ranks);
out:
    mu_pool_close(pool);
    return rc;
}

int mu_plan_cpus_here(struct mu_machine *out, int ranks, int threads, char how[MU_PLAN_HOW_MAX], struct mu_err *e)
{
    bool is_kept;
    MU_TRY_RETURN(mu_machine_kept(out, NULL, &is_kept, e));
    if (is_kept) {
        mu_machine_resize(out, 1, MU_MAX(ranks, 1));
        snprintf(how, MU_PLAN_HOW_MAX, "the CPUs as muster calibrate measured them");
        return MU_OK;
    }
    MU_TRY_RETURN(from_cpus(out, MU_MAX(ranks, 1), threads, e));
    snprintf(how, MU_PLAN_HOW_MAX, "the CPUs' %.1f GB/s and %.0f GFLOP/s were measured",
             out->device.memory_rate * out->devices * 1e-9, out->device.flops[MU_RATE_F32] * out->devices * 1e-9);
    return MU_OK;
}

int mu_plan_machine_here(struct mu_machine *out, int ranks, int threads, char how[MU_PLAN_HOW_MAX], struct mu_err *e)
{
    struct mu_gpus gpus;
    char cpus[MU_PLAN_HOW_MAX];
    MU_TRY_RETURN(mu_gpus_discover(&gpus, e));
    if (gpus.n > 0)
        return from_gpus(out, &gpus, how, e);
    MU_TRY_RETURN(mu_plan_cpus_here(out, ranks, threads, cpus, e));
    snprintf(how, MU_PLAN_HOW_MAX, "no GPU by %.120s; %.120s", gpus.how, cpus);
    return MU_OK;
}
