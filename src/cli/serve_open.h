/* serve_open.h - the models of `muster serve` when there are several: their names, what each takes, opening one
 *
 *     struct mu_serve_opener x = {.opts = ...};
 *     mu_serve_opener_add(&x, "small=models/muster-llama-tiny", &err); ...
 *     mu_serve_opener_check(&x, &err);
 *     struct mu_resident_opts o = {.ops = &mu_serve_opener_ops, .arg = &x, .bytes_max = x.bytes_max};
 *
 * An entry's limits (context, rows, sequences, cache) are chosen as if it were alone with those that are kept, and an
 * open takes just that: a model's size does not depend on which others are open. */
#ifndef MU_CLI_SERVE_OPEN_H
#define MU_CLI_SERVE_OPEN_H

#include "dash/serve.h"
#include "engine/resident/engine.h"

/* The chat template of a model, and its source. */
struct mu_serve_chat {
    struct mu_chat *chat; /* NULL: none */
    struct mu_buf source; /* empty: none */
};

/* template_path: NULL for the model's own, which it need not have. */
int mu_serve_chat_open(struct mu_serve_chat *c, const char *model, const char *template_path, const mu_tokenizer *tok,
                       struct mu_err *e);
void mu_serve_chat_close(struct mu_serve_chat *c);

struct mu_serve_entry {
    char name[MU_RESIDENT_NAME_MAX];
    const char *path; /* borrowed */
    bool is_kept;
    bool is_preloaded; /* opened before anybody asks; those that are kept are */
    size_t text_bytes; /* of tokenizer and template */
    size_t kept_bytes; /* of the kept ones that come before it */
    struct mu_resident_size size;
};

struct mu_serve_opener {
    struct mu_engine_opts opts; /* of every engine, but for model, tokenizer and memory */
    size_t process_bytes_max;   /* 0: what the machine has */
    size_t bytes_max;           /* of all models together; 0: no limit */
    bool quiet;
    int n;
    struct mu_serve_entry entry[MU_RESIDENTS_MAX];
};

/* "NAME=PATH", or a path whose last part is the name. Returns the path, a part of text. */
int mu_serve_name_split(const char *text, char name[MU_RESIDENT_NAME_MAX], const char **path, struct mu_err *e);

int mu_serve_opener_add(struct mu_serve_opener *x, const char *text, struct mu_err *e);
/* By name; "all" is every one. */
int mu_serve_opener_keep(struct mu_serve_opener *x, const char *name, struct mu_err *e);
int mu_serve_opener_preload(struct mu_serve_opener *x, const char *name, struct mu_err *e);
/* Whether each could be opened: tokenizer, template, headers, memory. */
int mu_serve_opener_check(struct mu_serve_opener *x, struct mu_err *e);

extern const struct mu_resident_ops mu_serve_opener_ops; /* models are struct mu_serve_model */

#endif
