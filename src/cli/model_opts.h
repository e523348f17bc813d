/* model_opts.h - the options by which every command opens a model, and the opening itself */
#ifndef MU_CLI_MODEL_OPTS_H
#define MU_CLI_MODEL_OPTS_H

#include <muster/engine.h>
#include <muster/tokenizer.h>

#include "cli/opt.h"
#include "comm/comm.h"
#include "cli/progress.h"
#include "plan/machine.h"

#define MU_SESSION_KEY_MAX 65 /* SHA-256 in hexadecimal */

struct mu_model_args {
    const char *model, *tokenizer, *dtype, *weights, *kv_dtype, *mla, *level, *layout, *cluster;
    int64_t threads, batch_size, batch_tokens, context, ranks;
    uint64_t max_memory;
    bool no_prefix_sharing, quiet;
    const char *endpoint, *endpoint_model, *endpoint_hash, *api_key_file, *engine;
    int64_t concurrency, redundant_experts;
    const char *expert_loads, *write_expert_loads, *weights_from;
    struct mu_engine_work work;     /* no options, these two: what the command knows of its requests, */
    uint64_t request_bytes;         /* and the memory they may take; 0: the engine's own choice */
    bool will_score, will_generate; /* no option: what an endpoint must be able to do */
};

#define MU_MODEL_ARGS_INIT                                                                                             \
    {                                                                                                                  \
        .dtype = "f32"                                                                                                 \
    }

/* A session that many evaluations have one after another (session_keep.c). */
struct mu_session_keep {
    bool is_on;
    char text_key[MU_SESSION_KEY_MAX]; /* of what the tokenizer was opened from; "": nothing the same can be said of */
    char engine_key[MU_SESSION_KEY_MAX]; /* of the engine's options */
    struct mu_engine_work work;          /* what the cache is for; longest 0: any request of the context */
    int n_calls;                         /* engines that the other ranks were called for */
    double load_s;                       /* that opening engines took, since the caller set it to 0 */
};

/* A model with its tokenizer, open. */
struct mu_session {
    struct mu_comm *world; /* NULL: one rank */
    bool is_over;          /* this process was a guardian or a rank that followed: the command has nothing left to do */
    bool has_asked;        /* the other ranks know that an engine is wanted */
    struct mu_device *device;
    mu_tokenizer *tok; /* NULL when the checkpoint has none and the command can do without */
    mu_engine *eng;
    struct mu_progress progress;
    struct mu_machine machine; /* as it was calibrated; has_machine: it was */
    bool has_machine;
    const char *write_expert_loads; /* the file asked for, or NULL */
    bool quiet;
    struct mu_session_keep keep;
};

/* A server that computes in place of this machine; the last of the table below. */
#define MU_ENDPOINT_OPTS(base)                                                                                         \
    {MU_OPT_TEXT,                                                                                                      \
     "endpoint",                                                                                                       \
     0,                                                                                                                \
     (base) + offsetof(struct mu_model_args, endpoint),                                                                \
     "URL",                                                                                                            \
     .help = "Let this OpenAI-compatible server compute, or service:NAME (muster serve --service); of "                \
             "--model only the tokenizer is used."},                                                                   \
        {MU_OPT_TEXT,                                                                                                  \
         "endpoint-model",                                                                                             \
         0,                                                                                                            \
         (base) + offsetof(struct mu_model_args, endpoint_model),                                                      \
         "NAME",                                                                                                       \
         .help = "The name the server knows the model by.",                                                            \
         .dflt = "the only one it has"},                                                                               \
        {MU_OPT_TEXT, "endpoint-hash",                                                                                 \
         0,           (base) + offsetof(struct mu_model_args, endpoint_hash),                                          \
         "HASH",      .help = "Ask a service only while its weights have this hash, or one that begins so."},          \
        {MU_OPT_TEXT,                                                                                                  \
         "api-key-file",                                                                                               \
         0,                                                                                                            \
         (base) + offsetof(struct mu_model_args, api_key_file),                                                        \
         "FILE",                                                                                                       \
         .help = "Take the server's key from this file.",                                                              \
         .dflt = "$OPENAI_API_KEY"},                                                                                   \
        {MU_OPT_INT,                                                                                                   \
         "concurrency",                                                                                                \
         0,                                                                                                            \
         (base) + offsetof(struct mu_model_args, concurrency),                                                         \
         "N",                                                                                                          \
         .lo = 0,                                                                                                      \
         .hi = MU_CONCURRENCY_MAX,                                                                                     \
         .help = "Requests to the server at a time.",                                                                  \
         .dflt = "8"},                                                                                                 \
    {                                                                                                                  \
        MU_OPT_TEXT, "engine", 0, (base) + offsetof(struct mu_model_args, engine), "NAME",                             \
            .choices = "auto|light|distributed|remote", .help = "The engine to use.", .dflt = "auto"                   \
    }

