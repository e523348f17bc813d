/* opt.c - parsing a command line by its table */
#include "cli/opt.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"

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

#define NAME_MAX_EDIT 40

/* Levenshtein distance of two short names. */
static int edit_distance(const char *a, size_t na, const char *b)
{
    int row[NAME_MAX_EDIT + 1];
    size_t nb = strlen(b);
    if (na > NAME_MAX_EDIT || nb > NAME_MAX_EDIT)
        return NAME_MAX_EDIT;
    for (size_t j = 0; j <= nb; j++)
        row[j] = (int)j;
    for (size_t i = 1; i <= na; i++) {
        int diagonal = row[0];
        row[0] = (int)i;
        for (size_t j = 1; j <= nb; j++) {
            int up = row[j];
            int change = diagonal + (a[i - 1] != b[j - 1]);
            row[j] = MU_MIN(change, MU_MIN(up, row[j - 1]) + 1);
            diagonal = up;
        }
    }
    return row[nb];
}

static void look(void *arg, const struct mu_opt *o)
{
    struct search *s = arg;
    if (s->letter ? o->letter == s->letter : strlen(o->name) == s->n && memcmp(o->name, s->name, s->n) == 0)
        s->found = o;
    if (s->letter)
        return;
    int d = edit_distance(s->name, s->n, o->name);
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
    s->distance = NAME_MAX_EDIT;
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
    if (!inline_value && w->i + 1 >= w->argc)
        return mu_fail(e, MU_EUSAGE, "--%s needs a value (%s)", o->name, o->arg);
    return set_value(o, w->args, inline_value ? inline_value : w->argv[++w->i], e);
}

static int take_long(struct walk *w, const char *text, struct mu_err *e)
{
    struct search s = {.name = text, .n = strcspn(text, "=")};
    const struct mu_opt *o = find(w, &s);
    if (o)
        return take_value(w, o, text[s.n] == '=' ? text + s.n + 1 : NULL, e);
    if (s.nearest && s.distance <= 3)
        return mu_fail(e, MU_EUSAGE, "there is no option --%.*s; did you mean --%s?", (int)s.n, text, s.nearest->name);
    return mu_fail(e, MU_EUSAGE, "there is no option --%.*s; see muster %s --help", (int)s.n, text, w->cmd->name);
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
