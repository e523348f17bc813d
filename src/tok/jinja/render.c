/* render.c - a render's memory, limits, output and names; the entry points */
#include "tok/jinja/render.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/json.h"
#include "base/mem.h"

int mu_j_fail(struct mu_jin *J, int code, const char *fmt, ...)
{
    char text[MU_ERR_TEXT_MAX];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    return mu_fail(&J->err, code, "template %s, line %d: %s", J->t->name, J->line, text);
}

void *mu_j_alloc(struct mu_jin *J, size_t n, size_t size)
{
    void *p = mu_arena_array(&J->arena, n, size, &J->err);
    if (!p)
        mu_err_while(&J->err, J->err.code, "rendering template %s, line %d", J->t->name, J->line);
    return p;
}

int mu_j_work(struct mu_jin *J, size_t n)
{
    J->steps += (int64_t)MU_MIN(n, (size_t)MU_JINJA_STEPS_MAX + 1);
    if (J->steps > MU_JINJA_STEPS_MAX)
        return mu_j_fail(J, MU_ELIMIT, "more than %lld steps; the template may never end",
                         (long long)MU_JINJA_STEPS_MAX);
    return MU_OK;
}

int mu_j_enter(struct mu_jin *J)
{
    if (J->depth == MU_JINJA_DEPTH_MAX)
        return mu_j_fail(J, MU_ELIMIT, "nested deeper than %d levels; a macro or value may contain itself",
                         MU_JINJA_DEPTH_MAX);
    J->depth++;
    return MU_OK;
}

int mu_j_add(struct mu_jin *J, struct mu_str s)
{
    int rc = mu_buf_add(&J->out, s.p, s.n, &J->err);
    return rc == MU_OK ? MU_OK : mu_err_while(&J->err, rc, "rendering template %s, line %d", J->t->name, J->line);
}

int mu_j_addf(struct mu_jin *J, const char *fmt, ...)
{
    char text[512]; /* numbers and short words only */
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    return mu_j_add(J, (struct mu_str){text, MU_MIN((size_t)n, sizeof text - 1)});
}

int mu_j_take(struct mu_jin *J, size_t mark, struct mu_jv *out)
{
    size_t n = J->out.n - mark;
    char *p = mu_arena_alloc_aligned(&J->arena, n + 1, 1, &J->err);
    MU_J_NEED(J, p);
    if (n > 0)
        memcpy(p, J->out.p + mark, n);
    *out = mu_j_string((struct mu_str){p, n});
    J->out.n = mark;
    return mu_j_work(J, n / 64);
}

/* ---- names ---- */

static struct mu_jvar *find(struct mu_jscope *s, struct mu_str name)
{
    for (size_t i = s->n; i-- > 0;)
        if (s->vars[i].name.p == name.p)
            return &s->vars[i];
    return NULL;
}

int mu_j_set(struct mu_jin *J, struct mu_jscope *s, struct mu_str name, struct mu_jv v)
{
    struct mu_jvar *var = find(s, name);
    if (var) {
        var->value = v;
        return MU_OK;
    }
    if (s->n == s->cap) {
        size_t cap = s->cap ? s->cap * 2 : 8;
        struct mu_jvar *vars = mu_j_alloc(J, cap, sizeof *vars);
        MU_J_NEED(J, vars);
        if (s->n > 0)
            memcpy(vars, s->vars, s->n * sizeof *vars);
        s->vars = vars;
        s->cap = cap;
    }
    s->vars[s->n++] = (struct mu_jvar){name, v};
    return MU_OK;
}

void mu_j_capture(struct mu_jin *J)
{
    for (struct mu_jscope *s = J->scope; s; s = s->parent)
        s->is_captured = true;
}

/* A member of the context or a global function, converted when first asked for. */
static int lookup_given(struct mu_jin *J, struct mu_str name, struct mu_jv *out)
{
    const json_t *json = J->context ? json_object_getn(J->context, name.p, name.n) : NULL;
    const struct mu_jfn *fn = json ? NULL : mu_j_find(mu_j_globals, name);
    if (fn && ((fn->only == MU_J_CHAT && !J->t->o.chat) || (fn->only == MU_J_TASK && !J->t->o.task)))
        fn = NULL;
    if (json)
        MU_TRY_RETURN(mu_j_from_json(J, json, out));
    else if (fn)
        *out = (struct mu_jv){.t = J_FUNC, .fn = fn};
    else
        MU_TRY_RETURN(mu_j_undefined_name(J, name, out));
    return mu_j_set(J, &J->given, name, *out);
}

int mu_j_lookup(struct mu_jin *J, struct mu_str name, struct mu_jv *out)
{
    for (struct mu_jscope *s = J->scope; s; s = s->parent) {
        const struct mu_jvar *var = find(s, name);
        if (var) {
            *out = var->value;
            return MU_OK;
        }
    }
    return lookup_given(J, name, out);
}

/* ---- entry points ---- */

static void render_init(struct mu_jin *J, const struct mu_jinja *t, const json_t *context, const struct tm *now)
{
    J->t = t;
    J->context = context;
    J->now = now;
    J->arena = (struct mu_arena)MU_ARENA_INIT("the values of a template", MU_JINJA_MEMORY_MAX);
    J->out = (struct mu_buf)MU_BUF_INIT("the text of a template", MU_JINJA_OUTPUT_MAX);
    J->root.parent = &J->given;
    J->scope = &J->root;
    J->line = 1;
}

static int render_fini(struct mu_jin *J, int rc, struct mu_err *e)
{
    if (rc != MU_OK && e)
        *e = J->err;
    mu_buf_fini(&J->out);
    mu_arena_fini(&J->arena);
    return rc;
}

int mu_jinja_render(const struct mu_jinja *t, const json_t *context, const struct tm *now, struct mu_buf *out,
                    struct mu_err *e)
{
    struct mu_jin J = {0};
    int rc;

    render_init(&J, t, context, now);
    MU_TRY(mu_j_exec_body(&J, t->body));
    MU_TRY(mu_buf_add(out, J.out.p, J.out.n, &J.err));
out:
    return render_fini(&J, rc, e);
}

int mu_jinja_value(const struct mu_jinja *t, const json_t *context, const struct tm *now, json_t **out,
                   struct mu_err *e)
{
    struct mu_jin J = {0};
    struct mu_jv v;
    int rc;

    mu_json_init();
    render_init(&J, t, context, now);
    if (t->body && !t->body->next && t->body->kind == N_OUTPUT) {
        MU_TRY(mu_j_eval(&J, t->body->a, &v));
    } else {
        MU_TRY(mu_j_exec_body(&J, t->body));
        MU_TRY(mu_j_take(&J, 0, &v));
    }
    MU_TRY(mu_j_to_json(&J, &v, out));
out:
    return render_fini(&J, rc, e);
}