/* The table, for a field of type struct mu_model_args at `base` in the command's struct. */
#define MU_MODEL_OPTS(base)                                                                                            \
    {MU_OPT_TEXT, "model",                                                                                             \
     'm',         (base) + offsetof(struct mu_model_args, model),                                                      \
     "PATH",      .help = "The model: a checkpoint folder, a .safetensors or a .gguf file."},                          \
        MU_MODEL_OPTS_UNNAMED(base)

/* The same but for --model itself. */
#define MU_MODEL_OPTS_UNNAMED(base)                                                                                    \
    {MU_OPT_TEXT,                                                                                                      \
     "tokenizer",                                                                                                      \
     0,                                                                                                                \
     (base) + offsetof(struct mu_model_args, tokenizer),                                                               \
     "PATH",                                                                                                           \
     .help = "Tokenizer folder or file.",                                                                              \
     .dflt = "the model's own"},                                                                                       \
        {MU_OPT_TEXT,                                                                                                  \
         "weights",                                                                                                    \
         0,                                                                                                            \
         (base) + offsetof(struct mu_model_args, weights),                                                             \
         "FORMAT",                                                                                                     \
         .choices = "f32|bf16|f16|int8|int4",                                                                          \
         .help = "Hold the weights in this format, quantising while loading.",                                         \
         .dflt = "the checkpoint's own"},                                                                              \
        {MU_OPT_TEXT,                                                                                                  \
         "dtype",                                                                                                      \
         0,                                                                                                            \
         (base) + offsetof(struct mu_model_args, dtype),                                                               \
         "TYPE",                                                                                                       \
         .choices = "f32",                                                                                             \
         .help = "Compute in this type; sums and activations are f32 on the CPU.",                                     \
         .dflt = "f32"},                                                                                               \
        {MU_OPT_TEXT,                                                                                                  \
         "kv-dtype",                                                                                                   \
         0,                                                                                                            \
         (base) + offsetof(struct mu_model_args, kv_dtype),                                                            \
         "TYPE",                                                                                                       \
         .choices = "f32|bf16|f16|int8",                                                                               \
         .help = "Hold the KV cache in this type; int8 in groups of 32 with a scale each.",                            \
         .dflt = "f32"},                                                                                               \
        {MU_OPT_TEXT,                                                                                                  \
         "mla",                                                                                                        \
         0,                                                                                                            \
         (base) + offsetof(struct mu_model_args, mla),                                                                 \
         "FORM",                                                                                                       \
         .choices = "absorbed|naive",                                                                                  \
         .help = "Latent attention (DeepSeek): cache the latent, or expanded keys and values.",                        \
         .dflt = "absorbed"},                                                                                          \
        {MU_OPT_TEXT,                                                                                                  \
         "level",                                                                                                      \
         0,                                                                                                            \
         (base) + offsetof(struct mu_model_args, level),                                                               \
         "LEVEL",                                                                                                      \
         .choices = "auto|avx512|avx2|ref",                                                                            \
         .help = "CPU code to use; all give the same bits.",                                                           \
         .dflt = "the best this CPU has"},                                                                             \
        {MU_OPT_INT,                                                                                                   \
         "threads",                                                                                                    \
         't',                                                                                                          \
         (base) + offsetof(struct mu_model_args, threads),                                                             \
         "N",                                                                                                          \
         .lo = 0,                                                                                                      \
         .hi = 1024,                                                                                                   \
         .help = "Threads.",                                                                                           \
         .dflt = "the cores this process may use"},                                                                    \
        {MU_OPT_INT,                                                                                                   \
         "ranks",                                                                                                      \
         0,                                                                                                            \
         (base) + offsetof(struct mu_model_args, ranks),                                                               \
         "N",                                                                                                          \
         .lo = 0,                                                                                                      \
         .hi = MU_COMM_RANKS_MAX,                                                                                      \
         .help = "Run on this many processes, started here by mpirun unless a launcher did.",                          \
         .dflt = "as many as mpirun or srun started, else 1"},                                                         \
        {MU_OPT_TEXT,                                                                                                  \
         "layout",                                                                                                     \
         0,                                                                                                            \
         (base) + offsetof(struct mu_model_args, layout),                                                              \
         "LAYOUT",                                                                                                     \
         .help = "How ranks share the model, such as tp=4,pp=2,dp=1,ep=1; the results are the same.",                  \
         .dflt = "auto: the planner's, as muster plan shows it"},                                                      \
        {MU_OPT_TEXT,                                                                                                  \
         "weights-from",                                                                                               \
         0,                                                                                                            \
         (base) + offsetof(struct mu_model_args, weights_from),                                                        \
         "SOURCE",                                                                                                     \
         .choices = "auto|peer|file",                                                                                  \
         .help = "On many nodes: read each part of the weights once and send it (peer), or once a node (file).",       \
         .dflt = "auto: peer where all nodes see the same files"},                                                     \
        {MU_OPT_TEXT,                                                                                                  \
         "cluster",                                                                                                    \
         0,                                                                                                            \
         (base) + offsetof(struct mu_model_args, cluster),                                                             \
         "FILE",                                                                                                       \
         .help = "What this machine does, for choosing a layout and predicting times.",                                \
         .dflt = "what muster calibrate kept, else guessed"},                                                          \
        {MU_OPT_INT,                                                                                                   \
         "redundant-experts",                                                                                          \
         0,                                                                                                            \
         (base) + offsetof(struct mu_model_args, redundant_experts),                                                   \
         "N",                                                                                                          \
         .lo = 0,                                                                                                      \
         .hi = MU_REDUNDANT_MAX,                                                                                       \
         .help = "Copies a layer beyond one of each expert, for ranks that share experts (ep).",                       \
         .dflt = "0"},                                                                                                 \
        {MU_OPT_TEXT,                                                                                                  \
         "expert-loads",                                                                                               \
         0,                                                                                                            \
         (base) + offsetof(struct mu_model_args, expert_loads),                                                        \
         "FILE",                                                                                                       \
         .help = "Place experts on ranks by these counts, as --write-expert-loads wrote them.",                        \
         .dflt = "even blocks"},                                                                                       \
        {MU_OPT_TEXT, "write-expert-loads",                                                                            \
         0,           (base) + offsetof(struct mu_model_args, write_expert_loads),                                     \
         "FILE",      .help = "Write how many rows each expert computed, at the end of the run."},                     \
        {MU_OPT_INT,                                                                                                   \
         "context",                                                                                                    \
         'c',                                                                                                          \
         (base) + offsetof(struct mu_model_args, context),                                                             \
         "N",                                                                                                          \
         .lo = 0,                                                                                                      \
         .hi = 1e9,                                                                                                    \
         .help = "Longest prompt and output together, in tokens.",                                                     \
         .dflt = "what the model allows and memory holds"},                                                            \
        {MU_OPT_INT,                                                                                                   \
         "batch-size",                                                                                                 \
         'b',                                                                                                          \
         (base) + offsetof(struct mu_model_args, batch_size),                                                          \
         "N",                                                                                                          \
         .lo = 0,                                                                                                      \
         .hi = MU_ENGINE_SEQUENCES_MAX,                                                                                \
         .help = "Requests computed at a time.",                                                                       \
         .dflt = "auto: chosen inside the memory",                                                                     \
         .takes_auto = true},                                                                                          \
        {MU_OPT_INT,                                                                                                   \
         "batch-tokens",                                                                                               \
         0,                                                                                                            \
         (base) + offsetof(struct mu_model_args, batch_tokens),                                                        \
         "N",                                                                                                          \
         .lo = 0,                                                                                                      \
         .hi = MU_ENGINE_ROWS_MAX,                                                                                     \
         .help = "Tokens computed in one step.",                                                                       \
         .dflt = "chosen inside the memory"},                                                                          \
        {MU_OPT_SIZE,                                                                                                  \
         "max-memory",                                                                                                 \
         0,                                                                                                            \
         (base) + offsetof(struct mu_model_args, max_memory),                                                          \
         "SIZE",                                                                                                       \
         .help = "Refuse to take more memory than this, such as 12GB.",                                                \
         .dflt = "nine tenths of what is free"},                                                                       \
        {MU_OPT_FLAG, "no-prefix-sharing", 0, (base) + offsetof(struct mu_model_args, no_prefix_sharing),              \
         .help = "Compute common beginnings of prompts anew for each; the results are the same."},                     \
        {MU_OPT_FLAG, "quiet", 'q', (base) + offsetof(struct mu_model_args, quiet),                                    \
         .help = "Do not print the memory bill and progress."},                                                        \
        MU_ENDPOINT_OPTS(base)

