/* opt.c - parsing a command line by its table */
#include "cli/opt.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/nearest.h"

void mu_opt_each(const struct mu_opt *opts, void (*fn)(void *arg, const struct mu_opt *o), void *arg)
{
    for (const struct mu_opt *o = opts; o && o->type != MU_OPT_END; o++) {
        if (o->type == MU_OPT_GROUP)
            mu_opt_each(o->group, fn, arg);
        else
            fn(arg, o);
    }
}

/* ---- finding an option, and the nearest one to a name nobody has ---- */

struct search {
    const char *name;
    size_t n;
    char letter;
    const struct mu_opt *found;
    const struct mu_opt *nearest;
    int distance;
};

/* Whether the name given (n bytes) is the option's, _ read as -. */
static bool is_name(const char *given, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++) {
        if ((given[i] == '_' ? '-' : given[i]) != name[i])
            return false;
    }
    return name[n] == 0;
}

static void look(void *arg, const struct mu_opt *o)
{
    struct search *s = arg;
    if (s->letter ? o->letter == s->letter : is_name(s->name, s->n, o->name))
        s->found = o;
    if (s->letter)
        return;
    int d = mu_name_distance((struct mu_str){s->name, s->n}, o->name);
    if (d < s->distance) {
        s->distance = d;
        s->nearest = o;
    }
}

/* ---- values ---- */

int mu_size_parse(const char *text, uint64_t *bytes, struct mu_err *e)
{
    static const struct {
        const char *unit;
        double bytes;
    } units[] = {{"", 1},       {"B", 1},        {"KB", 1e3},     {"MB", 1e6},    {"GB", 1e9},
                 {"TB", 1e12},  {"K", 1024},     {"M", 0x1p20},   {"G", 0x1p30},  {"T", 0x1p40},
                 {"KiB", 1024}, {"MiB", 0x1p20}, {"GiB", 0x1p30}, {"TiB", 0x1p40}};
    char *end;
    errno = 0;
    double v = strtod(text, &end);
    if (end != text && errno == 0 && v >= 0) {
        for (size_t i = 0; i < MU_COUNT(units); i++) {
            if (strcmp(end, units[i].unit) == 0 && v * units[i].bytes < 0x1p63) {
                *bytes = (uint64_t)(v * units[i].bytes);
                return MU_OK;
            }
        }
    }
    return mu_fail(e, MU_EUSAGE, "\"%s\" is no size: write it like 800MB, 12GiB or 1e9", text);
}

static int check_choice(const struct mu_opt *o, const char *text, struct mu_err *e)
{
    size_t n = strlen(text);
    for (const char *p = o->choices; p;) {
        size_t len = strcspn(p, "|");
        if (len == n && memcmp(p, text, n) == 0)
            return MU_OK;
        p = p[len] ? p + len + 1 : NULL;
    }
    return mu_fail(e, MU_EUSAGE, "--%s %s: it must be one of %s", o->name, text, o->choices);
}

static int check_bounds(const struct mu_opt *o, double v, const char *text, struct mu_err *e)
{
    if (o->lo < o->hi && !(v >= o->lo && v <= o->hi))
        return mu_fail(e, MU_EUSAGE, "--%s %s: it must lie in %g..%g", o->name, text, o->lo, o->hi);
    return MU_OK;
}

static int set_int(const struct mu_opt *o, int64_t *field, const char *text, struct mu_err *e)
{
    char *end;
    if (o->takes_auto && strncmp(text, "auto", 4) == 0 && (text[4] == 0 || text[4] == ':')) {
        *field = 0;
        return MU_OK;
    }
    errno = 0;
    long long v = strtoll(text, &end, 10);
    if (end == text || *end || errno)
        return mu_fail(e, MU_EUSAGE, "--%s %s: a whole number is needed", o->name, text);
    *field = v;
    return check_bounds(o, (double)v, text, e);
}

static int set_real(const struct mu_opt *o, double *field, const char *text, struct mu_err *e)
{
    char *end;
    double v = strtod(text, &end);
    if (end == text || *end || !isfinite(v))
        return mu_fail(e, MU_EUSAGE, "--%s %s: a number is needed", o->name, text);
    *field = v;
    return check_bounds(o, v, text, e);
}

static int add_item(const struct mu_opt *o, struct mu_opt_list *list, const char *text, struct mu_err *e)
{
    if (list->n == MU_OPT_LIST_MAX)
        return mu_fail(e, MU_EUSAGE, "--%s is given more than %d times", o->name, MU_OPT_LIST_MAX);
    list->item[list->n++] = text;
    return MU_OK;
}

static int set_value(const struct mu_opt *o, void *args, const char *text, struct mu_err *e)
{
    void *field = (char *)args + o->offset;
    if (o->choices)
        MU_TRY_RETURN(check_choice(o, text, e));
    switch (o->type) {
    case MU_OPT_INT:
        return set_int(o, field, text, e);
    case MU_OPT_REAL:
        return set_real(o, field, text, e);
    case MU_OPT_SIZE:
        return mu_err_while(e, mu_size_parse(text, field, e), "reading --%s", o->name);
    case MU_OPT_LIST:
        return add_item(o, field, text, e);
    case MU_OPT_TEXT:
        *(const char **)field = text;
        return MU_OK;
    default:
        return mu_fail(e, MU_EINTERNAL, "option --%s has no type", o->name);
    }
}

