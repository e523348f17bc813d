/* test_knock.c - doors that open, refuse, or do not answer: sockets of this process's own, and a clock of the test's */
#include <arpa/inet.h>
#include <stdio.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "sched/slurm/knock.h"
#include "xt.h"

#define SECOND ((int64_t)1000000000)
#define QUEUE  4 /* of connections that nobody accepts */

static struct mu_err err;

static int listening(int *port)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof at;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    XT_EQ(bind(fd, (struct sockaddr *)&at, n), 0);
    XT_EQ(listen(fd, 0), 0);
    XT_EQ(getsockname(fd, (struct sockaddr *)&at, &n), 0);
    *port = ntohs(at.sin_port);
    return fd;
}

static struct mu_slurm_doors doors(int port)
{
    struct mu_slurm_doors d;
    char text[256];
    snprintf(text, sizeof text,
             "NodeName=c1 CPUTot=8 NodeAddr=127.0.0.1 Port=%d RealMemory=1 State=IDLE\n"
             "NodeName=c2 CPUTot=8 RealMemory=1 State=IDLE\n",
             port);
    XT_OK(mu_slurm_doors_open(&d, mu_str(text), &err));
    XT_EQ(d.n, 2);
    return d;
}

/* The answer at a time of the test's: the knock before it, and some real time for the kernel. */
static enum mu_slurm_answer answer(struct mu_slurm_doors *d, int64_t now)
{
    (void)mu_slurm_knock(d, "c1", now);
    nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
    return mu_slurm_knock(d, "c1", now + 1);
}

XT_TEST(a_daemon_that_ends_and_comes_back)
{
    int port, fd = listening(&port), on = 1;
    struct mu_slurm_doors d = doors(port);
    XT_EQ(answer(&d, SECOND), MU_SLURM_OPEN);
    XT_EQ(answer(&d, SECOND + 10), MU_SLURM_OPEN); /* the same answer: a second is not over */
    close(fd);
    XT_EQ(answer(&d, 3 * SECOND), MU_SLURM_SHUT);

    struct sockaddr_in at = {
        .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons((uint16_t)port)};
    fd = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    XT_EQ(bind(fd, (struct sockaddr *)&at, sizeof at), 0);
    XT_EQ(listen(fd, 0), 0);
    XT_EQ(answer(&d, 5 * SECOND), MU_SLURM_OPEN);
    mu_slurm_doors_close(&d);
    close(fd);
}

/* A full queue drops what comes, as a node without power or cable does. */
XT_TEST(one_that_does_not_answer)
{
    int port, fd = listening(&port), waiting[QUEUE];
    struct mu_slurm_doors d = doors(port);
    mu_slurm_meet(&d, "c1", SECOND);
    XT_EQ(answer(&d, SECOND), MU_SLURM_OPEN);
    struct sockaddr_in at = {
        .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons((uint16_t)port)};
    for (int i = 0; i < QUEUE; i++) {
        waiting[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        (void)connect(waiting[i], (struct sockaddr *)&at, sizeof at);
    }
    XT_EQ(answer(&d, 3 * SECOND), MU_SLURM_OPEN); /* still what was answered last */
    XT_EQ(mu_slurm_knock(&d, "c1", 3 * SECOND + MU_SLURM_KNOCK_NS), MU_SLURM_SHUT);
    mu_slurm_doors_close(&d);
    for (int i = 0; i < QUEUE; i++)
        close(waiting[i]);
    close(fd);
}

/* What fails on our own side, as for want of a port, is no answer of the node. */
XT_TEST(want_on_our_side)
{
    int port, fd = listening(&port);
    struct mu_slurm_doors d = doors(port);
    socklen_t n = d.door[0].n_address;
    XT_EQ(answer(&d, SECOND), MU_SLURM_OPEN);
    d.door[0].n_address = 1; /* EINVAL */
    XT_EQ(answer(&d, 3 * SECOND), MU_SLURM_OPEN);
    d.door[0].n_address = n;
    close(fd);
    XT_EQ(answer(&d, 5 * SECOND), MU_SLURM_SHUT);
    mu_slurm_doors_close(&d);
}

/* A firewall is no reason to give a node up. */
XT_TEST(never_seen_open)
{
    int port, fd = listening(&port);
    close(fd);
    struct mu_slurm_doors d = doors(port);
    XT_EQ(answer(&d, SECOND), MU_SLURM_UNKNOWN);
    XT_EQ(answer(&d, 5 * SECOND), MU_SLURM_UNKNOWN);
    XT_EQ(mu_slurm_knock(&d, "c2", SECOND), MU_SLURM_UNKNOWN); /* says no address */
    XT_EQ(mu_slurm_knock(&d, "c9", SECOND), MU_SLURM_UNKNOWN);
    mu_slurm_doors_close(&d);
}

XT_MAIN()
