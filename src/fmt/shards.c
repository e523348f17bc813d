/* shards.c - see shards.h
 *
 * File names are numbered as they first appear while the map is read, and renumbered in their own order at the end. */
#include "fmt/shards.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/json.h"
#include "base/json_scan.h"
#include "base/mem.h"
#include "fmt/safetensors.h"

struct parse {
    struct mu_shards *s;
    struct mu_json_scan t;
    struct mu_buf tensor; /* the name at hand */
    int last;             /* file of the tensor before: most often the next one's too */
};

static int add_file(struct mu_shards *s, struct mu_str name, const char *where, struct mu_err *e)
{
    if (s->n == MU_SHARDS_MAX)
        return mu_fail(e, MU_ELIMIT, "%s names more than %d files", where, MU_SHARDS_MAX);
    s->names[s->n] = mu_strndup(name.p, name.n);
    if (!s->names[s->n])
        return mu_fail_nomem(e, name.n + 1, "the name of a shard");
    s->n++;
    return MU_OK;
}

/* p->last = number of the file called name, which is new or known. */
static int find_file(struct parse *p, struct mu_str name, struct mu_err *e)
{
    struct mu_shards *s = p->s;
    if (s->n > 0 && mu_str_eq(mu_str(s->names[p->last]), name))
        return MU_OK;
    for (p->last = 0; p->last < s->n; p->last++)
        if (mu_str_eq(mu_str(s->names[p->last]), name))
            return MU_OK;
    if (name.n == 0 || name.n > MU_SHARD_NAME_BYTES_MAX || memchr(name.p, 0, name.n) || memchr(name.p, '/', name.n) ||
        mu_str_eq(name, MU_STR(".")) || mu_str_eq(name, MU_STR("..")))
        return mu_fail(e, MU_EFORMAT,
                       "%s: tensor \"%s\" lies in \"%.*s\", which is not the name of a file in the same folder",
                       p->t.path, p->tensor.p, (int)MU_MIN(name.n, (size_t)100), name.p);
    return add_file(s, name, p->t.path, e);
}

static int take_pair(struct parse *p, struct mu_err *e)
{
    struct mu_tensor_info info = {0};
    struct mu_str s;
    MU_TRY_RETURN(mu_scan_string(&p->t, &s, e));
    if (s.n == 0 || memchr(s.p, 0, s.n))
        return mu_fail(e, MU_EFORMAT, "%s: a tensor has an empty name or one with a zero byte", p->t.path);
    mu_buf_clear(&p->tensor);
    MU_TRY_RETURN(mu_buf_add(&p->tensor, s.p, s.n, e));
    MU_TRY_RETURN(mu_scan_expect(&p->t, ':', e));
    MU_TRY_RETURN(mu_scan_string(&p->t, &s, e));
    MU_TRY_RETURN(find_file(p, s, e));
    info.file = p->last;
    return mu_tensor_table_add(&p->s->listed, &info, mu_buf_str(&p->tensor), p->t.path, e);
}

static int take_map(struct parse *p, struct mu_err *e)
{
    if (p->s->names)
        return mu_fail(e, MU_EFORMAT, "%s holds \"weight_map\" twice", p->t.path);
    MU_TRY_RETURN(MU_NEW_ARRAY(&p->s->names, MU_SHARDS_MAX, "the list of shards", e));
    MU_TRY_RETURN(mu_scan_expect(&p->t, '{', e));
    if (mu_scan_accept(&p->t, '}'))
        return mu_fail(e, MU_EFORMAT, "%s: \"weight_map\" is empty", p->t.path);
    do
        MU_TRY_RETURN(take_pair(p, e));
    while (mu_scan_accept(&p->t, ','));
    return mu_scan_expect(&p->t, '}', e);
}

/* "metadata" and whatever else: only held against JSON's grammar. */
static int take_other(struct parse *p, struct mu_err *e)
{
    struct mu_str text;
    json_t *v;
    MU_TRY_RETURN(mu_scan_value(&p->t, &text, e));
    MU_TRY_RETURN(mu_json_parse(&v, text, p->t.path, e));
    json_decref(v);
    return MU_OK;
}

