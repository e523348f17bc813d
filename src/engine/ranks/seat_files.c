/* seat_files.c - whether nodes may read one checkpoint between them
 *
 * They may where it is one file that all of them see: the same inode, size and date on a file system that they share.
 * Copies of their own each node reads by itself: only so does the hash of the content tell that one differs, and a
 * copy on the node's own disk is nearer than a peer. Who asks for peers by name answers for the copies. */
#include <string.h>

#include "base/check.h"
#include "base/log.h"
#include "engine/ranks/seat.h"

int mu_seat_choose_source(struct mu_start *t, const char *from, struct mu_err *e)
{
    static const char *const names[] = {"auto", "peer", "file"};
    for (size_t i = 0; i < MU_COUNT(names); i++) {
        t->source = (int32_t)i;
        if (strcmp(from ? from : names[0], names[i]) == 0)
            return MU_OK;
    }
    return mu_fail(e, MU_EUSAGE, "weights from \"%.40s\": it must be auto, peer or file", from);
}

/* All have the same number when the largest is the smallest. */
static int see_one_file(struct mu_seat *s, bool *is_one, struct mu_err *e)
{
    int64_t h = (int64_t)(mu_identity_of_files(s->parts.checkpoint->weights, false) >> 1), most[2] = {h, -h};
    MU_TRY_RETURN(mu_comm_all_reduce(s->world, most, 2, MU_REDUCE_MAX_I64, e));
    *is_one = most[0] == -most[1];
    return MU_OK;
}

int mu_seat_join_nodes(struct mu_seat *s, struct mu_err *e)
{
    bool is_one = s->start.source == MU_SOURCE_PEER;
    if (s->start.source == MU_SOURCE_FILE || mu_comm_nodes(s->world) == 1)
        return MU_OK;
    if (!is_one)
        MU_TRY_RETURN(see_one_file(s, &is_one, e));
    if (is_one)
        return mu_model_load_over_nodes(&s->shard, s->world, e);
    if (mu_comm_rank(s->world) == 0)
        mu_log(MU_LOG_INFO, "each node reads a copy of the checkpoint of its own");
    return MU_OK;
}
