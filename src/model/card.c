/* card.c - the description of a checkpoint on disk, for people */
#include <string.h>

#include "base/check.h"
#include "base/file.h"
#include "base/mem.h"
#include "fmt/packed.h"
#include "fmt/weights.h"
#include "model/spec.h"
#include <muster/model.h>

#define PATH_BYTES_MAX 4096

struct mu_model_card {
    struct mu_weights *w;
    struct mu_spec spec;
    struct mu_model_facts facts;
};

/* config.json in the folder, or beside the file. */
static int read_config(mu_model_card *c, const char *path, struct mu_err *e)
{
    struct mu_buf file = MU_BUF_INIT("a path", PATH_BYTES_MAX), folder = MU_BUF_INIT("a path", PATH_BYTES_MAX);
    const char *slash = strrchr(path, '/');
    json_t *config = NULL;
    int rc = MU_OK;

    if (mu_path_is_dir(path))
        MU_TRY(mu_buf_puts(&folder, path, e));
    else
        MU_TRY(slash ? mu_buf_add(&folder, path, (size_t)(slash - path), e) : mu_buf_puts(&folder, ".", e));
    MU_TRY(mu_path_join(&file, folder.p ? folder.p : "/", "config.json", e));
    MU_TRY(mu_json_load(&config, file.p, e));
    MU_TRY(mu_spec_from_config(&c->spec, config, file.p, e));
out:
    json_decref(config);
    mu_buf_fini(&file);
    mu_buf_fini(&folder);
    return rc;
}

static void set_facts(mu_model_card *c)
{
    const struct mu_spec *s = &c->spec;
    const struct mu_packed_head *h = mu_weights_packed(c->w);
    c->facts = (struct mu_model_facts){.architecture = s->arch,
                                       .family = s->family,
                                       .format = mu_weights_format(c->w),
                                       .packed = h ? h->weights : NULL,
                                       .dtype = s->default_dtype,
                                       .n_params = s->n_params,
                                       .n_params_active = s->n_params_active,
                                       .context = s->context,
                                       .vocab = s->vocab,
                                       .hidden = s->hidden,
                                       .n_layers = s->n_layers,
                                       .n_tensors = mu_weights_count(c->w),
                                       .n_bytes = (int64_t)mu_weights_bytes_total(c->w),
                                       .n_files = mu_weights_n_files(c->w)};
}

int mu_model_card_open(mu_model_card **out, const char *path, struct mu_err *e)
{
    mu_model_card *c = NULL;
    int rc = MU_OK;

    MU_TRY(MU_NEW(&c, "the description of a model", e));
    MU_TRY(mu_weights_open(&c->w, path, MU_READ_DIRECT, e));
    if (mu_weights_gguf(c->w))
        MU_TRY(mu_spec_from_gguf(&c->spec, c->w, path, e));
    else
        MU_TRY(read_config(c, path, e));
    set_facts(c);
    *out = c;
    c = NULL;
out:
    mu_model_card_close(c);
    return rc;
}

void mu_model_card_close(mu_model_card *c)
{
    if (!c)
        return;
    mu_weights_close(c->w);
    mu_spec_fini(&c->spec);
    mu_free(c);
}

const struct mu_model_facts *mu_model_card_facts(const mu_model_card *c)
{
    return &c->facts;
}

int mu_model_card_verify(const mu_model_card *c, struct mu_err *e)
{
    return mu_weights_verify(c->w, e);
}
