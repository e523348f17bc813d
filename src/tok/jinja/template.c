/* template.c - the public face: JSON text in, text out */
#include <muster/template.h>

#include "base/check.h"
#include "base/json.h"
#include "base/mem.h"
#include "tok/jinja/jinja.h"

/* The handle is the compiled template itself. */
static const struct mu_jinja *jinja_of(const mu_template *t)
{
    return (const struct mu_jinja *)t;
}

int mu_template_compile(mu_template **out, const char *source, size_t n, const struct mu_template_opts *o,
                        struct mu_err *e)
{
    struct mu_jinja_opts chat = MU_JINJA_CHAT(o->name), task = MU_JINJA_TASK(o->name);
    struct mu_jinja *t;
    MU_TRY_RETURN(mu_jinja_compile(&t, (struct mu_str){source, n}, o->mode == MU_TEMPLATE_TASK ? &task : &chat, e));
    *out = (mu_template *)t;
    return MU_OK;
}

void mu_template_free(mu_template *t)
{
    mu_jinja_free((struct mu_jinja *)t);
}

int mu_template_render(const mu_template *t, const char *context, char **text, struct mu_err *e)
{
    struct mu_buf out = MU_BUF_INIT("the text of a template", MU_JINJA_OUTPUT_MAX);
    json_t *json = NULL;
    int rc = MU_OK;

    if (context)
        MU_TRY(mu_json_parse(&json, mu_str(context), "template context", e));
    if (json && !json_is_object(json)) {
        rc = mu_fail(e, MU_EFORMAT, "template context: an object is needed");
        goto out;
    }
    MU_TRY(mu_jinja_render(jinja_of(t), json, NULL, &out, e));
    MU_TRY(mu_buf_reserve(&out, 1, e)); /* also an empty text is a string */
    *text = mu_buf_take(&out);
out:
    json_decref(json);
    mu_buf_fini(&out);
    return rc;
}

void mu_template_text_free(char *text)
{
    mu_free(text);
}
