/* mpi_module.c - MPI, and nothing of muster: built as muster_mpi.so, the only file that includes <mpi.h>
 *
 * Requests under way lie side by side in `request`, so that one MPI_Testsome() looks at all of them; `slot` says whose
 * each is. Nothing here waits for a peer that may be dead: calls are started, then tested. */
#include "comm/mpi/mpi_module.h"

#include <limits.h>
#include <mpi.h>
#include <stdio.h>
#include <string.h>

#define EXPORT __attribute__((visibility("default")))

#define BLOCK_BYTES ((size_t)1 << 30) /* MPI counts in int: larger messages are a type of such blocks and a rest */

static MPI_Comm world; /* a duplicate: our messages meet nobody else's */
static int n_active;
static MPI_Request request[MU_MPI_SLOTS];
static int slot_of[MU_MPI_SLOTS];
static char fault_text[MPI_MAX_ERROR_STRING + 64];

static int check(int code, const char *call)
{
    char text[MPI_MAX_ERROR_STRING] = "";
    int n = 0;
    if (code == MPI_SUCCESS)
        return 0;
    (void)MPI_Error_string(code, text, &n);
    (void)snprintf(fault_text, sizeof fault_text, "%s: %s", call, text);
    return -1;
}

static const char *fault(void)
{
    return fault_text;
}

static const char *library(void)
{
    static char text[MPI_MAX_LIBRARY_VERSION_STRING];
    int n = 0;
    if (!text[0])
        (void)MPI_Get_library_version(text, &n);
    return text;
}

static int init(int *rank, int *size)
{
    int got = 0;
    if (check(MPI_Init_thread(NULL, NULL, MPI_THREAD_FUNNELED, &got), "MPI_Init_thread") != 0)
        return -1;
    (void)MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
    if (check(MPI_Comm_dup(MPI_COMM_WORLD, &world), "MPI_Comm_dup") != 0)
        return -1;
    (void)MPI_Comm_set_errhandler(world, MPI_ERRORS_RETURN);
    (void)MPI_Comm_rank(world, rank);
    (void)MPI_Comm_size(world, size);
    return 0;
}

static int finalize(void)
{
    (void)MPI_Comm_free(&world);
    return check(MPI_Finalize(), "MPI_Finalize");
}

/* ---- calls under way ---- */

/* A type of `bytes` bytes, for counts above int. */
static int large_type(size_t bytes, MPI_Datatype *type)
{
    MPI_Datatype block, blocks, parts[2];
    int lengths[2] = {1, (int)(bytes % BLOCK_BYTES)};
    MPI_Aint at[2] = {0, (MPI_Aint)(bytes - bytes % BLOCK_BYTES)};
    int rc = check(MPI_Type_contiguous((int)BLOCK_BYTES, MPI_BYTE, &block), "MPI_Type_contiguous");
    if (rc != 0)
        return rc;
    rc = check(MPI_Type_contiguous((int)(bytes / BLOCK_BYTES), block, &blocks), "MPI_Type_contiguous");
    (void)MPI_Type_free(&block);
    if (rc != 0)
        return rc;
    parts[0] = blocks;
    parts[1] = MPI_BYTE;
    rc = check(MPI_Type_create_struct(2, lengths, at, parts, type), "MPI_Type_create_struct");
    (void)MPI_Type_free(&blocks);
    return rc == 0 ? check(MPI_Type_commit(type), "MPI_Type_commit") : rc;
}

static int add(int slot, int rc)
{
    if (rc == 0)
        slot_of[n_active++] = slot;
    return rc;
}

static int start_send(int slot, const void *p, size_t bytes, int to, int tag)
{
    MPI_Datatype type;
    if (bytes <= INT_MAX)
        return add(slot, check(MPI_Isend(p, (int)bytes, MPI_BYTE, to, tag, world, &request[n_active]), "MPI_Isend"));
    if (large_type(bytes, &type) != 0)
        return -1;
    int rc = check(MPI_Isend(p, 1, type, to, tag, world, &request[n_active]), "MPI_Isend");
    (void)MPI_Type_free(&type); /* the call keeps it as long as it needs it */
    return add(slot, rc);
}

static int start_recv(int slot, void *p, size_t bytes, int from, int tag)
{
    MPI_Datatype type;
    if (bytes <= INT_MAX)
        return add(slot, check(MPI_Irecv(p, (int)bytes, MPI_BYTE, from, tag, world, &request[n_active]), "MPI_Irecv"));
    if (large_type(bytes, &type) != 0)
        return -1;
    int rc = check(MPI_Irecv(p, 1, type, from, tag, world, &request[n_active]), "MPI_Irecv");
    (void)MPI_Type_free(&type);
    return add(slot, rc);
}

