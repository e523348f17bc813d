/* live_where.c - where the hub listens, and a rank's way there
 *
 * Which of the hub's addresses another node can reach nobody knows beforehand: all are told, and a rank tries one after
 * the other, briefly, in rounds. Behind an address may sit somebody else (every node has its own 127.0.0.1), so both
 * sides show a token. */
#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "comm/live_int.h"

#define TRY_NS   1000000000ll /* one address */
#define PAUSE_NS 50000000     /* between two rounds */
#define BACKLOG  1024

static int64_t now_ns(void)
{
    return mu_now_ns(mu_clock_real());
}

static int make_token(char token[MU_LIVE_TOKEN_CHARS + 1], struct mu_err *e)
{
    unsigned char raw[MU_LIVE_TOKEN_CHARS / 2];
    if (getrandom(raw, sizeof raw, 0) != (ssize_t)sizeof raw)
        return mu_fail(e, MU_EIO, "no random bytes for the liveness watch: %s", strerror(errno));
    for (size_t i = 0; i < sizeof raw; i++)
        (void)snprintf(token + 2 * i, 3, "%02x", raw[i]);
    return MU_OK;
}

static bool is_usable(const struct ifaddrs *i, bool loopback)
{
    if (!i->ifa_addr || !(i->ifa_flags & IFF_UP) || !(i->ifa_flags & IFF_LOOPBACK) != !loopback)
        return false;
    if (i->ifa_addr->sa_family == AF_INET)
        return true;
    const struct sockaddr_in6 *a = (const void *)i->ifa_addr;
    return i->ifa_addr->sa_family == AF_INET6 && !loopback && !IN6_IS_ADDR_LINKLOCAL(&a->sin6_addr);
}

static void add_addresses(struct mu_live_where *w, const struct ifaddrs *list, int family, bool loopback)
{
    for (const struct ifaddrs *i = list; i && w->n_addrs < MU_LIVE_ADDRS_MAX - 1 + loopback; i = i->ifa_next) {
        if (!is_usable(i, loopback) || i->ifa_addr->sa_family != family)
            continue;
        const void *raw = family == AF_INET ? (const void *)&((const struct sockaddr_in *)(void *)i->ifa_addr)->sin_addr
                                            : &((const struct sockaddr_in6 *)(void *)i->ifa_addr)->sin6_addr;
        if (inet_ntop(family, raw, w->addr[w->n_addrs], sizeof w->addr[0]))
            w->n_addrs++;
    }
}

static void find_addresses(struct mu_live_where *w, bool is_one_node, bool has_v6)
{
    struct ifaddrs *list = NULL;
    if (getifaddrs(&list) != 0)
        list = NULL;
    if (!is_one_node) {
        add_addresses(w, list, AF_INET, false);
        if (has_v6)
            add_addresses(w, list, AF_INET6, false);
    }
    add_addresses(w, list, AF_INET, true);
    freeifaddrs(list);
}

/* A socket of both families where there is IPv6, else of IPv4. */
static int listen_on(bool is_one_node, bool *has_v6)
{
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_ANY_INIT};
    struct sockaddr_in v4 = {.sin_family = AF_INET};
    int off = 0, fd = is_one_node ? -1 : socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    v4.sin_addr.s_addr = htonl(is_one_node ? INADDR_LOOPBACK : INADDR_ANY);
    *has_v6 = fd >= 0 && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off) == 0 &&
              bind(fd, (struct sockaddr *)&v6, sizeof v6) == 0;
    if (!*has_v6) {
        if (fd >= 0)
            close(fd);
        fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (fd < 0)
            return -1;
        if (bind(fd, (struct sockaddr *)&v4, sizeof v4) != 0)
            goto failed;
    }
    if (listen(fd, BACKLOG) == 0)
        return fd;
failed:
    close(fd);
    return -1;
}

static int port_of(int fd)
{
    struct sockaddr_storage a;
    socklen_t n = sizeof a;
    if (getsockname(fd, (struct sockaddr *)&a, &n) != 0)
        return -1;
    return ntohs(a.ss_family == AF_INET ? ((struct sockaddr_in *)&a)->sin_port
                                        : ((struct sockaddr_in6 *)&a)->sin6_port);
}

int mu_live_where_make(struct mu_live_where *w, const char *host, bool is_one_node, int *listener, struct mu_err *e)
{
    bool has_v6 = false;
    *w = (struct mu_live_where){0};
    (void)snprintf(w->host, sizeof w->host, "%s", host && *host ? host : "?");
    MU_TRY_RETURN(make_token(w->token, e));
    MU_TRY_RETURN(make_token(w->answer, e));
    *listener = listen_on(is_one_node, &has_v6);
    if (*listener < 0)
        return mu_fail(e, MU_EIO, "the liveness watch of rank 0 on %s cannot listen: %s", w->host, strerror(errno));
    w->port = port_of(*listener);
    find_addresses(w, is_one_node, has_v6);
    if (w->n_addrs == 0)
        return mu_fail(e, MU_EIO, "rank 0 on %s has no network address, not even the loopback's: ranks need one",
                       w->host);
    return MU_OK;
}

