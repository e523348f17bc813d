/* chat.h - conversations to prompt text by the chat template a checkpoint brings
 *
 * The template is, in this order: chat_template.jinja in the checkpoint's folder, "chat_template" of
 * tokenizer_config.json (a text, or a list of named ones), or a text handed in (GGUF's tokenizer.chat_template). It is
 * rendered as transformers' apply_chat_template does. A chat never changes after open: threads may share it. */
#ifndef MU_TOK_CHAT_H
#define MU_TOK_CHAT_H

#include <stdbool.h>
#include <time.h>

#include <jansson.h>

#include "base/buf.h"
#include <muster/err.h>

struct mu_chat;

/* The template of a checkpoint's folder. name: which of several, NULL for "default" ("tool_use" is taken by itself when
 * tools are given and it is there). MU_ENOENT when the checkpoint has none. */
int mu_chat_load(struct mu_chat **out, const char *dir, const char *name, struct mu_err *e);

/* A template's text; special: an object of strings by name (bos_token, eos_token, ...), may be NULL. where: in
 * sentences. */
int mu_chat_from_text(struct mu_chat **out, struct mu_str text, const json_t *special, const char *where,
                      struct mu_err *e);
void mu_chat_close(struct mu_chat *c); /* NULL is fine */

struct mu_chat_opts {
    bool add_generation_prompt;  /* end with the words that begin an answer */
    bool continue_final_message; /* end inside the last message, so that the model goes on with it */
    const json_t *tools;         /* array of JSON schemas, or NULL */
    const json_t *documents;     /* array of objects, or NULL */
    const json_t *variables;     /* object: more variables for the template (enable_thinking, ...), or NULL */
    const struct tm *now;        /* for templates that tell the date; NULL: the machine's */
};

/* Append the prompt to out. messages: an array of objects with role and content (a text, or a list of parts
 * {"type": "text", "text": ...}), borrowed. MU_EINVAL when the template refuses them. */
int mu_chat_render(const struct mu_chat *c, const json_t *messages, const struct mu_chat_opts *o, struct mu_buf *out,
                   struct mu_err *e);

/* The template's text, as long as the chat lives. */
const char *mu_chat_text(const struct mu_chat *c);

#endif
