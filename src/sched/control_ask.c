/* control_ask.c - the client's side of a control socket, and what it does where nobody listens (control.h) */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"
#include "base/file.h"
#include "base/mem.h"
#include "sched/control.h"
#include "sched/orchestrate.h"
#include "sched/state_log.h"

#define PATH_BYTES  ((size_t)4096)
#define CHUNK_BYTES 16384
#define AGAIN_MS    20 /* while its line of those who wait is full */

/* ---- asking ---- */

static int fail_late(const char *folder, struct mu_err *e)
{
    return mu_fail(e, MU_ETIMEDOUT, "%s/%s: whoever runs the campaign gives no answer", folder, MU_CONTROL_SOCKET);
}

static int fail_nobody(const char *folder, int error, struct mu_err *e)
{
    return mu_fail(e, MU_EPEER, "%s/%s: nobody answers there: %s", folder, MU_CONTROL_SOCKET, strerror(error));
}

static int left_ms(int64_t until_ns)
{
    return (int)MU_MAX((until_ns - mu_now_ns(mu_clock_real()) + 999999) / 1000000, 0);
}

static int reach(int fd, const struct sockaddr_un *a, const char *folder, int64_t until_ns, struct mu_err *e)
{
    while (connect(fd, (const struct sockaddr *)a, sizeof *a) != 0) {
        if (errno == EINTR)
            continue;
        if (errno == EACCES || errno == EPERM)
            return mu_fail(e, MU_EINVAL, "%s/%s is another user's: only that user and root may control the campaign",
                           folder, MU_CONTROL_SOCKET);
        if (errno != EAGAIN)
            return fail_nobody(folder, errno, e);
        if (left_ms(until_ns) == 0)
            return fail_late(folder, e);
        (void)poll(NULL, 0, AGAIN_MS);
    }
    return MU_OK;
}

/* Whoever may write to the folder could listen there: what it says is believed of ourselves, of root, and of the user
 * whose campaign it is. */
static int check_who(int fd, int folder_fd, const char *folder, struct mu_err *e)
{
    struct ucred who;
    struct stat log;
    socklen_t n = sizeof who;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &n) != 0)
        return fail_nobody(folder, errno, e);
    bool has_log = fstatat(folder_fd, MU_ORCHESTRA_STORE, &log, 0) == 0;
    if (who.uid == geteuid() || who.uid == 0 || (has_log && who.uid == log.st_uid))
        return MU_OK;
    return mu_fail(e, MU_EINVAL, "%s/%s is listened to by user %u, whose campaign it is not: nothing was asked", folder,
                   MU_CONTROL_SOCKET, (unsigned)who.uid);
}

/* Whether it can go on before the time is up. */
static int wait_for(int fd, short events, const char *folder, int64_t until_ns, struct mu_err *e)
{
    struct pollfd p = {.fd = fd, .events = events};
    int n;
    while ((n = poll(&p, 1, left_ms(until_ns))) < 0 && errno == EINTR)
        ;
    return n > 0 ? MU_OK : fail_late(folder, e);
}

static int say(int fd, struct mu_str line, const char *folder, int64_t until_ns, struct mu_err *e)
{
    while (line.n > 0) {
        ssize_t n = send(fd, line.p, line.n, MSG_NOSIGNAL);
        if (n < 0 && errno == EPIPE)
            return MU_OK; /* it has answered before it heard all */
        if (n < 0 && errno != EAGAIN && errno != EINTR)
            return fail_nobody(folder, errno, e);
        if (n < 0)
            MU_TRY_RETURN(wait_for(fd, POLLOUT, folder, until_ns, e));
        line.p += MU_MAX(n, 0);
        line.n -= (size_t)MU_MAX(n, 0);
    }
    return MU_OK;
}

static int hear(struct mu_buf *out, int fd, const char *folder, int64_t until_ns, struct mu_err *e)
{
    char chunk[CHUNK_BYTES];
    while (out->n == 0 || out->p[out->n - 1] != '\n') {
        ssize_t n = recv(fd, chunk, sizeof chunk, 0);
        if (n > 0)
            MU_TRY_RETURN(mu_buf_add(out, chunk, (size_t)n, e));
        else if (n < 0 && errno == EAGAIN)
            MU_TRY_RETURN(wait_for(fd, POLLIN, folder, until_ns, e));
        else if (n == 0 || errno != EINTR)
            return fail_nobody(folder, n == 0 ? ECONNRESET : errno, e);
    }
    return MU_OK;
}

