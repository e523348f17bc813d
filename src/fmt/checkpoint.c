/* checkpoint.c - see checkpoint.h */
#include "fmt/checkpoint.h"

#include <dirent.h>
#include <errno.h>

#include "base/check.h"
#include "base/file.h"
#include "fmt/gguf_split.h"
#include "fmt/packed.h"

static bool ends_with(const char *s, const char *end)
{
    size_t n = strlen(s), m = strlen(end);
    return n >= m && strcmp(s + n - m, end) == 0;
}

/* *path = folder/name, and whether that exists. */
static int look_for(struct mu_buf *path, const char *folder, const char *name, bool *is_there, struct mu_err *e)
{
    MU_TRY_RETURN(mu_path_join(path, folder, name, e));
    *is_there = mu_path_exists(path->p);
    return MU_OK;
}

/* A file name that stands for a model: a later part of a split one does not. */
static bool is_gguf_model(const char *name)
{
    int part, n_parts;
    return ends_with(name, ".gguf") && (!mu_gguf_part_name(name, &part, &n_parts) || part == 1);
}

/* The one .gguf model of a folder: *n counts them, file holds the path of one. */
static int find_gguf(const char *folder, struct mu_buf *file, int *n, struct mu_err *e)
{
    int rc = MU_OK;
    DIR *d = opendir(folder);
    if (!d)
        return mu_fail(e, MU_EIO, "cannot list %s: %s", folder, strerror(errno));
    *n = 0;
    for (struct dirent *entry; (entry = readdir(d)) != NULL;) {
        if (!is_gguf_model(entry->d_name))
            continue;
        ++*n;
        MU_TRY(mu_path_join(file, folder, entry->d_name, e));
    }
out:
    closedir(d);
    return rc;
}

/* Files of PyTorch are pickles: programs that must not be run. */
static int fail_nothing_there(const char *folder, struct mu_buf *file, struct mu_err *e)
{
    static const char *const torch[] = {"pytorch_model.bin", "pytorch_model.bin.index.json", "model.pt",
                                        "consolidated.00.pth"};
    for (size_t i = 0; i < MU_COUNT(torch); i++) {
        bool is_there = false;
        MU_TRY_RETURN(look_for(file, folder, torch[i], &is_there, e));
        if (is_there)
            return mu_fail(e, MU_EUNSUPPORTED,
                           "%s holds its weights in PyTorch's own format (%s), which is a program and is not run; "
                           "convert it with transformers: "
                           "AutoModelForCausalLM.from_pretrained(\"%s\").save_pretrained(\"NEW\")",
                           folder, torch[i], folder);
    }
    return mu_fail(e, MU_ENOENT,
                   "%s holds no weights: neither model.safetensors.index.json, model.safetensors, " MU_PACKED_NAME
                   " nor a .gguf file",
                   folder);
}

static int find_in_folder(const char *folder, enum mu_checkpoint_kind *kind, struct mu_buf *file, struct mu_err *e)
{
    int n = 0;
    bool is_there = false;
    *kind = MU_CHECKPOINT_INDEX;
    MU_TRY_RETURN(look_for(file, folder, "model.safetensors.index.json", &is_there, e));
    if (is_there)
        return MU_OK;
    *kind = MU_CHECKPOINT_SAFETENSORS;
    MU_TRY_RETURN(look_for(file, folder, "model.safetensors", &is_there, e));
    if (is_there)
        return MU_OK;
    *kind = MU_CHECKPOINT_PACKED;
    MU_TRY_RETURN(look_for(file, folder, MU_PACKED_NAME, &is_there, e));
    if (is_there)
        return MU_OK;
    *kind = MU_CHECKPOINT_GGUF;
    MU_TRY_RETURN(find_gguf(folder, file, &n, e));
    if (n > 1)
        return mu_fail(e, MU_EINVAL, "%s holds %d .gguf models; name one of them", folder, n);
    return n == 1 ? MU_OK : fail_nothing_there(folder, file, e);
}

static int kind_of_file(const char *path, enum mu_checkpoint_kind *kind, struct mu_err *e)
{
    struct mu_file f;
    char start[9] = "";
    int rc = MU_OK;

    MU_TRY_RETURN(mu_file_open(&f, path, e));
    MU_TRY(mu_file_read_at(&f, start, (size_t)MU_MIN(f.bytes, (uint64_t)sizeof start), 0, e));
    *kind = MU_CHECKPOINT_SAFETENSORS;
    if (memcmp(start, MU_PACKED_MAGIC, 8) == 0 || ends_with(path, ".packed"))
        *kind = MU_CHECKPOINT_PACKED;
    else if (memcmp(start, "GGUF", 4) == 0 || ends_with(path, ".gguf"))
        *kind = MU_CHECKPOINT_GGUF;
    else if (ends_with(path, ".index.json"))
        *kind = MU_CHECKPOINT_INDEX;
    else if (memcmp(start, "PK\3\4", 4) == 0 || start[0] == (char)0x80) /* a zip, or a bare pickle */
        rc = mu_fail(e, MU_EUNSUPPORTED,
                     "%s looks like a file of PyTorch, which is a program and is not run; convert it to safetensors "
                     "with transformers",
                     path);
out:
    mu_file_close(&f);
    return rc;
}

int mu_checkpoint_find(const char *path, enum mu_checkpoint_kind *kind, struct mu_buf *file, struct mu_err *e)
{
    if (mu_path_is_dir(path))
        return find_in_folder(path, kind, file, e);
    MU_TRY_RETURN(kind_of_file(path, kind, e));
    mu_buf_clear(file);
    return mu_buf_puts(file, path, e);
}
