/* task_folders.c - see task_folders.h */
#include "cli/task_folders.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/check.h"
#include "base/file.h"
#include "base/mem.h"

/* PREFIX/share/muster/tasks beside PREFIX/bin/muster. */
static int installed_folder(struct mu_buf *out, struct mu_err *e)
{
    char exe[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", exe, sizeof exe - 1);
    exe[n > 0 ? n : 0] = 0;
    for (int up = 0; up < 2; up++) {
        char *slash = strrchr(exe, '/');
        if (slash)
            *slash = 0;
    }
    mu_buf_clear(out);
    return mu_buf_printf(out, e, "%s/share/muster/tasks", exe);
}

int mu_task_folders_find(struct mu_task_folders *f, const struct mu_opt_list *include_paths, struct mu_err *e)
{
    struct mu_buf installed = MU_BUF_INIT("a path", 1 << 16);
    const char *env = getenv("MUSTER_TASKS");

    *f = (struct mu_task_folders){.n = 0};
    int rc = installed_folder(&installed, e);
    f->installed = mu_buf_take(&installed);
    MU_TRY_RETURN(rc);
    if (env && env[0])
        f->folder[f->n++] = env;
    else if (mu_path_is_dir("tasks"))
        f->folder[f->n++] = "tasks";
    else if (mu_path_is_dir(f->installed))
        f->folder[f->n++] = f->installed;
    for (int i = 0; i < include_paths->n; i++)
        f->folder[f->n++] = include_paths->item[i];
    return MU_OK;
}

void mu_task_folders_release(struct mu_task_folders *f)
{
    mu_free(f->installed);
    f->installed = NULL;
}

int mu_task_folders_open(const struct mu_opt_list *include_paths, bool is_needed, struct mu_task_index **out,
                         struct mu_err *e)
{
    struct mu_task_folders f;
    int rc = mu_task_folders_find(&f, include_paths, e);
    if (rc == MU_OK && is_needed && f.n == 0)
        rc = mu_fail(e, MU_ENOENT,
                     "there is no folder of tasks: neither $MUSTER_TASKS nor ./tasks nor %s; name one "
                     "with --include-path",
                     f.installed);
    if (rc == MU_OK)
        rc = mu_task_index_open(out, f.folder, f.n, e);
    mu_task_folders_release(&f);
    return rc;
}

int mu_data_folders_find(struct mu_data_folders *f, const struct mu_opt_list *data_dirs, struct mu_err *e)
{
    const char *env = getenv("MUSTER_DATA");

    *f = (struct mu_data_folders){.n = 0};
    for (int i = 0; i < data_dirs->n; i++)
        f->folder[f->n++] = data_dirs->item[i];
    if (!env || !env[0])
        return MU_OK;
    f->text = mu_strdup(env);
    if (!f->text)
        return mu_fail_nomem(e, strlen(env), "$MUSTER_DATA");
    for (char *at = f->text, *next; at; at = next) {
        if ((next = strchr(at, ':')))
            *next++ = 0;
        if (at[0] && f->n == MU_DATA_FOLDERS_MAX)
            return mu_fail(e, MU_EUSAGE, "$MUSTER_DATA: with --data-dir more than %d folders are named",
                           MU_DATA_FOLDERS_MAX);
        if (at[0])
            f->folder[f->n++] = at;
    }
    return MU_OK;
}

void mu_data_folders_release(struct mu_data_folders *f)
{
    mu_free(f->text);
    f->text = NULL;
}

/* ---- names ---- */

static char *trim(char *s)
{
    static const char blanks[] = " \t\r\n";
    s += strspn(s, blanks);
    for (size_t n = strlen(s); n > 0 && strchr(blanks, s[n - 1]); n--)
        s[n - 1] = 0;
    return s;
}

int mu_task_names_cut(char *text, const char **name, int max, int *n, struct mu_err *e)
{
    *n = 0;
    for (char *at = text, *next; at; at = next) {
        next = strchr(at, ',');
        if (next)
            *next++ = 0;
        at = trim(at);
        if (at[0] && *n == max)
            return mu_fail(e, MU_EUSAGE, "more than %d names of tasks", max);
        if (at[0])
            name[(*n)++] = at;
    }
    return MU_OK;
}