int mu_control_ask(json_t **answer, const char *folder, const struct mu_control_request *r, int64_t timeout_ns,
                   struct mu_err *e)
{
    struct mu_buf line = MU_BUF_INIT("a request", MU_CONTROL_LINE_MAX), told = line;
    int64_t until_ns = mu_now_ns(mu_clock_real()) + timeout_ns;
    int rc = MU_OK, folder_fd = -1, fd = -1;
    struct sockaddr_un a;
    *answer = NULL;
    told.max = MU_CONTROL_ANSWER_MAX;
    told.what = "an answer";
    MU_TRY(mu_control_request_check(r, e));
    MU_TRY(mu_control_request_print(&line, r, e));
    MU_TRY(mu_control_address(&a, &folder_fd, folder, e));
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        MU_TRY(mu_fail_errno(e, errno, "make", "a socket"));
    MU_TRY(reach(fd, &a, folder, until_ns, e));
    MU_TRY(check_who(fd, folder_fd, folder, e));
    MU_TRY(say(fd, mu_buf_str(&line), folder, until_ns, e));
    MU_TRY(hear(&told, fd, folder, until_ns, e));
    MU_TRY(mu_control_answer_parse(answer, (struct mu_str){told.p, told.n - 1}, e));
out:
    if (fd >= 0)
        close(fd);
    if (folder_fd >= 0)
        close(folder_fd);
    mu_buf_fini(&line);
    mu_buf_fini(&told);
    return rc;
}

/* ---- writing ---- */

/* Who has the log is told with what to do about it. */
static int fail_owned(const char *folder, const char *path, struct mu_err *e)
{
    struct mu_event_log *log = NULL;
    struct mu_owner o = {0};
    char here[MU_OWNER_HOST_MAX] = "";
    int rc = mu_event_log_open(&log, path, NULL, e);
    if (rc == MU_OK)
        rc = mu_event_log_owner(log, &o, e);
    mu_event_log_close(log);
    if (rc != MU_OK)
        return rc;
    (void)gethostname(here, sizeof here - 1);
    if (strcmp(here, o.host) != 0)
        return mu_fail(e, MU_EPEER, "the campaign in %s is run by process %" PRId64 " on %s: give this command there",
                       folder, o.pid, o.host);
    return mu_fail(e, MU_EPEER,
                   "the campaign in %s is run by process %" PRId64 " of this machine, which does not listen at %s: it "
                   "ends just now, or said at its start why it could not; stop it to change the campaign",
                   folder, o.pid, MU_CONTROL_SOCKET);
}

/* What the log says of running tasks is of another time. */
static int tell_written(json_t **answer, const struct mu_state *s, struct mu_control_change *c, struct mu_err *e)
{
    if (c->n > 0 && c->ev[0].kind == MU_EVENT_PAUSED)
        snprintf(c->sentence, sizeof c->sentence, "paused");
    size_t n = strlen(c->sentence);
    snprintf(c->sentence + n, sizeof c->sentence - n, "; nobody runs it now");
    *answer = json_pack("{s:b, s:b}", "ok", 1, "runs", 0);
    return *answer ? mu_control_describe(*answer, s, c, e) : mu_fail_nomem(e, 1, "an answer");
}

static int write_log(json_t **answer, const char *path, const struct mu_control_request *r, struct mu_err *e)
{
    struct mu_state_log log = {0};
    struct mu_control_change c = {0};
    int rc = MU_OK;
    MU_TRY(mu_state_log_open(&log, path, NULL, true, MU_OWNER_AWAY_NS, e));
    MU_TRY(mu_control_decide(&c, &log.state, r, e));
    if (c.n > 0)
        MU_TRY(mu_state_log_append(&log, c.ev, c.n, e));
    MU_TRY(tell_written(answer, &log.state, &c, e));
out:
    mu_control_change_fini(&c);
    mu_state_log_close(&log);
    return rc;
}

int mu_control_write(json_t **answer, const char *folder, const struct mu_control_request *r, struct mu_err *e)
{
    struct mu_buf path = MU_BUF_INIT("a path", PATH_BYTES);
    int rc = MU_OK;
    *answer = NULL;
    mu_json_init();
    MU_TRY(mu_control_request_check(r, e));
    MU_TRY(mu_path_join(&path, folder, MU_ORCHESTRA_STORE, e));
    if (!mu_path_exists(path.p))
        MU_TRY(mu_fail(e, MU_ENOENT, "there is no %s: no campaign was run with this output folder", path.p));
    rc = write_log(answer, path.p, r, e);
    if (rc == MU_EPEER)
        rc = fail_owned(folder, path.p, e);
    if (rc != MU_OK) {
        json_decref(*answer);
        *answer = NULL;
    }
out:
    mu_buf_fini(&path);
    return rc;
}

int mu_control_do(json_t **answer, const char *folder, const struct mu_control_request *r, struct mu_err *e)
{
    int rc = mu_control_ask(answer, folder, r, MU_CONTROL_ANSWER_NS, e);
    if (rc == MU_EPEER && r->action == MU_CONTROL_STATUS)
        return mu_fail(e, MU_EPEER,
                       "nobody runs the campaign in %s on this machine: `muster status` tells how it stands", folder);
    if (rc != MU_EPEER)
        return rc;
    rc = mu_control_write(answer, folder, r, e);
    if (rc == MU_EPEER && mu_control_ask(answer, folder, r, MU_CONTROL_ANSWER_NS, NULL) == MU_OK)
        return MU_OK; /* it began in between */
    return rc;
}
