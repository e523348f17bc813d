/* report_load.c - finding and reading the files of an evaluation */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "dash/report_int.h"

#define FOLDER_DEPTH_MAX 3 /* OUT/<model>/results_*.json */
#define PAIR_KEY_BYTES   128

/* ---- the newest results file below a folder ---- */

static bool is_results_name(const char *name)
{
    size_t n = strlen(name);
    return strncmp(name, "results_", 8) == 0 && n > 13 && strcmp(name + n - 5, ".json") == 0;
}

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/* Names hold the date, so the greatest name is the newest. */
static int find_newest(const char *dir, int depth, struct mu_buf *best, struct mu_err *e)
{
    struct mu_buf path = MU_BUF_INIT("a path", 1 << 16);
    int rc = MU_OK;
    DIR *d = opendir(dir);
    if (!d)
        return mu_fail(e, MU_EIO, "cannot read the folder %s", dir);
    for (struct dirent *entry; rc == MU_OK && (entry = readdir(d));) {
        if (entry->d_name[0] == '.')
            continue;
        rc = mu_path_join(&path, dir, entry->d_name, e);
        if (rc != MU_OK)
            break;
        if (is_results_name(entry->d_name)) {
            if (best->n == 0 || strcmp(entry->d_name, base_name(best->p)) > 0) {
                mu_buf_clear(best);
                rc = mu_buf_add(best, path.p, path.n, e);
            }
        } else if (depth > 0 && mu_path_is_dir(path.p)) {
            rc = find_newest(path.p, depth - 1, best, e);
        }
    }
    closedir(d);
    mu_buf_fini(&path);
    return rc;
}

static int results_path(const char *path, struct mu_buf *out, struct mu_err *e)
{
    if (!mu_path_exists(path))
        return mu_fail(e, MU_ENOENT, "%s does not exist; give a results file or the folder of a run", path);
    if (!mu_path_is_dir(path))
        return mu_buf_puts(out, path, e);
    MU_TRY_RETURN(find_newest(path, FOLDER_DEPTH_MAX, out, e));
    if (out->n == 0)
        return mu_fail(e, MU_ENOENT, "%s holds no results_*.json; give the folder that `muster eval --output` wrote",
                       path);
    return MU_OK;
}

/* ---- samples ---- */

/* samples_<task>_<date>.jsonl beside results_<date>.json. */
static int samples_path(const char *results, const char *task, struct mu_buf *out, struct mu_err *e)
{
    const char *name = base_name(results);
    size_t n_date = strlen(name) - 8 - 5;
    MU_TRY_RETURN(mu_buf_add(out, results, (size_t)(name - results), e));
    MU_TRY_RETURN(mu_buf_printf(out, e, "samples_%s_", task));
    MU_TRY_RETURN(mu_buf_add(out, name + 8, n_date, e));
    return mu_buf_puts(out, ".jsonl", e);
}

static int read_samples(const char *path, json_t *into, struct mu_err *e)
{
    char where[4200], *line = NULL;
    size_t cap = 0;
    int64_t number = 0;
    int rc = MU_OK;
    FILE *f = fopen(path, "r");
    if (!f)
        return MU_OK; /* not logged */
    for (ssize_t n; rc == MU_OK && (n = getline(&line, &cap, f)) >= 0;) {
        json_t *sample = NULL;
        number++;
        n -= n > 0 && line[n - 1] == '\n';
        snprintf(where, sizeof where, "%.4096s, line %lld", path, (long long)number);
        if ((size_t)n > MU_REPORT_LINE_BYTES_MAX || json_array_size(into) >= MU_REPORT_SAMPLES_MAX)
            rc = mu_fail(e, MU_ELIMIT, "%s: more than %zu bytes in a line or %d samples", where,
                         MU_REPORT_LINE_BYTES_MAX, MU_REPORT_SAMPLES_MAX);
        else
            rc = mu_report_json(&sample, (struct mu_str){line, (size_t)n}, where, e);
        if (rc == MU_OK && !json_is_object(sample))
            rc = mu_fail(e, MU_EFORMAT, "%s: a sample is an object", where);
        if (rc == MU_OK && json_array_append(into, sample) != 0)
            rc = mu_fail_nomem(e, 0, "the samples");
        json_decref(sample);
    }
    if (rc == MU_OK && ferror(f))
        rc = mu_fail(e, MU_EIO, "cannot read %s", path);
    free(line);
    fclose(f);
    return rc;
}

/* ---- one run ---- */

/* The first "metric,filter" of the results line that is a number and every sample may have. */
static void choose_metric(struct mu_report_task *t, json_t *line)
{
    const json_t *first = json_array_get(t->samples, 0);
    const json_t *metrics = json_object_get(first, "metrics");
    t->filter = json_string_value(json_object_get(first, "filter"));
    for (size_t i = 0; i < json_array_size(metrics) && !t->metric; i++) {
        const char *name = json_string_value(json_array_get(metrics, i));
        if (name && json_is_number(json_object_get(first, name)))
            t->metric = name;
    }
    (void)line;
}

