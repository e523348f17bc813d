/* campaign_include.c - a campaign's file and those it includes: each read once, before the one that asks for it
 *
 * Paths go from the folder of the file that names them. */
#include <stdlib.h>

#include "base/check.h"
#include "base/file.h"
#include "base/mem.h"
#include "sched/campaign_int.h"

/* The path without links and dots, which says whether two are one file; the path itself where there is no such file. */
static char *real_of(const char *path)
{
    char *p = realpath(path, NULL);
    char *copy = mu_strdup(p ? p : path);
    free(p);
    return copy;
}

static int beside(const char *file, const char *path, struct mu_buf *out, struct mu_err *e)
{
    const char *slash = strrchr(file, '/');
    mu_buf_clear(out);
    if (path[0] != '/' && slash)
        MU_TRY_RETURN(mu_buf_add(out, file, (size_t)(slash - file + 1), e));
    return mu_buf_puts(out, path, e);
}

/* "a.yaml includes b.yaml, which includes a.yaml" */
static void fault_circle(struct mu_campaign_reader *r, int first, int last, struct mu_campaign_place at)
{
    struct mu_buf text = MU_BUF_INIT("a circle of files", 8192);
    const char *chain[MU_CAMPAIGN_DEPTH_MAX + 2];
    int n = 0, rc;
    for (int i = last; n <= MU_CAMPAIGN_DEPTH_MAX; i = r->up[i]) {
        chain[n++] = r->c->file[i];
        if (i == first)
            break;
    }
    rc = mu_buf_puts(&text, chain[n - 1], NULL);
    for (int i = n - 2; i >= 0; i--)
        rc |= mu_buf_printf(&text, NULL, "%s includes %s", i < n - 2 ? ", which" : "", chain[i]);
    mu_campaign_fault(r->c, r->faults, at, "files include each other in a circle: %.400s%s includes %.200s",
                      rc == MU_OK ? text.p : r->c->file[last], n > 1 ? ", which" : "", r->c->file[first]);
    mu_buf_fini(&text);
}

/* Whether the file is one that was read already; being read is a circle. */
static bool is_known(struct mu_campaign_reader *r, const char *real, int up, struct mu_campaign_place at)
{
    for (int i = 0; i < r->c->n_files; i++) {
        if (strcmp(r->real[i], real) != 0)
            continue;
        if (r->is_open[i])
            fault_circle(r, i, up, at);
        return true;
    }
    return false;
}

static int include_all(struct mu_campaign_reader *r, const struct mu_campaign_node *n, int depth,
                       int (*read)(struct mu_campaign_reader *r, const struct mu_campaign_node *n))
{
    struct mu_buf path = MU_BUF_INIT("a path", MU_CAMPAIGN_PATH_MAX - 1);
    struct mu_campaign_place at = mu_campaign_key_place(r, n, "include");
    const char *const *list;
    int n_list, rc;
    const json_t *v = json_object_get(n->o, "include");
    MU_TRY(mu_campaign_texts(r, n, "include", &list, &n_list));
    for (int i = 0; i < n_list; i++) {
        struct mu_campaign_place here = json_is_array(v) ? mu_campaign_item_place(r, v, (size_t)i, at) : at;
        if (beside(r->c->file[n->at.file], list[i], &path, NULL) != MU_OK)
            mu_campaign_fault(r->c, r->faults, here, "the path %.60s... is longer than %d bytes", list[i],
                              MU_CAMPAIGN_PATH_MAX - 1);
        else
            MU_TRY(mu_campaign_include(r, path.p, (struct mu_str){NULL, 0}, n->at.file, depth + 1, here, read));
    }
out:
    mu_buf_fini(&path);
    return rc;
}

/* Takes its place among the files. */
static int enter(struct mu_campaign_reader *r, const char *path, char *real, int up, struct mu_yaml *y)
{
    struct mu_campaign *c = r->c;
    int i = c->n_files;
    c->file[i] = mu_arena_strdup(&c->arena, mu_str(path), r->e);
    if (!c->file[i])
        return r->e->code;
    r->real[i] = real;
    r->yaml[i] = y;
    r->up[i] = up;
    r->is_open[i] = true;
    c->n_files++;
    return MU_OK;
}

/* Its includes, then itself. */
static int read_file(struct mu_campaign_reader *r, int i, int depth,
                     int (*read)(struct mu_campaign_reader *r, const struct mu_campaign_node *n))
{
    struct mu_campaign_node n = {.o = mu_yaml_root(r->yaml[i]), .what = "", .at = {i, 0}};
    int rc = MU_OK;
    if (!json_is_object(n.o)) {
        mu_campaign_fault(r->c, r->faults, n.at, "a mapping with models, suites and output is needed");
    } else {
        MU_TRY(include_all(r, &n, depth, read));
        MU_TRY(read(r, &n));
    }
out:
    r->is_open[i] = false;
    return rc;
}

int mu_campaign_include(struct mu_campaign_reader *r, const char *path, struct mu_str text, int up, int depth,
                        struct mu_campaign_place at,
                        int (*read)(struct mu_campaign_reader *r, const struct mu_campaign_node *n))
{
    struct mu_err why = MU_ERR_INIT;
    struct mu_yaml *y = NULL;
    char *real = real_of(path);
    int rc;
    if (!real)
        return mu_fail_nomem(r->e, strlen(path), "a path");
    if (is_known(r, real, up, at)) {
        mu_free(real);
        return MU_OK;
    }
    if (depth > MU_CAMPAIGN_DEPTH_MAX || r->c->n_files == MU_CAMPAIGN_FILES_MAX)
        rc = mu_fail(&why, MU_ELIMIT, "%.200s is not read: at most %d files, %d deep, may make a campaign", path,
                     MU_CAMPAIGN_FILES_MAX, MU_CAMPAIGN_DEPTH_MAX);
    else
        rc = text.p ? mu_yaml_parse(&y, text, path, &why) : mu_yaml_load(&y, path, &why);
    if (rc == MU_OK)
        rc = enter(r, path, real, up, y);
    if (rc == MU_OK)
        return read_file(r, r->c->n_files - 1, depth, read);
    mu_free(real);
    mu_yaml_free(y);
    if (up < 0 || rc == MU_ENOMEM)
        return why.code ? mu_fail(r->e, rc, "%s", why.text) : rc;
    mu_campaign_fault(r->c, r->faults, at, "include: %.700s", why.text);
    return MU_OK;
}