/* Starts or joins the ranks that are asked for, before anything else. On all but rank 0 it follows rank 0's engine to
 * its end; there and in a guardian s->is_over is set, and what it returns is the command's result (a failure without a
 * sentence was told by another process). */
int mu_session_join(struct mu_session *s, const struct mu_model_args *args, struct mu_err *e);

/* For models that come one after another, `muster work`: ranks by args->ranks or args->layout, no model named yet. All
 * but rank 0 follow each engine that rank 0 opens until it closes the session. Tokenizer and engine then stay open
 * until the options or the files that decide them are others, the two calls below find them so. The engine has room for
 * any request of its context, not only for those of the task at hand; where memory does not hold that, for these alone,
 * and it is opened anew for a task that needs more. One that is to write its experts' loads counts from its start, so
 * it is never shared. */
int mu_session_join_kept(struct mu_session *s, const struct mu_model_args *args, struct mu_err *e);
/* MU_EUSAGE: a model of another number of ranks than the session's. */
int mu_session_check_ranks(const struct mu_session *s, const struct mu_model_args *args, struct mu_err *e);
/* After a failure: the engine or the ranks are of no use any more. Nothing is in flight. */
bool mu_session_is_broken(const struct mu_session *s);

/* Open tokenizer and engine; joins first unless that is done. needs_tok: a missing tokenizer is an error. Closes what
 * it opened on failure. */
