/* knock.c - see knock.h */
#include "sched/slurm/knock.h"

#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/mem.h"

#define LOOK_UP_NS ((int64_t)5000000000) /* of all names: one that asks in vain may take some seconds */

/* ---- doors ---- */

static void look_up(struct mu_slurm_door *d, const struct mu_slurm_node *n)
{
    const struct addrinfo want = {.ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    char port[16];
    snprintf(port, sizeof port, "%d", n->port);
    if (!n->address[0] || n->port == 0 || getaddrinfo(n->address, port, &want, &found) != 0)
        return;
    if (found && found->ai_addrlen <= sizeof d->address) {
        memcpy(&d->address, found->ai_addr, found->ai_addrlen);
        d->n_address = found->ai_addrlen;
    }
    freeaddrinfo(found);
}

int mu_slurm_doors_open(struct mu_slurm_doors *d, struct mu_str text, struct mu_err *e)
{
    struct mu_slurm_cluster c = MU_SLURM_CLUSTER_INIT;
    int64_t until_ns = mu_now_ns(mu_clock_real()) + LOOK_UP_NS;
    int rc = MU_OK;
    *d = (struct mu_slurm_doors){.n = 0};
    MU_TRY(mu_slurm_nodes_parse(&c, text, e));
    MU_TRY(MU_NEW_ARRAY(&d->door, MU_MAX(c.n_nodes, 1), "the nodes' addresses", e));
    for (; d->n < c.n_nodes; d->n++) {
        struct mu_slurm_door *at = &d->door[d->n];
        *at = (struct mu_slurm_door){.fd = -1};
        snprintf(at->name, sizeof at->name, "%s", c.nodes[d->n].name);
        if (mu_now_ns(mu_clock_real()) < until_ns)
            look_up(at, &c.nodes[d->n]);
    }
out:
    mu_slurm_cluster_fini(&c);
    return rc;
}

void mu_slurm_doors_close(struct mu_slurm_doors *d)
{
    for (int i = 0; i < d->n; i++)
        if (d->door[i].fd >= 0)
            close(d->door[i].fd);
    mu_free(d->door);
    *d = (struct mu_slurm_doors){.n = 0};
}

/* ---- knocking ---- */

static void end(struct mu_slurm_doors *d, struct mu_slurm_door *at, enum mu_slurm_answer answer)
{
    if (at->fd >= 0) {
        close(at->fd);
        d->n_asked--;
    }
    at->fd = -1;
    at->was_open |= answer == MU_SLURM_OPEN;
    at->last = at->was_open ? answer : MU_SLURM_UNKNOWN;
}

/* Want of a port or of memory is on our side, and tells nothing of the node: what it was stands. */
static enum mu_slurm_answer meaning(const struct mu_slurm_door *at, int error)
{
    static const int theirs[] = {ECONNREFUSED, ECONNRESET, ETIMEDOUT, EHOSTDOWN, EHOSTUNREACH, ENETUNREACH};
    if (error == 0)
        return MU_SLURM_OPEN;
    for (size_t i = 0; i < MU_COUNT(theirs); i++) {
        if (error == theirs[i])
            return MU_SLURM_SHUT;
    }
    return at->last;
}

static void begin(struct mu_slurm_doors *d, struct mu_slurm_door *at, int64_t now_ns)
{
    const struct sockaddr *to = (const struct sockaddr *)&at->address;
    if (at->n_address == 0 || now_ns < at->until_ns || d->n_asked == MU_SLURM_KNOCKS_MAX)
        return;
    at->since_ns = now_ns;
    at->until_ns = now_ns + MU_SLURM_KNOCK_NS;
    at->fd = socket(to->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (at->fd < 0)
        return;
    d->n_asked++;
    int error = connect(at->fd, to, at->n_address) == 0 ? 0 : errno;
    if (error != EINPROGRESS)
        end(d, at, meaning(at, error));
}

static void look(struct mu_slurm_doors *d, struct mu_slurm_door *at, int64_t now_ns)
{
    struct pollfd p = {.fd = at->fd, .events = POLLOUT};
    int failed = 0;
    socklen_t n = sizeof failed;
    if (poll(&p, 1, 0) == 1 && getsockopt(at->fd, SOL_SOCKET, SO_ERROR, &failed, &n) == 0)
        end(d, at, meaning(at, failed));
    else if (now_ns - at->since_ns >= MU_SLURM_KNOCK_NS)
        end(d, at, MU_SLURM_SHUT);
}

static struct mu_slurm_door *find(const struct mu_slurm_doors *d, const char *node)
{
    for (int i = 0; i < d->n; i++)
        if (strcmp(d->door[i].name, node) == 0)
            return &d->door[i];
    return NULL;
}

enum mu_slurm_answer mu_slurm_knock(struct mu_slurm_doors *d, const char *node, int64_t now_ns)
{
    struct mu_slurm_door *at = find(d, node);
    if (!at)
        return MU_SLURM_UNKNOWN;
    if (at->fd < 0)
        begin(d, at, now_ns);
    else
        look(d, at, now_ns);
    return at->last;
}

void mu_slurm_meet(struct mu_slurm_doors *d, const char *node, int64_t now_ns)
{
    const struct mu_slurm_door *at = find(d, node);
    if (at && !at->was_open)
        (void)mu_slurm_knock(d, node, now_ns);
}
