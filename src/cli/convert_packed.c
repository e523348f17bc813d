/* convert_packed.c - see convert_packed.h
 *
 * As in mu_convert() the folder appears once all of it is written, the small files before the weights. Before
 * it does it is opened as any command would, so that what is written can be run. */
#include "cli/convert_packed.h"

#include "base/check.h"
#include "base/file.h"
#include "cli/convert_gguf.h"
#include "engine/checkpoint.h"
#include "fmt/checkpoint.h"
#include "fmt/convert_folder.h"
#include "fmt/hf_dir.h"
#include "model/packed.h"

struct packing {
    const char *src;
    const struct mu_convert_packed_opts *o;
    struct mu_pack_opts pack;
    struct mu_checkpoint from;
    struct mu_convert_gguf gguf;
    struct mu_convert_opts texts;
    struct mu_convert_folder folder;
    struct mu_device *device;
    struct mu_packed_head head;
};

static int check_source(const struct packing *p, struct mu_err *e)
{
    const struct mu_packed_head *h = mu_weights_packed(p->from.weights);
    char source[MU_PACKED_NAME_MAX + 32];
    if (!h)
        return MU_OK;
    return mu_fail(e, MU_EINVAL, "%s is a packed model already: pack the checkpoint it was made from (%s)", p->src,
                   mu_packed_source_text(h, source));
}

static int choose(struct packing *p, struct mu_err *e)
{
    p->pack = (struct mu_pack_opts){.format = mu_model_own_format(&p->from.spec),
                                    .mla = MU_MLA_ABSORBED,
                                    .progress = p->o->progress,
                                    .progress_arg = p->o->progress_arg};
    if (p->o->weights)
        MU_TRY_RETURN(mu_wformat_from_name(&p->pack.format, p->o->weights, e));
    return p->o->mla ? mu_mla_form_from_name(&p->pack.mla, p->o->mla, e) : MU_OK;
}

/* config.json and the tokenizer's files: copied, or made from what a GGUF says. */
static int write_small_files(struct packing *p, struct mu_err *e)
{
    struct mu_hf_dir d = MU_HF_DIR_INIT;
    if (mu_weights_gguf(p->from.weights)) {
        p->texts.dtype = p->pack.format == MU_WF32 ? MU_F32 : p->pack.format == MU_WF16 ? MU_F16 : MU_BF16;
        MU_TRY_RETURN(mu_convert_gguf_open(&p->gguf, p->src, &p->texts, e));
        return mu_convert_write_texts(&p->texts, p->folder.staging, e);
    }
    MU_TRY_RETURN(mu_hf_dir_open(&d, p->src, e));
    int rc = mu_convert_copy_side_files(d.folder, p->folder.staging, MU_DTYPE_N, false, e);
    mu_hf_dir_close(&d);
    return rc;
}

static int check_result(const struct packing *p, struct mu_err *e)
{
    struct mu_checkpoint c = {.spec = MU_SPEC_INIT};
    MU_TRY_RETURN(mu_checkpoint_open(&c, p->folder.staging, e));
    int rc = mu_packed_check(mu_weights_packed(c.weights), &c.spec, p->pack.format, p->pack.mla,
                             mu_weights_file_path(c.weights, 0), e);
    mu_checkpoint_fini(&c);
    if (rc == MU_EFORMAT)
        return mu_fail(e, MU_EUNSUPPORTED,
                       "%s cannot be packed as it is, since no config.json says the same of its network: convert it to "
                       "safetensors first, and pack that",
                       p->src);
    return rc;
}

static int pack(struct packing *p, struct mu_err *e)
{
    struct mu_buf path = MU_BUF_INIT("a path", MU_PATH_BYTES_MAX);
    int rc = MU_OK;
    MU_TRY(mu_path_join(&path, p->folder.staging, MU_PACKED_NAME, e));
    rc = mu_model_pack(path.p, &p->head, &p->from.spec, p->from.weights, p->device, &p->pack, e);
    mu_err_while(e, rc, "packing %s", p->src);
out:
    mu_buf_fini(&path);
    return rc;
}

static void close_all(struct packing *p)
{
    mu_convert_folder_close(&p->folder);
    mu_convert_gguf_close(&p->gguf);
    mu_device_close(p->device);
    mu_checkpoint_fini(&p->from);
}

int mu_convert_packed(const char *src, const char *dst, const struct mu_convert_packed_opts *o,
                      struct mu_convert_packed_result *result, struct mu_err *e)
{
    struct packing p = {.src = src, .o = o, .texts = MU_CONVERT_OPTS_INIT, .from = {.spec = MU_SPEC_INIT}};
    int rc = MU_OK;

    MU_TRY(mu_checkpoint_open(&p.from, src, e));
    MU_TRY(check_source(&p, e));
    MU_TRY(choose(&p, e));
    MU_TRY(mu_device_open_default(&p.device, NULL, 0, e));
    MU_TRY(mu_convert_folder_open(&p.folder, src, dst, o->overwrite, e));
    MU_TRY(write_small_files(&p, e));
    MU_TRY(pack(&p, e));
    MU_TRY(check_result(&p, e));
    MU_TRY(mu_convert_folder_commit(&p.folder, e));
    *result = (struct mu_convert_packed_result){mu_weights_bytes_read(p.from.weights),
                                                MU_PACKED_ALIGN + p.head.block_bytes, mu_wformat_name(p.pack.format)};
out:
    close_all(&p);
    return rc;
}