void mu_live_where_print(const struct mu_live_where *w, char text[MU_LIVE_WHERE_MAX])
{
    int n = snprintf(text, MU_LIVE_WHERE_MAX, "muster-live-1 %s %s %d %s", w->token, w->answer, w->port, w->host);
    for (int i = 0; i < w->n_addrs; i++) {
        /* The loopback, last, always finds room. */
        int room = MU_LIVE_WHERE_MAX - n - (i < w->n_addrs - 1 ? 48 : 0);
        if ((int)strlen(w->addr[i]) + 2 <= room)
            n += snprintf(text + n, (size_t)room, " %s", w->addr[i]);
    }
}

int mu_live_where_parse(struct mu_live_where *w, const char *text, struct mu_err *e)
{
    int used = 0;
    *w = (struct mu_live_where){0};
    if (strnlen(text, MU_LIVE_WHERE_MAX) >= MU_LIVE_WHERE_MAX ||
        sscanf(text, "muster-live-1 %32[0-9a-f] %32[0-9a-f] %d %63s%n", w->token, w->answer, &w->port, w->host,
               &used) != 4)
        return mu_fail(e, MU_EFORMAT, "rank 0 told no place of its liveness watch: other versions of muster?");
    text += used;
    while (w->n_addrs < MU_LIVE_ADDRS_MAX && sscanf(text, " %45[0-9a-fA-F:.]%n", w->addr[w->n_addrs], &used) == 1) {
        text += used;
        w->n_addrs++;
    }
    return MU_OK;
}

static bool await(int fd, short events, int64_t deadline_ns)
{
    struct pollfd p = {.fd = fd, .events = events};
    int64_t left = deadline_ns - now_ns();
    return left > 0 && poll(&p, 1, (int)(left / 1000000 + 1)) == 1;
}

static int connect_to(const char *addr, int port, int64_t deadline_ns)
{
    struct addrinfo hints = {.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV, .ai_socktype = SOCK_STREAM}, *a = NULL;
    char service[16];
    int fd = -1, fault = 0;
    socklen_t n = sizeof fault;
    (void)snprintf(service, sizeof service, "%d", port);
    if (getaddrinfo(addr, service, &hints, &a) != 0)
        return -1;
    fd = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd >= 0 && connect(fd, a->ai_addr, a->ai_addrlen) != 0 &&
        (errno != EINPROGRESS || !await(fd, POLLOUT, deadline_ns) ||
         getsockopt(fd, SOL_SOCKET, SO_ERROR, &fault, &n) != 0 || fault != 0)) {
        close(fd);
        fd = -1;
    }
    freeaddrinfo(a);
    return fd;
}

static bool is_welcome(struct mu_live_link *k, const struct mu_live_where *w, const struct mu_live_frame *f)
{
    char answer[MU_LIVE_TOKEN_CHARS + 1];
    if (f->kind != MU_LIVE_WELCOME || sscanf(f->text, "%32s %ld %63s", answer, &k->pid, k->host) != 3)
        return false;
    k->rank = 0;
    return strcmp(answer, w->answer) == 0;
}

static bool greet(struct mu_live_link *k, const struct mu_live_where *w, int rank, const char *hello,
                  int64_t deadline_ns)
{
    struct mu_live_frame f;
    if (!mu_live_link_say(k, MU_LIVE_HELLO, rank, hello))
        return false;
    for (;;) {
        enum mu_live_heard heard = mu_live_link_hear(k, &f);
        if (heard == MU_LIVE_FRAME)
            return is_welcome(k, w, &f);
        if (heard != MU_LIVE_NOTHING || !await(k->fd, POLLIN, deadline_ns))
            return false;
    }
}

int mu_live_find_hub(struct mu_live_link *k, const struct mu_live_where *w, int rank, int n_ranks, const char *host,
                     int64_t deadline_ns, struct mu_err *e)
{
    const struct timespec pause = {0, PAUSE_NS};
    char hello[MU_LIVE_TEXT_MAX];
    (void)snprintf(hello, sizeof hello, "%s %d %ld %s", w->token, n_ranks, (long)getpid(), host && *host ? host : "?");
    /* On the hub's own machine the loopback, the last one told, is the sure way. */
    bool is_near = host && strcmp(host, w->host) == 0;
    do {
        for (int i = 0; i < w->n_addrs; i++) {
            const char *addr = w->addr[is_near ? w->n_addrs - 1 - i : i];
            int64_t until = MU_MIN(deadline_ns, now_ns() + TRY_NS);
            int fd = connect_to(addr, w->port, until);
            if (fd < 0)
                continue;
            mu_live_link_open(k, fd, now_ns());
            if (greet(k, w, rank, hello, until))
                return MU_OK;
            mu_live_link_close(k);
        }
        (void)nanosleep(&pause, NULL);
    } while (now_ns() < deadline_ns);
    return mu_fail(e, MU_EPEER,
                   "rank %d on %s cannot reach the liveness watch of rank 0 on %s, port %d: a firewall between them?",
                   rank, host && *host ? host : "?", w->host, w->port);
}