static int load_tasks(struct mu_report_run *r, struct mu_err *e)
{
    json_t *all = json_object_get(r->results, "results"), *groups = json_object_get(r->results, "groups"), *line;
    struct mu_buf path = MU_BUF_INIT("a path", 1 << 16);
    const char *name;
    int rc = MU_OK;

    if (!json_is_object(all))
        return mu_fail(e, MU_EFORMAT, "%s has no \"results\": it is not the results file of an evaluation", r->path);
    if (json_object_size(all) == 0)
        return mu_fail(e, MU_EFORMAT, "%s has results of no task", r->path);
    MU_TRY(MU_NEW_ARRAY(&r->task, json_object_size(all) + 1, "the tasks", e));
    json_object_foreach(all, name, line)
    {
        if (json_object_get(groups, name))
            continue;
        struct mu_report_task *t = &r->task[r->n_tasks++];
        t->name = name;
        t->samples = json_array();
        if (!t->samples) {
            rc = mu_fail_nomem(e, 0, "the samples");
            goto out;
        }
        mu_buf_clear(&path);
        MU_TRY(samples_path(r->path, name, &path, e));
        MU_TRY(read_samples(path.p, t->samples, e));
        choose_metric(t, line);
    }
out:
    mu_buf_fini(&path);
    return rc;
}

static int make_label(struct mu_report_run *r, int index, struct mu_err *e)
{
    const char *model = json_string_value(json_object_get(r->results, "model_name"));
    struct mu_buf label = MU_BUF_INIT("a label", 1 << 12);
    int rc = mu_buf_printf(&label, e, "%c: %.200s", 'A' + index, model && model[0] ? base_name(model) : "run");
    r->label = rc == MU_OK ? mu_buf_take(&label) : NULL;
    mu_buf_fini(&label);
    return rc;
}

int mu_report_load(struct mu_report_run *r, const char *path, int index, struct mu_err *e)
{
    struct mu_buf found = MU_BUF_INIT("a path", 1 << 16), text = MU_BUF_INIT("results", MU_JSON_BYTES_MAX);
    int rc = MU_OK;

    MU_TRY(results_path(path, &found, e));
    if (!is_results_name(base_name(found.p))) {
        rc = mu_fail(e, MU_EUSAGE, "%s is not called results_<date>.json, so its samples cannot be found", found.p);
        goto out;
    }
    r->path = mu_buf_take(&found);
    MU_TRY(mu_file_read_all(&text, r->path, e));
    MU_TRY(mu_report_json(&r->results, mu_buf_str(&text), r->path, e));
    MU_TRY(load_tasks(r, e));
    MU_TRY(make_label(r, index, e));
out:
    mu_buf_fini(&text);
    mu_buf_fini(&found);
    return rc;
}

void mu_report_run_fini(struct mu_report_run *r)
{
    for (int i = 0; i < r->n_tasks; i++)
        json_decref(r->task[i].samples);
    mu_free(r->task);
    json_decref(r->results);
    mu_free(r->label);
    mu_free(r->path);
    *r = (struct mu_report_run){0};
}

const struct mu_report_task *mu_report_task_find(const struct mu_report_run *r, const char *name)
{
    for (int i = 0; i < r->n_tasks; i++) {
        if (strcmp(r->task[i].name, name) == 0)
            return &r->task[i];
    }
    return NULL;
}

bool mu_report_score(const struct mu_report_task *t, const json_t *sample, double *out)
{
    const char *filter = json_string_value(json_object_get(sample, "filter"));
    const json_t *v = t->metric ? json_object_get(sample, t->metric) : NULL;
    if (!json_is_number(v) || !filter || !t->filter || strcmp(filter, t->filter) != 0)
        return false;
    *out = json_number_value(v);
    return true;
}

/* ---- pairing ---- */

/* Two documents of a task may be equal, so their number counts too. False: the sample tells neither. */
static bool doc_key(const json_t *sample, char key[PAIR_KEY_BYTES])
{
    const json_t *id = json_object_get(sample, "doc_id");
    const char *hash = json_string_value(json_object_get(sample, "doc_hash"));
    snprintf(key, PAIR_KEY_BYTES, "%lld %.100s", (long long)json_integer_value(id), hash ? hash : "");
    return json_is_integer(id) || hash;
}

int mu_report_pairs(const struct mu_report_task *a, const struct mu_report_task *b, struct mu_report_pair **out,
                    size_t *n, struct mu_err *e)
{
    json_t *by_key = json_object();
    char key[PAIR_KEY_BYTES];
    double score;
    int rc = MU_OK;

    *out = NULL;
    *n = 0;
    if (!by_key)
        return mu_fail_nomem(e, 0, "pairs of samples");
    MU_TRY(MU_NEW_ARRAY(out, json_array_size(a->samples) + 1, "pairs of samples", e));
    for (size_t i = 0; i < json_array_size(b->samples); i++) {
        const json_t *s = json_array_get(b->samples, i);
        if (mu_report_score(b, s, &score) && doc_key(s, key) &&
            json_object_set_new(by_key, key, json_integer((json_int_t)i))) {
            rc = mu_fail_nomem(e, 0, "pairs of samples");
            goto out;
        }
    }
    for (size_t i = 0; i < json_array_size(a->samples); i++) {
        const json_t *s = json_array_get(a->samples, i);
        const json_t *other = doc_key(s, key) ? json_object_get(by_key, key) : NULL;
        if (other && mu_report_score(a, s, &score))
            (*out)[(*n)++] = (struct mu_report_pair){i, (size_t)json_integer_value(other)};
    }
out:
    json_decref(by_key);
    if (rc != MU_OK) {
        mu_free(*out);
        *out = NULL;
    }
    return rc;
}
