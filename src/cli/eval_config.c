/* eval_config.c - see eval_config.h
 *
 * A value is what would be written behind the option: a text, a number, true; a list is joined by commas, or, where an
 * option may be repeated, given item by item; an object is given as JSON. null leaves the default. */
#include "cli/eval_config.h"

#include <string.h>

#include "base/check.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/yaml.h"

#define VALUE_BYTES_MAX ((size_t)16 << 20)

struct config {
    const struct mu_cmd *cmd;
    void *args;
    const char *path;
    struct mu_yaml *yaml; /* NULL: there are no lines */
    json_t *keep;         /* array of texts */
};

static const char *path_in(int argc, char **argv)
{
    const char *path = NULL;
    for (int i = 0; i < argc && strcmp(argv[i], "--") != 0; i++) {
        if (strcmp(argv[i], "--config") == 0 && i + 1 < argc)
            path = argv[i + 1];
        else if (strncmp(argv[i], "--config=", 9) == 0)
            path = argv[i] + 9;
    }
    return path;
}

/* ---- a value as text ---- */

static int add_plain(struct mu_buf *out, const json_t *v, struct mu_err *e)
{
    if (json_is_string(v))
        return mu_buf_add(out, json_string_value(v), json_string_length(v), e);
    return mu_json_dump(out, v, false, e);
}

static int add_list(struct mu_buf *out, const json_t *list, struct mu_err *e)
{
    for (size_t i = 0; i < json_array_size(list); i++) {
        if (i > 0)
            MU_TRY_RETURN(mu_buf_putc(out, ',', e));
        MU_TRY_RETURN(add_plain(out, json_array_get(list, i), e));
    }
    return MU_OK;
}

static int set(struct config *c, const char *name, const json_t *v, struct mu_err *e)
{
    struct mu_buf text = MU_BUF_INIT("a value", VALUE_BYTES_MAX), where = MU_BUF_INIT("a place", 1 << 16);
    int rc = MU_OK;

    MU_TRY(json_is_array(v) ? add_list(&text, v, e) : add_plain(&text, v, e));
    MU_TRY(mu_buf_printf(&where, e, "%s", c->path));
    if (c->yaml)
        MU_TRY(mu_buf_printf(&where, e, ", line %d", mu_yaml_key_line(c->yaml, mu_yaml_root(c->yaml), name)));
    json_t *kept = json_stringn(text.p ? text.p : "", text.n);
    if (json_array_append_new(c->keep, kept) != 0)
        rc = mu_fail_nomem(e, text.n, "a value");
    else
        rc = mu_opt_set(c->cmd, c->args, where.p, name, json_string_value(kept), e);
out:
    mu_buf_fini(&text);
    mu_buf_fini(&where);
    return rc;
}

/* ---- all of them ---- */

struct is_list {
    const char *name;
    bool yes;
};

static void look(void *arg, const struct mu_opt *o)
{
    struct is_list *l = arg;
    size_t i = 0;
    while (l->name[i] && (l->name[i] == '_' ? '-' : l->name[i]) == o->name[i])
        i++;
    if (!l->name[i] && !o->name[i])
        l->yes = o->type == MU_OPT_LIST;
}

static int set_member(struct config *c, const char *name, const json_t *v, struct mu_err *e)
{
    struct is_list l = {name, false};
    if (json_is_null(v))
        return MU_OK;
    mu_opt_each(c->cmd->opts, look, &l);
    if (!l.yes || !json_is_array(v))
        return set(c, name, v, e);
    for (size_t i = 0; i < json_array_size(v); i++)
        MU_TRY_RETURN(set(c, name, json_array_get(v, i), e));
    return MU_OK;
}

static int set_all(struct config *c, const json_t *options, struct mu_err *e)
{
    const char *name;
    json_t *v;
    json_object_foreach((json_t *)(uintptr_t)options, name, v)
    {
        MU_TRY_RETURN(set_member(c, name, v, e));
    }
    return MU_OK;
}

int mu_eval_config_set(const struct mu_cmd *cmd, void *args, const json_t *options, const char *where, json_t *keep,
                       struct mu_err *e)
{
    struct config c = {cmd, args, where, NULL, keep};
    return set_all(&c, options, e);
}

int mu_eval_config_apply(const struct mu_cmd *cmd, void *args, int argc, char **argv, json_t **keep, struct mu_err *e)
{
    struct config c = {cmd, args, path_in(argc, argv), NULL, NULL};
    int rc = MU_OK;

    *keep = NULL;
    if (!c.path)
        return MU_OK;
    MU_TRY(mu_yaml_load(&c.yaml, c.path, e));
    c.keep = *keep = json_array();
    if (!json_is_object(mu_yaml_root(c.yaml))) {
        rc = mu_fail(e, MU_EUSAGE, "%s: options by name are needed, such as \"tasks: arc_easy\"", c.path);
        goto out;
    }
    MU_TRY(set_all(&c, mu_yaml_root(c.yaml), e));
out:
    mu_yaml_free(c.yaml);
    return rc;
}
