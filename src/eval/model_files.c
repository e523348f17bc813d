/* model_files.c - see model_files.h */
#include "eval/model_files.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/check.h"

#define FILES_MAX 100000

/* What a checkpoint and its tokenizer are read from. */
static bool decides(const char *name)
{
    static const char *const ends[] = {".json",  ".safetensors", ".gguf",  ".packed",
                                       ".model", ".tiktoken",    ".jinja", ".txt"};
    size_t n = strlen(name);
    for (size_t i = 0; i < MU_COUNT(ends); i++) {
        size_t m = strlen(ends[i]);
        if (n > m && strcmp(name + n - m, ends[i]) == 0)
            return true;
    }
    return false;
}

static int64_t ns_of(struct timespec t)
{
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static int add_file(struct mu_model_files *f, const char *name, const struct stat *st, struct mu_err *e)
{
    const int64_t facts[] = {st->st_size, (int64_t)st->st_ino, ns_of(st->st_mtim), ns_of(st->st_ctim)};
    struct mu_key_maker m;
    struct mu_key one;
    int carry = 0;

    MU_TRY_RETURN(mu_key_begin(&m, e));
    mu_key_text(&m, name);
    mu_key_bytes(&m, facts, sizeof facts);
    mu_key_end(&m, &one);
    for (size_t i = 0; i < sizeof one.b; i++) {
        carry += f->sum.b[i] + one.b[i];
        f->sum.b[i] = (uint8_t)carry;
        carry >>= 8;
    }
    f->n++;
    f->newest_s = MU_MAX(f->newest_s, (int64_t)st->st_ctim.tv_sec);
    return MU_OK;
}

static int add_files(struct mu_model_files *f, DIR *d, struct mu_err *e)
{
    const struct dirent *entry;
    struct stat st;
    while ((entry = readdir(d)) != NULL) {
        if (!decides(entry->d_name))
            continue;
        if (fstatat(dirfd(d), entry->d_name, &st, 0) != 0 || f->n >= FILES_MAX)
            return MU_OK;
        if (S_ISREG(st.st_mode))
            MU_TRY_RETURN(add_file(f, entry->d_name, &st, e));
    }
    f->is_whole = f->n > 0;
    return MU_OK;
}

/* The folder of the model, real; a file's is the one it lies in. */
static bool find_folder(struct mu_model_files *f, char folder[PATH_MAX], const char *model)
{
    struct stat st;
    if (!realpath(model, f->path) || stat(f->path, &st) != 0)
        return false;
    memcpy(folder, f->path, PATH_MAX);
    if (S_ISDIR(st.st_mode))
        return true;
    *strrchr(folder, '/') = '\0';
    return folder[0] != '\0';
}

int mu_model_files_look(struct mu_model_files *f, const char *model, struct mu_err *e)
{
    char folder[PATH_MAX];
    *f = (struct mu_model_files){.n = 0};
    if (!find_folder(f, folder, model))
        return MU_OK;
    DIR *d = opendir(folder);
    if (!d)
        return MU_OK;
    int rc = add_files(f, d, e);
    closedir(d);
    return rc;
}
