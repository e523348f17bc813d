/* cmd_convert.c - `muster convert`: a checkpoint rewritten as safetensors with another type or other shards, or packed
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/json.h"
#include "cli/cmd.h"
#include "cli/convert_gguf.h"
#include "cli/convert_packed.h"
#include "cli/interrupt.h"
#include "cli/model_opts.h"
#include "fmt/convert.h"
#include "plan/bill.h"

struct convert_args {
    const char *model, *output, *dtype, *weights, *mla;
    uint64_t shard;
    bool packed, overwrite, json, quiet;
};

struct job {
    struct mu_progress *progress;
    bool is_quiet;
};

/* An interrupt stops between two chunks, and what was written is removed. */
static int on_progress(void *arg, uint64_t done, uint64_t total)
{
    const struct job *job = arg;
    if (!job->is_quiet)
        mu_progress_update(job->progress, done, total);
    return mu_interrupted();
}

static void print_result(const struct convert_args *args, const struct mu_convert_result *r, double seconds)
{
    char in[24], out[24];
    if (args->json)
        printf("{\"tensors\": %" PRId64 ", \"files\": %d, \"bytes_read\": %" PRIu64 ", \"bytes_written\": %" PRIu64
               ", \"seconds\": %.3f}\n",
               r->n_tensors, r->n_files, r->bytes_read, r->bytes_written, seconds);
    else
        printf("%" PRId64 " tensors, %s read, %s written in %d file%s to %s, %.1f s\n", r->n_tensors,
               mu_bytes_text(in, r->bytes_read), mu_bytes_text(out, r->bytes_written), r->n_files,
               r->n_files == 1 ? "" : "s", args->output, seconds);
}

static int convert(const struct convert_args *args, struct mu_convert_opts *o, struct mu_err *e)
{
    struct mu_convert_result result = {0};
    struct mu_progress progress;
    struct job job = {&progress, args->quiet};

    o->progress = on_progress;
    o->progress_arg = &job;
    int64_t start = mu_now_ns(mu_clock_real());
    mu_progress_start(&progress, "converting", "B");
    int rc = mu_convert(args->model, args->output, o, &result, e);
    mu_progress_end(&progress);
    if (rc == MU_OK)
        print_result(args, &result, (double)(mu_now_ns(mu_clock_real()) - start) * 1e-9);
    return rc;
}

/* ---- packed ---- */

static void print_packed(const struct convert_args *args, const struct mu_convert_packed_result *r, double seconds)
{
    char in[24], out[24];
    if (args->json)
        printf("{\"weights\": \"%s\", \"bytes_read\": %" PRIu64 ", \"bytes_written\": %" PRIu64
               ", \"seconds\": %.3f}\n",
               r->weights, r->bytes_read, r->bytes_written, seconds);
    else
        printf("%s weights, %s read, %s written to %s, %.1f s\n", r->weights, mu_bytes_text(in, r->bytes_read),
               mu_bytes_text(out, r->bytes_written), args->output, seconds);
}

static int convert_packed(const struct convert_args *args, struct mu_err *e)
{
    struct mu_convert_packed_result result = {0};
    struct mu_progress progress;
    struct job job = {&progress, args->quiet};
    struct mu_convert_packed_opts o = {args->weights, args->mla, args->overwrite, on_progress, &job};

    int64_t start = mu_now_ns(mu_clock_real());
    mu_progress_start(&progress, "packing", "B");
    int rc = mu_convert_packed(args->model, args->output, &o, &result, e);
    mu_progress_end(&progress);
    if (rc == MU_OK)
        print_packed(args, &result, (double)(mu_now_ns(mu_clock_real()) - start) * 1e-9);
    return rc;
}

static int check_packed(const struct convert_args *args, struct mu_err *e)
{
    if (args->packed && strcmp(args->dtype, "keep") != 0)
        return mu_fail(e, MU_EUSAGE, "--dtype is of safetensors; --weights says in which format a model is packed");
    if (args->packed && args->shard > 0)
        return mu_fail(e, MU_EUSAGE, "--max-shard-size is of safetensors; a packed model is one file");
    if (!args->packed && (args->weights || args->mla))
        return mu_fail(e, MU_EUSAGE, "--%s is of packed models: --packed writes one",
                       args->weights ? "weights" : "mla");
    return MU_OK;
}