static int start_broadcast(int slot, void *p, int bytes)
{
    return add(slot, check(MPI_Ibcast(p, bytes, MPI_BYTE, 0, world, &request[n_active]), "MPI_Ibcast"));
}

static int start_all_gather(int slot, void *all, int bytes)
{
    return add(
        slot, check(MPI_Iallgather(MPI_IN_PLACE, 0, MPI_DATATYPE_NULL, all, bytes, MPI_BYTE, world, &request[n_active]),
                    "MPI_Iallgather"));
}

/* The last one moves into the gap. */
static void take_out(int i)
{
    n_active--;
    request[i] = request[n_active];
    slot_of[i] = slot_of[n_active];
}

static size_t bytes_of(const MPI_Status *s)
{
    MPI_Count n = 0;
    (void)MPI_Get_elements_x(s, MPI_BYTE, &n);
    return n > 0 ? (size_t)n : 0;
}

/* A message larger than its buffer is no fault here: its size says it. */
static int check_status(int code)
{
    int class = MPI_SUCCESS;
    if (code == MPI_SUCCESS)
        return 0;
    (void)MPI_Error_class(code, &class);
    return class == MPI_ERR_TRUNCATE ? 0 : check(code, "MPI_Testsome");
}

static int progress(struct mu_mpi_done done[MU_MPI_SLOTS], int *n)
{
    static int which[MU_MPI_SLOTS];
    static MPI_Status status[MU_MPI_SLOTS];
    int n_done = 0;
    *n = 0;
    if (n_active == 0)
        return 0;
    int rc = MPI_Testsome(n_active, request, &n_done, which, status);
    if (rc != MPI_SUCCESS && rc != MPI_ERR_IN_STATUS)
        return check(rc, "MPI_Testsome");
    if (n_done == MPI_UNDEFINED)
        return 0;
    for (int i = 0; i < n_done; i++) {
        if (rc == MPI_ERR_IN_STATUS && check_status(status[i].MPI_ERROR) != 0)
            return -1;
        done[i] = (struct mu_mpi_done){.slot = slot_of[which[i]], .bytes = bytes_of(&status[i])};
    }
    for (int i = 0; i < n_active;) {
        if (request[i] == MPI_REQUEST_NULL)
            take_out(i);
        else
            i++;
    }
    *n = n_done;
    return 0;
}

/* The request itself stays MPI's: one that has met its message cannot be taken back. MPI touches its buffer inside its
 * calls only, so forget() is for a buffer that nobody frees while calls follow. */
static void forget(int slot)
{
    for (int i = 0; i < n_active; i++)
        if (slot_of[i] == slot) {
            take_out(i);
            return;
        }
}

static int probe(int from, int tag, bool *found, int *sender, size_t *bytes)
{
    MPI_Status s;
    int flag = 0;
    if (check(MPI_Iprobe(from < 0 ? MPI_ANY_SOURCE : from, tag, world, &flag, &s), "MPI_Iprobe") != 0)
        return -1;
    *found = flag != 0;
    if (flag) {
        *sender = s.MPI_SOURCE;
        *bytes = bytes_of(&s);
    }
    return 0;
}

/* ---- MPI's own ---- */

static int own_broadcast(void *p, int bytes)
{
    return check(MPI_Bcast(p, bytes, MPI_BYTE, 0, world), "MPI_Bcast");
}

static int own_all_gather(void *all, int bytes)
{
    return check(MPI_Allgather(MPI_IN_PLACE, 0, MPI_DATATYPE_NULL, all, bytes, MPI_BYTE, world), "MPI_Allgather");
}

static int own_all_to_all(const void *send, void *recv, int bytes)
{
    return check(MPI_Alltoall(send, bytes, MPI_BYTE, recv, bytes, MPI_BYTE, world), "MPI_Alltoall");
}

static int own_all_reduce_f32(const float *in, float *out, int n)
{
    return check(MPI_Allreduce(in, out, n, MPI_FLOAT, MPI_SUM, world), "MPI_Allreduce");
}

EXPORT extern const struct mu_mpi_table muster_mpi_table;
const struct mu_mpi_table muster_mpi_table = {
    .abi = MU_MPI_MODULE_ABI,
    .slots = MU_MPI_SLOTS,
    .library = library,
    .init = init,
    .finalize = finalize,
    .fault = fault,
    .start_send = start_send,
    .start_recv = start_recv,
    .start_broadcast = start_broadcast,
    .start_all_gather = start_all_gather,
    .progress = progress,
    .forget = forget,
    .probe = probe,
    .own = {.broadcast = own_broadcast,
            .all_gather = own_all_gather,
            .all_to_all = own_all_to_all,
            .all_reduce_f32 = own_all_reduce_f32},
};
