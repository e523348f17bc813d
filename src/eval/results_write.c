/* results_write.c - where results and samples go, and how they get there: whole or not at all
 *
 * Source: lm_eval/loggers/evaluation_tracker.py, lm_eval/utils.py sanitize_model_name. Samples are written first, so
 * that a results file tells that all of it is there. An output path that ends in .json names the results file itself,
 * with the date put before its ending. */
#include <errno.h>
#include <math.h>
#include <sys/stat.h>
#include <time.h>

#include "base/check.h"
#include "base/file.h"
#include "eval/py/value.h"
#include "eval/results_int.h"

#define PATH_MAX_BYTES 65536

int mu_results_folder_name(struct mu_buf *out, const char *model_name, struct mu_err *e)
{
    static const char bad[] = "\"<>:/|\\?*[]";
    size_t begin = out->n;
    for (const char *p = model_name; *p;) {
        size_t n = strcspn(p, bad), run = strspn(p + n, bad);
        MU_TRY_RETURN(mu_buf_add(out, p, n, e));
        if (run > 0)
            MU_TRY_RETURN(mu_buf_puts(out, "__", e));
        p += n + run;
    }
    struct mu_str name = {out->p ? out->p + begin : "", out->n - begin};
    if (name.n == 0 || mu_str_eq(name, MU_STR(".")) || mu_str_eq(name, MU_STR("..")))
        return mu_buf_puts(out, "__", e); /* a folder of its own, not the one above */
    return MU_OK;
}

/* datetime.isoformat() of local time with '-' for ':'; no fraction when it is zero. */
static int add_date(struct mu_buf *out, double date, struct mu_err *e)
{
    double whole = floor(date);
    time_t t = (time_t)whole;
    int us = (int)((date - whole) * 1e6);
    struct tm tm;
    char text[32];
    localtime_r(&t, &tm);
    strftime(text, sizeof text, "%Y-%m-%dT%H-%M-%S", &tm);
    MU_TRY_RETURN(mu_buf_puts(out, text, e));
    return us > 0 ? mu_buf_printf(out, e, ".%06d", us) : MU_OK;
}

bool mu_results_is_file_name(const char *out_dir)
{
    size_t n = strlen(out_dir);
    return n > 5 && strcmp(out_dir + n - 5, ".json") == 0 && !mu_path_is_dir(out_dir);
}

/* Folder of the files, with '/' at its end. */
static int add_folder(struct mu_buf *out, const struct mu_results_facts *f, const char *out_dir, struct mu_err *e)
{
    if (mu_results_is_file_name(out_dir)) {
        const char *slash = strrchr(out_dir, '/');
        return slash ? mu_buf_add(out, out_dir, (size_t)(slash + 1 - out_dir), e) : mu_buf_puts(out, "./", e);
    }
    MU_TRY_RETURN(mu_path_join(out, out_dir, "", e));
    MU_TRY_RETURN(mu_results_folder_name(out, f->model_name, e));
    return mu_buf_putc(out, '/', e);
}

static int add_results_path(struct mu_buf *out, const struct mu_results_facts *f, const char *folder,
                            const char *out_dir, struct mu_err *e)
{
    MU_TRY_RETURN(mu_buf_puts(out, folder, e));
    if (mu_results_is_file_name(out_dir)) {
        const char *slash = strrchr(out_dir, '/'), *stem = slash ? slash + 1 : out_dir;
        MU_TRY_RETURN(mu_buf_add(out, stem, strlen(stem) - 5, e));
        MU_TRY_RETURN(mu_buf_putc(out, '_', e));
    } else {
        MU_TRY_RETURN(mu_buf_puts(out, "results_", e));
    }
    MU_TRY_RETURN(add_date(out, f->date, e));
    return mu_buf_puts(out, ".json", e);
}

static int add_samples_path(struct mu_buf *out, const struct mu_results_facts *f, const char *folder, const char *task,
                            struct mu_err *e)
{
    MU_TRY_RETURN(mu_buf_printf(out, e, "%ssamples_", folder));
    for (const char *p = task; *p; p++)
        MU_TRY_RETURN(mu_buf_putc(out, *p == '/' ? '_' : *p, e));
    MU_TRY_RETURN(mu_buf_putc(out, '_', e));
    MU_TRY_RETURN(add_date(out, f->date, e));
    return mu_buf_puts(out, ".jsonl", e);
}

static int write_samples(const struct mu_results_facts *f, const char *folder, const struct mu_work *w,
                         struct mu_err *e)
{
    struct mu_buf path = MU_BUF_INIT("a path", PATH_MAX_BYTES);
    struct mu_outfile o = MU_OUTFILE_INIT;
    int rc = MU_OK;

    MU_TRY(add_samples_path(&path, f, folder, w->task->name, e));
    MU_TRY(mu_outfile_open(&o, path.p, e));
    MU_TRY(mu_samples_write(w, o.f, e));
    MU_TRY(mu_outfile_commit(&o, e));
out:
    mu_outfile_discard(&o);
    mu_buf_fini(&path);
    return rc;
}

static int write_results(const json_t *results, const char *path, struct mu_err *e)
{
    struct mu_buf text = MU_BUF_INIT("the results", MU_RESULTS_BYTES_MAX);
    struct mu_outfile o = MU_OUTFILE_INIT;
    int rc = MU_OK;

    MU_TRY(mu_py_dumps(&text, results, 2, e));
    MU_TRY(mu_outfile_open(&o, path, e));
    MU_TRY(mu_outfile_write(&o, text.p, text.n, e));
    MU_TRY(mu_outfile_commit(&o, e));
out:
    mu_outfile_discard(&o);
    mu_buf_fini(&text);
    return rc;
}

int mu_results_write(const struct mu_results_facts *f, const json_t *results, const char *out_dir, struct mu_buf *path,
                     struct mu_err *e)
{
    struct mu_buf folder = MU_BUF_INIT("a path", PATH_MAX_BYTES);
    size_t begin = path->n;
    int rc = MU_OK;

    MU_TRY(add_folder(&folder, f, out_dir, e));
    MU_TRY(mu_path_make_folders(folder.p, e));
    for (int i = 0; i < f->set->n_tasks && f->log_samples; i++)
        MU_TRY(write_samples(f, folder.p, f->works[i], e));
    MU_TRY(add_results_path(path, f, folder.p, out_dir, e));
    MU_TRY(write_results(results, path->p + begin, e));
out:
    mu_buf_fini(&folder);
    return rc;
}