static int convert_run(void *p, int n_operands, char **operands, struct mu_err *e)
{
    const struct convert_args *args = p;
    struct mu_convert_opts o = MU_CONVERT_OPTS_INIT;
    struct mu_convert_gguf gguf = {0};

    (void)operands;
    if (n_operands > 0)
        return mu_fail(e, MU_EUSAGE, "convert takes --model and --output, not operands");
    MU_TRY_RETURN(mu_model_path_check(args->model, e));
    if (!args->output)
        return mu_fail(e, MU_EUSAGE, "--output DIR is needed: the folder to write");
    MU_TRY_RETURN(check_packed(args, e));
    if (args->packed)
        return convert_packed(args, e);
    if (strcmp(args->dtype, "keep") != 0 && !mu_dtype_from_name(&o.dtype, args->dtype))
        return mu_fail(e, MU_EINTERNAL, "%s is no element type", args->dtype);
    o.shard_bytes_max = args->shard;
    o.overwrite = args->overwrite;
    int rc = mu_convert_gguf_open(&gguf, args->model, &o, e);
    if (rc == MU_OK)
        rc = convert(args, &o, e);
    mu_convert_gguf_close(&gguf);
    return rc;
}

static void convert_defaults(void *p)
{
    *(struct convert_args *)p = (struct convert_args){.dtype = "keep"};
}

#define FIELD(name) offsetof(struct convert_args, name)

static const struct mu_opt convert_opts[] = {
    {MU_OPT_TEXT, "model", 'm', FIELD(model), "PATH", .help = "A checkpoint folder, a .safetensors or a .gguf file."},
    {MU_OPT_TEXT, "output", 'o', FIELD(output), "DIR", .help = "The folder to write; its parent must exist."},
    {MU_OPT_TEXT, "dtype", 0, FIELD(dtype), "TYPE", .choices = "keep|f32|bf16|f16",
     .help =
         "Element type of all tensors of real numbers. F8 with block scales is multiplied out, and so are the blocks "
         "of GGUF, which cannot be kept: bf16 then.",
     .dflt = "keep"},
    {MU_OPT_FLAG, "packed", 0, FIELD(packed),
     .help = "Write the weights as they lie in memory, so that commands map them and nothing is read or packed at "
             "start."},
    {MU_OPT_TEXT, "weights", 0, FIELD(weights), "FORMAT", .choices = "f32|bf16|f16|int8|int4",
     .help = "With --packed: the format the weights are packed in.", .dflt = "the checkpoint's own"},
    {MU_OPT_TEXT, "mla", 0, FIELD(mla), "FORM", .choices = "absorbed|naive",
     .help = "With --packed: the form of latent attention (DeepSeek) they are laid out for.", .dflt = "absorbed"},
    {MU_OPT_SIZE, "max-shard-size", 0, FIELD(shard), "SIZE", .help = "Cut the weights into files of at most this size.",
     .dflt = "one file"},
    {MU_OPT_FLAG, "overwrite", 0, FIELD(overwrite), .help = "Replace files in a folder that is not empty."},
    {MU_OPT_FLAG, "quiet", 'q', FIELD(quiet), .help = "Do not print progress."},
    {MU_OPT_FLAG, "json", 0, FIELD(json), .help = "Print JSON for programs."},
    {.type = MU_OPT_END},
};

const struct mu_cmd mu_cmd_convert = {
    .name = "convert",
    .summary = "rewrite a checkpoint as safetensors, or packed",
    .operands = "",
    .story =
        "Writes a checkpoint as a folder of safetensors files with the configuration and tokenizer files copied along. "
        "Each byte is read once, in bounded memory, and the output appears whole or not at all.\n\n"
        "A GGUF file of the Llama, Mistral, Qwen2, Qwen3 or Falcon family becomes a folder as its publisher's: tensors "
        "under their published names, config.json, and tokenizer.json with tokenizer_config.json from the vocabulary "
        "inside the file. Other families are refused.\n\n"
        "With --packed the folder holds model.packed in place of safetensors: the weights as a run has them in memory, "
        "in one format. Commands that take --model map it, so they start at once, processes share its pages, and "
        "results, their hashes and the journal's keys are those of the checkpoint in that format. It is this machine's "
        "cache of a checkpoint, not a format to publish: another version of muster may ask for it to be made again. "
        "Packing needs the memory of the model.",
    .examples = "  muster convert --model DIR --output DIR-bf16 --dtype bf16 --max-shard-size 5GB\n"
                "  muster convert --model model.gguf --output DIR --dtype f16\n"
                "  muster convert --model DIR --output DIR-int8 --packed --weights int8\n",
    .opts = convert_opts,
    .args_size = sizeof(struct convert_args),
    .defaults = convert_defaults,
    .run = convert_run,
};
