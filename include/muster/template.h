/* template.h - Jinja2 templates: compile a text once, render it with values given as JSON
 *
 *     struct mu_template_opts o = MU_TEMPLATE_OPTS_INIT;
 *     mu_template_compile(&t, "Hello {{ name }}!", 17, &o, &err);
 *     mu_template_render(t, "{\"name\": \"you\"}", &text, &err);
 *     mu_template_text_free(text);
 *     mu_template_free(t);
 *
 * A compiled template never changes; any number of threads may render it at the same time. Two ways to render are
 * known: as Hugging Face transformers renders chat templates, and as lm-evaluation-harness renders task files. What
 * Jinja2 does is done the same way, or refused with a sentence "template NAME, line N: ...". Codes: MU_EFORMAT a
 * mistake in the template's text, MU_EINVAL an operation that fails on these values or raise_exception(),
 * MU_EUNSUPPORTED a part of Jinja2 that is not done (include, import), MU_ELIMIT too many steps, bytes or levels. */
#ifndef MUSTER_TEMPLATE_H
#define MUSTER_TEMPLATE_H

#include <stddef.h>

#include <muster/err.h>

typedef struct mu_template mu_template;

enum mu_template_mode {
    MU_TEMPLATE_CHAT, /* trimmed blocks, lenient undefined, sandboxed; raise_exception, strftime_now, break, continue */
    MU_TEMPLATE_TASK  /* blanks kept, strict undefined, regex_replace */
};

struct mu_template_opts {
    enum mu_template_mode mode;
    const char *name; /* in sentences; NULL: "text" */
};

#define MU_TEMPLATE_OPTS_INIT                                                                                          \
    {                                                                                                                  \
        .mode = MU_TEMPLATE_CHAT                                                                                       \
    }

/* source: n bytes of UTF-8, not kept. */
int mu_template_compile(mu_template **out, const char *source, size_t n, const struct mu_template_opts *o,
                        struct mu_err *e);
void mu_template_free(mu_template *t); /* NULL is fine */

/* context: a JSON object whose members are the variables, or NULL. *text: NUL-terminated UTF-8, the caller's to free
 * with mu_template_text_free(). */
int mu_template_render(const mu_template *t, const char *context, char **text, struct mu_err *e);
void mu_template_text_free(char *text); /* NULL is fine */

#endif