/* ---- the walk over argv ---- */

struct walk {
    const struct mu_cmd *cmd;
    void *args;
    int argc, i;
    char **argv;
};

static const struct mu_opt *find(const struct walk *w, struct search *s)
{
    s->distance = MU_NAME_FAR;
    mu_opt_each(w->cmd->opts, look, s);
    return s->found;
}

static int take_value(struct walk *w, const struct mu_opt *o, const char *inline_value, struct mu_err *e)
{
    if (o->type == MU_OPT_FLAG) {
        if (inline_value)
            return mu_fail(e, MU_EUSAGE, "--%s takes no value, \"%s\" was given", o->name, inline_value);
        *(bool *)((char *)w->args + o->offset) = true;
        return MU_OK;
    }
    if (o->value_optional)
        return set_value(o, w->args, inline_value ? inline_value : "", e);
    if (!inline_value && w->i + 1 >= w->argc)
        return mu_fail(e, MU_EUSAGE, "--%s needs a value (%s)", o->name, o->arg);
    return set_value(o, w->args, inline_value ? inline_value : w->argv[++w->i], e);
}

static int fail_unknown(const struct walk *w, const struct search *s, const char *dashes, struct mu_err *e)
{
    if (s->nearest && s->distance <= 3)
        return mu_fail(e, MU_EUSAGE, "there is no option %s%.*s; did you mean %s%s?", dashes, (int)s->n, s->name,
                       dashes, s->nearest->name);
    return mu_fail(e, MU_EUSAGE, "there is no option %s%.*s; see muster %s --help", dashes, (int)s->n, s->name,
                   w->cmd->name);
}

static int take_long(struct walk *w, const char *text, struct mu_err *e)
{
    struct search s = {.name = text, .n = strcspn(text, "=")};
    const struct mu_opt *o = find(w, &s);
    return o ? take_value(w, o, text[s.n] == '=' ? text + s.n + 1 : NULL, e) : fail_unknown(w, &s, "--", e);
}

static int set_flag(const struct mu_opt *o, void *args, const char *text, struct mu_err *e)
{
    bool is_true = strcmp(text, "true") == 0;
    if (!is_true && strcmp(text, "false") != 0)
        return mu_fail(e, MU_EUSAGE, "%s is %s: true or false is needed", o->name, text);
    *(bool *)((char *)args + o->offset) = is_true;
    return MU_OK;
}

int mu_opt_set(const struct mu_cmd *cmd, void *args, const char *where, const char *name, const char *text,
               struct mu_err *e)
{
    struct walk w = {.cmd = cmd, .args = args};
    struct search s = {.name = name, .n = strlen(name)};
    struct mu_err why = MU_ERR_INIT;
    const struct mu_opt *o = find(&w, &s);
    int rc = !o                       ? fail_unknown(&w, &s, "", &why)
             : o->type == MU_OPT_FLAG ? set_flag(o, args, text, &why)
                                      : set_value(o, args, text, &why);
    return rc == MU_OK ? rc : mu_fail(e, rc, "%s: %s", where, why.text);
}

/* Letters of one dash: flags may be joined, the first that takes a value takes the rest. */
static int take_short(struct walk *w, const char *text, struct mu_err *e)
{
    for (; *text; text++) {
        struct search s = {.letter = text[0]};
        const struct mu_opt *o = find(w, &s);
        if (!o)
            return mu_fail(e, MU_EUSAGE, "there is no option -%c; see muster %s --help", text[0], w->cmd->name);
        if (o->type != MU_OPT_FLAG)
            return take_value(w, o, text[1] ? text + 1 : NULL, e);
        MU_TRY_RETURN(take_value(w, o, NULL, e));
    }
    return MU_OK;
}

int mu_opt_parse(const struct mu_cmd *cmd, void *args, int argc, char **argv, int *n_operands, bool *wants_help,
                 struct mu_err *e)
{
    struct walk w = {cmd, args, argc, 0, argv};
    bool only_operands = false;

    *n_operands = 0;
    *wants_help = false;
    for (; w.i < argc; w.i++) {
        const char *a = argv[w.i];
        if (only_operands || a[0] != '-' || a[1] == 0) {
            argv[(*n_operands)++] = argv[w.i];
        } else if (strcmp(a, "--") == 0) {
            only_operands = true;
        } else if (strcmp(a, "--help") == 0 || strcmp(a, "-h") == 0) {
            *wants_help = true;
        } else if (a[1] == '-') {
            MU_TRY_RETURN(take_long(&w, a + 2, e));
        } else {
            MU_TRY_RETURN(take_short(&w, a + 1, e));
        }
    }
    return MU_OK;
}
