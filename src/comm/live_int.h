/* live_int.h - the parts of the liveness watch: frames and links (live_link.c), finding the hub (live_where.c), the
 * watch itself (live.c)
 *
 * A frame on the wire, numbers big-endian:
 *
 *     0       2            4      8
 *     | kind  | text bytes | rank | text ... |
 */
#ifndef MU_COMM_LIVE_INT_H
#define MU_COMM_LIVE_INT_H

#include <sys/types.h>

#include "comm/live.h"

#define MU_LIVE_HEAD_BYTES  8
#define MU_LIVE_TEXT_MAX    600
#define MU_LIVE_FRAME_MAX   (MU_LIVE_HEAD_BYTES + MU_LIVE_TEXT_MAX)
#define MU_LIVE_TOKEN_CHARS 32
#define MU_LIVE_ADDRS_MAX   16

enum mu_live_kind {
    MU_LIVE_HELLO = 1, /* rank to hub, first. text: token, number of ranks, process, host */
    MU_LIVE_WELCOME,   /* hub to rank, first. text: answer, process, host */
    MU_LIVE_BEAT,
    MU_LIVE_LEAVING,  /* rank to hub: done, waiting for the others */
    MU_LIVE_ALL_LEFT, /* hub to rank */
    MU_LIVE_BYE,      /* an end of the connection that is no death */
    MU_LIVE_ABORT,    /* rank to hub: I end because of text */
    MU_LIVE_LOST,     /* hub to rank: rank is lost, text says how */
    MU_LIVE_KINDS
};

struct mu_live_frame {
    int kind;
    int32_t rank;
    char text[MU_LIVE_TEXT_MAX + 1];
};

/* The first frame of n bytes: how many it takes, 0 when it is not whole yet, -1 when it breaks the rules. */
int mu_live_frame_read(struct mu_live_frame *f, const unsigned char *p, size_t n);
size_t mu_live_frame_write(unsigned char p[MU_LIVE_FRAME_MAX], int kind, int rank, const char *text);

/* One connection; fd -1: none. */
struct mu_live_link {
    int fd;
    int rank; /* of the peer; -1: a stranger still */
    long pid;
    char host[MU_LIVE_HOST_MAX];
    int64_t heard_ns;
    bool is_leaving, has_left;
    size_t n_in;
    unsigned char in[MU_LIVE_FRAME_MAX];
};

void mu_live_link_open(struct mu_live_link *k, int fd, int64_t now); /* takes fd */
void mu_live_link_close(struct mu_live_link *k);

/* false: the connection is of no use any more. A peer that does not read is as good as lost. */
bool mu_live_link_say(struct mu_live_link *k, int kind, int rank, const char *text);

enum mu_live_heard { MU_LIVE_NOTHING, MU_LIVE_FRAME, MU_LIVE_END, MU_LIVE_NONSENSE };

/* One frame of what has arrived; never waits. At the end errno is 0 or says why. */
enum mu_live_heard mu_live_link_hear(struct mu_live_link *k, struct mu_live_frame *f);

/* Where the hub is to be found, as text: "muster-live-1 TOKEN ANSWER PORT HOST ADDRESS ...". */
struct mu_live_where {
    char token[MU_LIVE_TOKEN_CHARS + 1];  /* a rank shows it */
    char answer[MU_LIVE_TOKEN_CHARS + 1]; /* the hub shows it */
    char host[MU_LIVE_HOST_MAX];
    int port;
    int n_addrs;
    char addr[MU_LIVE_ADDRS_MAX][46]; /* numeric, the loopback last */
};

int mu_live_where_make(struct mu_live_where *w, const char *host, bool is_one_node, int *listener, struct mu_err *e);
void mu_live_where_print(const struct mu_live_where *w, char text[MU_LIVE_WHERE_MAX]);
int mu_live_where_parse(struct mu_live_where *w, const char *text, struct mu_err *e);

/* A rank's way to the hub: k is open, greeted and welcomed, or an error after deadline_ns. */
int mu_live_find_hub(struct mu_live_link *k, const struct mu_live_where *w, int rank, int n_ranks, const char *host,
                     int64_t deadline_ns, struct mu_err *e);

#endif
