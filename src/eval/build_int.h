/* build_int.h - between fields, prompts, shots and requests */
#ifndef MU_EVAL_BUILD_INT_H
#define MU_EVAL_BUILD_INT_H

#include "eval/build.h"
#include "eval/py/random.h"

/* ---- field.c ---- */

/* A field's value for a document, as the harness resolves it: the column, the rendered template (digits an int when the
 * task has choices; "[...]" a list for the target), the literal. columns: an object with the names of the evaluated
 * split's columns. doc_to_choice gives an array. Sentences begin with the field's name. */
int mu_field_text(const struct mu_task *t, const struct mu_field *f, const json_t *columns, const json_t *doc,
                  json_t **out, struct mu_err *e);
int mu_field_target(const struct mu_task *t, const struct mu_field *f, const json_t *columns, const json_t *doc,
                    json_t **out, struct mu_err *e);
int mu_field_choices(const struct mu_field *f, const json_t *columns, const json_t *doc, json_t **out,
                     struct mu_err *e);

/* A description or gen_prefix: replaces out; empty where the field is absent or null. A column is one of columns. */
int mu_field_plain(const struct mu_field *f, const json_t *columns, const json_t *doc, struct mu_buf *out,
                   struct mu_err *e);

/* Item i of an array as Python indexes it (negative from the end, booleans too); NULL when i is none or out of range.
 */
json_t *mu_py_item(const json_t *array, const json_t *i);

bool mu_py_is_int(const json_t *v); /* isinstance(v, int) */

/* ---- prompt.c ---- */

#define MU_PROMPT_BYTES_MAX ((size_t)64 << 20) /* one prompt; published ones stay below 1 MB */

/* One turn of a conversation. Written as plain text the delimiter follows it; a chat template does not see it. */
struct mu_turn {
    char *p; /* owned */
    size_t n;
    const char *delimiter; /* borrowed from the task */
};

/* A question and its answer, or what begins the answer (gen_prefix). */
struct mu_qa {
    struct mu_turn user, assistant;
    bool has_assistant;
};

/* question: a text. answer: NULL for the question that the model answers; a text, an index into choices (array or
 * NULL) or a list of texts. prefix: gen_prefix, empty for none. MU_EINVAL when they are not of these types. */
int mu_qa_make(struct mu_qa *qa, const json_t *question, const json_t *choices, const json_t *answer,
               struct mu_str prefix, const char *target_delimiter, const char *fewshot_delimiter, struct mu_err *e);
void mu_qa_fini(struct mu_qa *qa);
size_t mu_qa_bytes(const struct mu_qa *qa);

/* a and b joined, with the delimiter where neither has white space at the joint and none is empty. Appended. */
int mu_join(struct mu_buf *out, struct mu_str a, struct mu_str b, const char *delimiter, struct mu_err *e);

bool mu_ends_with_space(struct mu_str s); /* s[-1].isspace() */

struct mu_prompt {
    struct mu_str system; /* empty: none */
    const struct mu_qa *const *shot;
    int n_shots;
    const struct mu_qa *last;
    bool has_prefix; /* the document has a gen_prefix: the conversation ends inside the answer */
};

/* The context, appended to out: plain text, or through o's chat template. */
int mu_prompt_render(const struct mu_prompt *p, const struct mu_build_opts *o, struct mu_buf *out, struct mu_err *e);

/* ---- fewshot.c ---- */

/* The shots of one task: a pool of documents, a random stream, and the turns of documents drawn before. */
struct mu_shots {
    const struct mu_task *task;
    const json_t *columns; /* of the evaluated split */
    const json_t *pool;    /* array, borrowed */
    int n;                 /* shots a prompt */
    bool is_first_n;
    bool leaves_out; /* the evaluated document is not among its own shots */
    bool is_multiple_input;
    struct mu_pyrandom random;
    int64_t *drawn;          /* n + 1 indices */
    int64_t *others;         /* of the pool without the document; NULL: not needed yet */
    struct mu_qa **made;     /* by index in pool; NULL: not drawn yet */
    const struct mu_qa **qa; /* n: what mu_shots_draw() chose */
    size_t bytes;            /* of the turns in made */
};

int mu_shots_init(struct mu_shots *s, const struct mu_task *t, const json_t *columns, const json_t *pool, int n,
                  int64_t seed, bool is_multiple_input, struct mu_err *e);
void mu_shots_fini(struct mu_shots *s);

/* The shots of the next document into s->qa, consuming the stream. */
int mu_shots_draw(struct mu_shots *s, const json_t *doc, struct mu_err *e);

bool mu_py_equal(const json_t *a, const json_t *b); /* a == b in Python: 1 == 1.0 == True, dicts in any order */

/* ---- build_request.c ---- */

/* Equal texts are one: a table of those a work holds. */
struct mu_text_table {
    struct mu_text **slot; /* borrowed from requests; a power of two of them */
    uint64_t *hash;
    size_t n, n_slots;
    size_t bytes; /* of all different texts */
};

/* A text of the task's requests: one reference more for the caller. */
int mu_text_intern(struct mu_text_table *tt, struct mu_str s, struct mu_text **out, struct mu_err *e);
void mu_text_table_fini(struct mu_text_table *tt);

/* A work that grows: requests are put behind its last document. */
struct mu_builder {
    const struct mu_task *task;
    const struct mu_build_opts *o;
    struct mu_work *work;
    int cap_docs, cap_requests;
    struct mu_text_table texts;
    json_t *gen_kwargs;    /* GENERATE: the task's with the caller's laid over; owned */
    const char *delimiter; /* before the choices of multiple choice */
    bool has_mutual_info;  /* choices are asked without context too */
};

int mu_builder_init(struct mu_builder *b, const struct mu_task *t, const struct mu_build_opts *o, struct mu_err *e);
void mu_builder_fini(struct mu_builder *b); /* drops an unfinished work */

/* A document with what was made of it; references are taken over. */
int mu_builder_doc(struct mu_builder *b, int64_t id, json_t *doc, json_t *target, json_t *choices, json_t *text,
                   struct mu_err *e);

/* The requests of the last document. contexts: one, or one a choice for multiple inputs; NULL for ROLLING. */
int mu_builder_requests(struct mu_builder *b, const struct mu_buf *contexts, int n_contexts, struct mu_err *e);

/* One request as it is: texts may be NULL where the kind has none. */
int mu_builder_ask(struct mu_builder *b, enum mu_ask ask, const struct mu_str *context,
                   const struct mu_str *continuation, json_t *gen_kwargs, struct mu_err *e);

/* The right choice of multiple choice: a number or a text, or a list of them. */
int mu_gold_check(const json_t *gold, struct mu_err *e);

int mu_gen_kwargs_check(const json_t *kwargs, struct mu_err *e);

#endif
