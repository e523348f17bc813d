/* control.h - asking a running campaign: a unix socket in its output folder
 *
 * A client sends one line of JSON and is sent one back; then the connection ends:
 *
 *   {"action": "cancel", "tasks": ["llama-7b/mmlu"]}   actions: enum mu_control_action. tasks: patterns as in the
 *   {"action": "priority", "tasks": ["*"], "priority": "high"}                   campaign's file (docs/campaigns.md)
 *   {"ok": true, "sentence": "3 tasks cancelled", ...}
 *   {"ok": false, "code": "EINVAL", "error": "..."}    code: of include/muster/err.h
 *
 * Who may: the socket is made with mode 0600 and the kernel is asked who is at the other end (SO_PEERCRED): the same
 * user, or root. A client asks the same of who listens: its own user, root, or the owner of the log. Nothing listens on
 * a network. The socket is reached through the folder's descriptor, so a folder's path may be longer than the 108 bytes
 * of an address (unix(7)).
 *
 * No client holds the server up: it never waits, has a few seats, and gives each a few seconds from its coming to its
 * going. The server is one thread's. */
#ifndef MU_SCHED_CONTROL_H
#define MU_SCHED_CONTROL_H

#include "base/clock.h"
#include "base/json.h"
#include "sched/priority.h"
#include "sched/state.h"

#define MU_CONTROL_SOCKET       "control.sock"
#define MU_CONTROL_CLIENTS_MAX  8                 /* at a time; others wait to be let in */
#define MU_CONTROL_LINE_MAX     ((size_t)1 << 16) /* bytes of a request, its end not counted */
#define MU_CONTROL_ANSWER_MAX   ((size_t)4 << 20)
#define MU_CONTROL_PATTERNS_MAX 16
#define MU_CONTROL_CLIENT_NS    5000000000ll  /* a client is gone by then, answered or not */
#define MU_CONTROL_ANSWER_NS    60000000000ll /* an orchestrator that ends has no time for clients for half a minute */

/* X(name, word) */
#define MU_CONTROL_MAP(X)                                                                                              \
    X(STATUS, "status")                                                                                                \
    X(PAUSE, "pause")   /* nothing new starts; what runs goes on */                                                    \
    X(RESUME, "resume") /* */                                                                                          \
    X(CANCEL, "cancel") /* the tasks, or with none named the whole campaign: what runs is stopped */                   \
    X(PRIORITY, "priority")

enum mu_control_action {
#define MU_CONTROL_ENUM(name, word) MU_CONTROL_##name,
    MU_CONTROL_MAP(MU_CONTROL_ENUM)
#undef MU_CONTROL_ENUM
        MU_CONTROL_ACTIONS
};

const char *mu_control_word(int action); /* "pause"; "?" */
int mu_control_find(const char *word);   /* -1: no such action */

/* ---- requests (control_request.c) ---- */

struct mu_control_request {
    enum mu_control_action action;
    enum mu_priority priority; /* PRIORITY */
    const char *pattern[MU_CONTROL_PATTERNS_MAX];
    int n_patterns;
    json_t *tree; /* owned: what the patterns lie in; NULL where they are the caller's */
};

/* MU_EFORMAT: no such line; MU_EINVAL: what it asks for makes no sense. *out is empty then. */
int mu_control_request_parse(struct mu_control_request *out, struct mu_str line, struct mu_err *e);
int mu_control_request_check(const struct mu_control_request *r, struct mu_err *e);
int mu_control_request_print(struct mu_buf *out, const struct mu_control_request *r,
                             struct mu_err *e); /* with its end */
void mu_control_request_fini(struct mu_control_request *r);

/* An answer's line: MU_OK and the tree, or the failure that it tells of. */
int mu_control_answer_parse(json_t **out, struct mu_str line, struct mu_err *e);

/* ---- what follows from one (control_decide.c) ---- */

/* Events to append. Pure: no file, no clock. */
struct mu_control_change {
    struct mu_event *ev; /* n, owned */
    int32_t n;
    int32_t n_tasks;    /* that change */
    char sentence[200]; /* for people */
};

/* None is fine: what is asked for twice is done once, and what has ended is neither paused nor cancelled. MU_EINVAL: a
 * pattern names no task, or the campaign is cancelled and cannot be resumed. STATUS changes nothing. */
int mu_control_decide(struct mu_control_change *out, const struct mu_state *s, const struct mu_control_request *r,
                      struct mu_err *e);
void mu_control_change_fini(struct mu_control_change *c);

/* The tasks that a request's patterns name, as is_hit[s->n_tasks]; all where it has none. */
int mu_control_match(bool *is_hit, const struct mu_state *s, const struct mu_control_request *r, struct mu_err *e);

/* What an answer says of the campaign besides: campaign, tasks, left, states. */
int mu_control_describe(json_t *answer, const struct mu_state *s, const struct mu_control_change *c, struct mu_err *e);

/* ---- the server (control.c) ---- */

struct mu_control;

/* A socket of one that was killed is replaced. clock is borrowed. */
int mu_control_open(struct mu_control **out, const char *folder, struct mu_clock *clock, struct mu_err *e);
void mu_control_close(struct mu_control *c); /* and takes the socket away, if it is still its own; NULL is fine */

/* Does what is asked for and adds to the answer; what it returns other than MU_OK is told to the client. */
typedef int mu_control_fn(void *arg, const struct mu_control_request *r, json_t *answer, struct mu_err *e);

/* Lets clients in, reads, answers: what can be done now. Never waits. NULL is fine. */
void mu_control_serve(struct mu_control *c, mu_control_fn *fn, void *arg);

/* ---- clients (control_ask.c) ---- */

/* Asks who runs the campaign in the folder. MU_EPEER: nobody answers there. MU_ETIMEDOUT: not within timeout_ns.
 * *answer is the caller's. */
int mu_control_ask(json_t **answer, const char *folder, const struct mu_control_request *r, int64_t timeout_ns,
                   struct mu_err *e);

/* The same of a campaign that nobody runs: owns its log for a moment and writes the events. MU_EPEER: somebody owns it,
 * and says who and where. */
int mu_control_write(json_t **answer, const char *folder, const struct mu_control_request *r, struct mu_err *e);

/* One way or the other. */
int mu_control_do(json_t **answer, const char *folder, const struct mu_control_request *r, struct mu_err *e);

/* Through the folder's descriptor: an address for any length of path. The descriptor is the caller's to close, -1 on
 * failure. */
struct sockaddr_un;
int mu_control_address(struct sockaddr_un *a, int *folder_fd, const char *folder, struct mu_err *e);

#endif