int mu_session_open(struct mu_session *s, const struct mu_model_args *args, bool needs_tok, struct mu_err *e);
void mu_session_close(struct mu_session *s);

/* The same in two steps, for work on texts that comes before the weights are read. */
int mu_session_open_tokenizer(struct mu_session *s, const struct mu_model_args *args, bool needs_tok, struct mu_err *e);
int mu_session_open_engine(struct mu_session *s, const struct mu_model_args *args, struct mu_err *e);

/* What the arguments say of the engine; device, tokenizer and callbacks are the opener's. */
struct mu_engine_opts mu_session_engine_opts(const struct mu_model_args *args);

/* The next result (the caller's), NULL when nothing is in flight. MU_ECANCELED after an interrupt: what is in flight
 * stays so. */
int mu_session_poll(struct mu_session *s, struct mu_result **out, struct mu_err *e);

/* The file of --write-expert-loads, if it is wanted. Call when all is done, before the report. */
int mu_session_write_expert_loads(struct mu_session *s, struct mu_err *e);

/* Predicted against measured, time and memory, on standard error unless quiet. Call before closing. */
void mu_session_report(const struct mu_session *s);

/* The most memory that any one rank has held; the engine is open. */
uint64_t mu_session_peak_bytes(const struct mu_session *s);

/* The path must name something that holds weights: a preset's name gets the sentence that says so. */
int mu_model_path_check(const char *path, struct mu_err *e);

#endif
