/* jinja.h - Jinja2 templates: compiled once, rendered with a JSON context
 *
 * Chat templates of checkpoints and prompts of task files are Jinja2. A template is compiled to a tree that never
 * changes (any number of threads may render it at the same time) and rendered with the members of a JSON object as its
 * variables. Output and errors are those of Jinja2 3.1 for everything both can do; what differs is refused with a
 * sentence, never guessed: include, import and extends, autoescape, random and lipsum, integers beyond 64 bits.
 * Known differences: map, select and the like are computed at once, not item by item; upper() and lower() change
 * letter by letter (only the German sharp s grows); text marked safe is plain text.
 *
 * Sentences begin "template NAME, line N: ". Codes: MU_EFORMAT a mistake in the template's text, MU_EINVAL an operation
 * that fails on these values or raise_exception(), MU_EUNSUPPORTED see above, MU_ELIMIT a maximum below, MU_ENOMEM. */
#ifndef MU_TOK_JINJA_JINJA_H
#define MU_TOK_JINJA_JINJA_H

#include <stdbool.h>
#include <time.h>

#include <jansson.h>

#include "base/buf.h"
#include <muster/err.h>

/* Published templates are below 32 KB; prompts below 1 MB; a render takes some ten thousand steps. */
#define MU_JINJA_SOURCE_MAX      ((size_t)4 << 20)
#define MU_JINJA_OUTPUT_MAX      ((size_t)64 << 20)
#define MU_JINJA_MEMORY_MAX      ((size_t)256 << 20) /* values of one render; the tree of one template */
#define MU_JINJA_STEPS_MAX       ((int64_t)20000000) /* nodes visited, items looked at: a second or two */
#define MU_JINJA_DEPTH_MAX       400    /* nested expressions, blocks, calls, values: within 8 MB of stack */
#define MU_JINJA_PARSE_DEPTH_MAX 100    /* the same while reading the text */
#define MU_JINJA_RANGE_MAX       100000 /* as Jinja2's sandbox */

struct mu_jinja_opts {
    const char *name;           /* in sentences; copied */
    bool trim_blocks;           /* a newline after %} is dropped */
    bool lstrip_blocks;         /* blanks before {% at the start of a line are dropped */
    bool keep_trailing_newline; /* of the template */
    bool strict_undefined;      /* a name that is not there may only be tested with `is defined` */
    bool sandbox;               /* lists and dicts cannot be changed, long ranges are refused */
    bool chat; /* {% break %}, {% continue %}, {% generation %}; raise_exception, strftime_now; tojson is json.dumps */
    bool task; /* the filter regex_replace(pattern, replacement, count) */
};

/* As Hugging Face transformers renders chat templates, and as lm-evaluation-harness renders task files. */
#define MU_JINJA_CHAT(name_)                                                                                           \
    {                                                                                                                  \
        .name = (name_), .trim_blocks = true, .lstrip_blocks = true, .sandbox = true, .chat = true                     \
    }
#define MU_JINJA_TASK(name_)                                                                                           \
    {                                                                                                                  \
        .name = (name_), .keep_trailing_newline = true, .strict_undefined = true, .task = true                         \
    }

struct mu_jinja;

int mu_jinja_compile(struct mu_jinja **out, struct mu_str source, const struct mu_jinja_opts *o, struct mu_err *e);
void mu_jinja_free(struct mu_jinja *t); /* NULL is fine */

/* Append the text to out. context: an object, borrowed, or NULL for no variables. now: what strftime_now() tells;
 * NULL asks the machine for its local time. On failure out is as it was. */
int mu_jinja_render(const struct mu_jinja *t, const json_t *context, const struct tm *now, struct mu_buf *out,
                    struct mu_err *e);

/* The value of a template that is one expression, `{{ ... }}` and nothing else, as JSON; else the text as a JSON
 * string. Undefined is null, or an error when strict. The caller drops *out with json_decref(). */
int mu_jinja_value(const struct mu_jinja *t, const json_t *context, const struct tm *now, json_t **out,
                   struct mu_err *e);

#endif
