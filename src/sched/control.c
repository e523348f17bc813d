/* control.c - the server's side of a control socket (control.h) */
#include "sched/control.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/check.h"
#include "base/file.h"
#include "base/harmless.h"
#include "base/mem.h"

#define CHUNK_BYTES 4096

/* A seat: one client from its coming to its going. */
struct client {
    int fd; /* -1: free */
    int64_t until_ns;
    struct mu_buf in, out; /* out holds something once it is answered */
    size_t sent;
};

struct mu_control {
    struct mu_clock *clock;
    int folder, listener;
    dev_t device; /* of the socket's file: whether it is still ours */
    ino_t inode;
    struct client client[MU_CONTROL_CLIENTS_MAX];
};

/* ---- opening ---- */

int mu_control_address(struct sockaddr_un *a, int *folder_fd, const char *folder, struct mu_err *e)
{
    *folder_fd = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (*folder_fd < 0)
        return mu_fail_errno(e, errno, "open", folder);
    *a = (struct sockaddr_un){.sun_family = AF_UNIX};
    snprintf(a->sun_path, sizeof a->sun_path, "/proc/self/fd/%d/%s", *folder_fd, MU_CONTROL_SOCKET);
    return MU_OK;
}

/* What stands there under its name. Another thing than a socket is not ours to take away. */
static int clear_way(int folder_fd, const char *folder, struct mu_err *e)
{
    struct stat st;
    if (fstatat(folder_fd, MU_CONTROL_SOCKET, &st, AT_SYMLINK_NOFOLLOW) != 0)
        return MU_OK;
    if (!S_ISSOCK(st.st_mode))
        return mu_fail(e, MU_EINVAL, "%s/%s is no socket: move it away", folder, MU_CONTROL_SOCKET);
    (void)unlinkat(folder_fd, MU_CONTROL_SOCKET, 0);
    return MU_OK;
}

/* The mode is set before the file exists, so that nobody else can connect in between (Linux keeps it at bind). */
static int listen_at(struct mu_control *c, const struct sockaddr_un *a, const char *folder, struct mu_err *e)
{
    struct stat st;
    c->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (c->listener < 0 || fchmod(c->listener, 0600) != 0 ||
        bind(c->listener, (const struct sockaddr *)a, sizeof *a) != 0 ||
        listen(c->listener, 2 * MU_CONTROL_CLIENTS_MAX) != 0 ||
        fstatat(c->folder, MU_CONTROL_SOCKET, &st, AT_SYMLINK_NOFOLLOW) != 0)
        return mu_fail_errno(e, errno, "make a control socket in", folder);
    c->device = st.st_dev;
    c->inode = st.st_ino;
    return MU_OK;
}

int mu_control_open(struct mu_control **out, const char *folder, struct mu_clock *clock, struct mu_err *e)
{
    struct mu_control *c = NULL;
    struct sockaddr_un a;
    int rc = MU_OK;
    *out = NULL;
    mu_json_init();
    MU_TRY_RETURN(MU_NEW(&c, "a control socket", e));
    c->clock = clock;
    c->folder = c->listener = -1;
    for (int i = 0; i < MU_CONTROL_CLIENTS_MAX; i++)
        c->client[i] = (struct client){.fd = -1,
                                       .in = MU_BUF_INIT("a request", MU_CONTROL_LINE_MAX + 1),
                                       .out = MU_BUF_INIT("an answer", MU_CONTROL_ANSWER_MAX)};
    MU_TRY(mu_control_address(&a, &c->folder, folder, e));
    MU_TRY(clear_way(c->folder, folder, e));
    MU_TRY(listen_at(c, &a, folder, e));
    *out = c;
    return MU_OK;
out:
    mu_control_close(c);
    return rc;
}

static void leave(struct client *cl)
{
    if (cl->fd >= 0)
        close(cl->fd);
    cl->fd = -1;
    mu_buf_fini(&cl->in);
    mu_buf_fini(&cl->out);
}

void mu_control_close(struct mu_control *c)
{
    struct stat st;
    if (!c)
        return;
    for (int i = 0; i < MU_CONTROL_CLIENTS_MAX; i++)
        leave(&c->client[i]);
    if (c->inode && fstatat(c->folder, MU_CONTROL_SOCKET, &st, AT_SYMLINK_NOFOLLOW) == 0 && st.st_dev == c->device &&
        st.st_ino == c->inode)
        (void)unlinkat(c->folder, MU_CONTROL_SOCKET, 0);
    if (c->listener >= 0)
        close(c->listener);
    if (c->folder >= 0)
        close(c->folder);
    mu_free(c);
}

/* ---- answers ---- */

