/* answer.h - what a server says, read with suspicion
 *
 * Every number is checked before it counts: a log-probability is finite or minus infinity and not above 0, a token
 * named by id is the one that was sent, no list is longer than was asked for. Sentences begin in the middle ("the
 * answer
 * ..."): who asked puts the server's name before them. */
#ifndef MU_ENGINE_REMOTE_ANSWER_H
#define MU_ENGINE_REMOTE_ANSWER_H

#include "base/json.h"
#include "engine/remote/request.h"

#define MU_ANSWER_LOGPROB_MIN  (-9999.0) /* what servers write for minus infinity: vLLM's, and ours */
#define MU_ANSWER_SENTENCE_MAX 300       /* bytes of a server's own sentence that are passed on */
#define MU_ANSWER_NAMES_MAX    500       /* and of the names of its models */

/* Bytes an answer may have: a position and each alternative of it take a name, a number and what joins them. */
size_t mu_answer_bytes_max(int64_t n_positions, int n_top);

int mu_answer_parse(json_t **out, struct mu_str body, struct mu_err *e); /* an object, or MU_EFORMAT */

/* The sentence of a refusal, in whichever of the usual places it is, cleaned of control characters. True: it was in
 * such a place, and is not just what the body begins with. */
bool mu_answer_complaint(struct mu_str body, char out[MU_ANSWER_SENTENCE_MAX]);

/* ---- scores ---- */

struct mu_scored {
    double sum, last; /* of the reported tokens; of the last of them */
    bool is_greedy;   /* all of them, the last included */
};

/* The log-probabilities of t's tokens from t->first on. to: where each goes, or NULL; its top lists are made
 * where n_top > 0, with id -1 where the server does not say which token it means. MU_EUNSUPPORTED: the answer is sound
 * and says nothing about the prompt's tokens, another form may do better. */
int mu_answer_scores(const json_t *answer, enum mu_score_form form, const struct mu_score_text *t, int n_top,
                     const struct mu_logprob_arrays *to, struct mu_scored *out, struct mu_err *e);

/* ---- generation ---- */

/* One choice, whole, or a piece of it from a stream. Borrowed from the answer. */
struct mu_generated {
    struct mu_str text;
    enum mu_finish finish; /* MU_FINISH_NONE: goes on */
    int n;                 /* tokens; 0 with text: the server does not tell them */
    bool has_ids, has_logprobs;
    int n_prompt_cached;
    int64_t n_prompt;             /* tokens the server read; -1: not told */
    const json_t *ids, *logprobs; /* the lists that tell of tokens */
    const json_t *list;           /* or one of objects, as chat has it and llama.cpp everywhere; else NULL */
};

/* n_max: tokens asked for. */
int mu_answer_generated(const json_t *answer, int n_max, struct mu_generated *out, struct mu_err *e);

/* Token i of it. *logprob is NaN when the server does not tell. top as in struct mu_logprobs; NULL when not wanted. */
int mu_generated_token(const struct mu_generated *g, int i, int32_t *id, double *logprob, bool *is_greedy,
                       struct mu_token_logprob *top, int n_top, struct mu_err *e);

/* ---- the models ---- */

struct mu_answer_model {
    const char *name, *root;          /* root: what the server loaded, or "" */
    int64_t context;                  /* 0: not told */
    bool is_ours;                     /* `muster serve` */
    bool is_llamacpp;                 /* which tells its context elsewhere */
    char others[MU_ANSWER_NAMES_MAX]; /* the model is not in the list, which has these; "": it is */
};

/* The answer of GET /v1/models: the model of this name, or the only one when it is NULL. Borrowed from the answer. A
 * name may be missing from the list and known all the same (transformers lists what it has cached, proxies what they
 * were told): see others. MU_ENOENT names those there are; MU_EFORMAT: not a list of models. */
int mu_answer_model(const json_t *answer, const char *name, struct mu_answer_model *out, struct mu_err *e);

/* The context of one request in the answer of llama.cpp's GET /props; 0: not told. */
int64_t mu_answer_props_context(const json_t *answer);

#endif