static int take_member(struct parse *p, struct mu_err *e)
{
    struct mu_str key;
    MU_TRY_RETURN(mu_scan_string(&p->t, &key, e));
    bool is_map = mu_str_eq(key, MU_STR("weight_map"));
    MU_TRY_RETURN(mu_scan_expect(&p->t, ':', e));
    return is_map ? take_map(p, e) : take_other(p, e);
}

static int take_index(struct parse *p, struct mu_err *e)
{
    MU_TRY_RETURN(mu_scan_expect(&p->t, '{', e));
    if (!mu_scan_accept(&p->t, '}')) {
        do
            MU_TRY_RETURN(take_member(p, e));
        while (mu_scan_accept(&p->t, ','));
        MU_TRY_RETURN(mu_scan_expect(&p->t, '}', e));
    }
    MU_TRY_RETURN(mu_scan_end(&p->t, e));
    if (!p->s->names)
        return mu_fail(e, MU_EFORMAT, "%s has no \"weight_map\"", p->t.path);
    return MU_OK;
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Files in the order of their names; the tensors' numbers follow. */
static int renumber(struct mu_shards *s, struct mu_err *e)
{
    char **first_seen = NULL;
    int *now = NULL, rc = MU_OK;
    MU_TRY(MU_NEW_ARRAY(&first_seen, s->n, "the list of shards", e));
    MU_TRY(MU_NEW_ARRAY(&now, s->n, "the list of shards", e));
    memcpy(first_seen, s->names, (size_t)s->n * sizeof *first_seen);
    qsort(s->names, (size_t)s->n, sizeof *s->names, by_text);
    for (int i = 0; i < s->n; i++)
        now[i] = (int)((char **)bsearch(&first_seen[i], s->names, (size_t)s->n, sizeof *s->names, by_text) - s->names);
    for (int64_t i = 0; i < s->listed.n; i++)
        s->listed.items[i].file = now[s->listed.items[i].file];
out:
    mu_free(first_seen);
    mu_free(now);
    return rc;
}

int mu_shards_parse(struct mu_shards *s, struct mu_str text, const char *where, struct mu_err *e)
{
    struct parse p = {.s = s, .tensor = MU_BUF_INIT("a tensor's name", MU_SAFETENSORS_NAME_BYTES_MAX)};
    int rc = MU_OK;

    *s = (struct mu_shards)MU_SHARDS_INIT;
    mu_scan_begin(&p.t, text, where, "index");
    MU_TRY(take_index(&p, e));
    MU_TRY(renumber(s, e));
    MU_TRY(mu_tensor_table_finish(&s->listed, where, e));
out:
    mu_buf_fini(&p.tensor);
    mu_scan_fini(&p.t);
    if (rc != MU_OK)
        mu_shards_fini(s);
    return rc;
}

int mu_shards_take(const struct mu_shards *s, int file, const struct mu_tensor_table *shard,
                   struct mu_tensor_table *all, int64_t *n_unlisted, const char *where, struct mu_err *e)
{
    for (int64_t i = 0; i < shard->n; i++) {
        const char *name = shard->items[i].name;
        const struct mu_tensor_info *listed = mu_tensor_table_find(&s->listed, name);
        if (!listed || listed->file != file)
            ++*n_unlisted;
        else
            MU_TRY_RETURN(mu_tensor_table_add(all, &shard->items[i], mu_str(name), where, e));
    }
    return MU_OK;
}

int mu_shards_check_complete(const struct mu_shards *s, const struct mu_tensor_table *all, const char *where,
                             struct mu_err *e)
{
    for (int64_t i = 0; i < s->listed.n; i++) {
        const struct mu_tensor_info *t = &s->listed.items[i];
        if (!mu_tensor_table_find(all, t->name))
            return mu_fail(e, MU_EFORMAT, "%s places tensor \"%s\" in %s, which does not hold it", where, t->name,
                           s->names[t->file]);
    }
    return MU_OK;
}

void mu_shards_fini(struct mu_shards *s)
{
    for (int i = 0; i < s->n; i++)
        mu_free(s->names[i]);
    mu_free(s->names);
    mu_tensor_table_fini(&s->listed);
    *s = (struct mu_shards)MU_SHARDS_INIT;
}