/* A client that cannot be told why is not told. */
static void refuse(struct client *cl, int code, const char *sentence)
{
    char text[MU_ERR_TEXT_MAX]; /* a sentence is cut anywhere, JSON holds whole letters */
    json_t *v = json_pack("{s:b, s:s, s:s}", "ok", 0, "code", mu_code_name(code), "error",
                          mu_harmless(text, sizeof text, sentence));
    mu_buf_clear(&cl->out);
    if (!v || mu_json_dump(&cl->out, v, false, NULL) != MU_OK || mu_buf_putc(&cl->out, '\n', NULL) != MU_OK)
        leave(cl);
    json_decref(v);
}

static int do_request(struct client *cl, json_t *answer, mu_control_fn *fn, void *arg, struct mu_err *e)
{
    struct mu_control_request r;
    MU_TRY_RETURN(mu_control_request_parse(&r, (struct mu_str){cl->in.p, cl->in.n}, e));
    int rc = fn(arg, &r, answer, e);
    mu_control_request_fini(&r);
    return rc;
}

static void answer(struct client *cl, mu_control_fn *fn, void *arg)
{
    struct mu_err e = MU_ERR_INIT;
    json_t *v = json_pack("{s:b}", "ok", 1);
    int rc = v ? do_request(cl, v, fn, arg, &e) : mu_fail_nomem(&e, 1, "an answer");
    if (rc == MU_OK)
        rc = mu_json_dump(&cl->out, v, false, &e);
    if (rc == MU_OK)
        rc = mu_buf_putc(&cl->out, '\n', &e);
    if (rc != MU_OK)
        refuse(cl, rc, e.text);
    json_decref(v);
}

/* ---- clients ---- */

/* Others may not even ask. */
static void check_peer(struct client *cl)
{
    struct ucred who;
    socklen_t n = sizeof who;
    char text[128];
    if (getsockopt(cl->fd, SOL_SOCKET, SO_PEERCRED, &who, &n) == 0 && (who.uid == geteuid() || who.uid == 0))
        return;
    snprintf(text, sizeof text, "this campaign is user %u's: only that user and root may control it",
             (unsigned)geteuid());
    refuse(cl, MU_EINVAL, text);
}

static void let_in(struct mu_control *c)
{
    for (int i = 0; i < MU_CONTROL_CLIENTS_MAX; i++) {
        struct client *cl = &c->client[i];
        if (cl->fd >= 0)
            continue;
        cl->fd = accept4(c->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (cl->fd < 0)
            return;
        cl->until_ns = mu_now_ns(c->clock) + MU_CONTROL_CLIENT_NS;
        cl->sent = 0;
        check_peer(cl);
    }
}

/* What is there, to the end of its line; false: it has gone. */
static bool read_line(struct client *cl, bool *is_whole)
{
    char chunk[CHUNK_BYTES];
    *is_whole = false;
    while (!*is_whole && cl->in.n <= MU_CONTROL_LINE_MAX) {
        ssize_t n = recv(cl->fd, chunk, MU_MIN(sizeof chunk, MU_CONTROL_LINE_MAX + 1 - cl->in.n), 0);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            return true;
        if (n <= 0)
            return false;
        const char *end = memchr(chunk, '\n', (size_t)n);
        if (mu_buf_add(&cl->in, chunk, end ? (size_t)(end - chunk) : (size_t)n, NULL) != MU_OK)
            return false;
        *is_whole = end != NULL;
    }
    return true;
}

static void hear(struct client *cl, mu_control_fn *fn, void *arg)
{
    bool is_whole;
    char text[96];
    if (!read_line(cl, &is_whole))
        leave(cl);
    else if (is_whole)
        answer(cl, fn, arg);
    else if (cl->in.n > MU_CONTROL_LINE_MAX) {
        snprintf(text, sizeof text, "a request is one line of at most %zu bytes", MU_CONTROL_LINE_MAX);
        refuse(cl, MU_ELIMIT, text);
    }
}

/* As much as it takes now; true: all is said, or it has gone. */
static bool tell(struct client *cl)
{
    while (cl->sent < cl->out.n) {
        ssize_t n = send(cl->fd, cl->out.p + cl->sent, cl->out.n - cl->sent, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0)
            return errno != EAGAIN && errno != EINTR;
        cl->sent += (size_t)n;
    }
    return true;
}

void mu_control_serve(struct mu_control *c, mu_control_fn *fn, void *arg)
{
    if (!c)
        return;
    let_in(c);
    for (int i = 0; i < MU_CONTROL_CLIENTS_MAX; i++) {
        struct client *cl = &c->client[i];
        if (cl->fd >= 0 && cl->out.n == 0)
            hear(cl, fn, arg);
        if (cl->fd >= 0 && ((cl->out.n > 0 && tell(cl)) || mu_now_ns(c->clock) >= cl->until_ns))
            leave(cl);
    }
}
