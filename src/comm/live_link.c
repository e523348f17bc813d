/* live_link.c - one connection of the liveness watch: frames in, frames out, never waiting */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/check.h"
#include "comm/live_int.h"

#ifndef TCP_RTO_MAX_MS
#define TCP_RTO_MAX_MS 44 /* of Linux 6.15; what is older refuses it */
#endif
#define AGAIN_MS 1000 /* TCP doubles the time to its next attempt: after a cut of two seconds, past the silence */

int mu_live_frame_read(struct mu_live_frame *f, const unsigned char *p, size_t n)
{
    uint16_t kind, bytes;
    uint32_t rank;
    if (n < MU_LIVE_HEAD_BYTES)
        return 0;
    memcpy(&kind, p, sizeof kind);
    memcpy(&bytes, p + 2, sizeof bytes);
    memcpy(&rank, p + 4, sizeof rank);
    f->kind = ntohs(kind);
    f->rank = (int32_t)ntohl(rank);
    size_t len = ntohs(bytes);
    if (f->kind < MU_LIVE_HELLO || f->kind >= MU_LIVE_KINDS || len > MU_LIVE_TEXT_MAX || f->rank < 0)
        return -1;
    if (n < MU_LIVE_HEAD_BYTES + len)
        return 0;
    memcpy(f->text, p + MU_LIVE_HEAD_BYTES, len);
    f->text[len] = '\0';
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)f->text[i] < ' ')
            return -1; /* texts go to terminals */
    return (int)(MU_LIVE_HEAD_BYTES + len);
}

size_t mu_live_frame_write(unsigned char p[MU_LIVE_FRAME_MAX], int kind, int rank, const char *text)
{
    size_t len = text ? MU_MIN(strlen(text), (size_t)MU_LIVE_TEXT_MAX) : 0;
    uint16_t k = htons((uint16_t)kind), bytes = htons((uint16_t)len);
    uint32_t r = htonl((uint32_t)rank);
    memcpy(p, &k, sizeof k);
    memcpy(p + 2, &bytes, sizeof bytes);
    memcpy(p + 4, &r, sizeof r);
    for (size_t i = 0; i < len; i++)
        p[MU_LIVE_HEAD_BYTES + i] = (unsigned char)text[i] < ' ' ? ' ' : (unsigned char)text[i];
    return MU_LIVE_HEAD_BYTES + len;
}

void mu_live_link_open(struct mu_live_link *k, int fd, int64_t now)
{
    int on = 1, again_ms = AGAIN_MS;
    *k = (struct mu_live_link){.fd = fd, .rank = -1, .heard_ns = now};
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_RTO_MAX_MS, &again_ms, sizeof again_ms);
}

void mu_live_link_close(struct mu_live_link *k)
{
    if (k->fd >= 0)
        close(k->fd);
    k->fd = -1;
}

bool mu_live_link_say(struct mu_live_link *k, int kind, int rank, const char *text)
{
    unsigned char p[MU_LIVE_FRAME_MAX];
    size_t n = mu_live_frame_write(p, kind, rank, text);
    if (k->fd < 0)
        return false;
    ssize_t sent = send(k->fd, p, n, MSG_NOSIGNAL | MSG_DONTWAIT);
    /* A beat that finds no room may be left out whole; a part of a frame would spoil all that follow. */
    return sent == (ssize_t)n || (sent < 0 && (errno == EAGAIN || errno == EINTR) && kind == MU_LIVE_BEAT);
}

/* false: nothing more has come for now, or ever (*end). */
static bool fill(struct mu_live_link *k, bool *end)
{
    ssize_t n = recv(k->fd, k->in + k->n_in, sizeof k->in - k->n_in, MSG_DONTWAIT);
    if (n > 0) {
        k->n_in += (size_t)n;
        return true;
    }
    if (n == 0)
        errno = 0;
    *end = n == 0 || (errno != EAGAIN && errno != EINTR);
    return false;
}

enum mu_live_heard mu_live_link_hear(struct mu_live_link *k, struct mu_live_frame *f)
{
    for (;;) {
        bool end = false;
        int used = mu_live_frame_read(f, k->in, k->n_in);
        if (used < 0)
            return MU_LIVE_NONSENSE;
        if (used > 0) {
            k->n_in -= (size_t)used;
            memmove(k->in, k->in + used, k->n_in);
            return MU_LIVE_FRAME;
        }
        if (!fill(k, &end))
            return end ? MU_LIVE_END : MU_LIVE_NOTHING;
    }
}
