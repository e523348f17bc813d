/* sqlite_heap.c - SQLite on our heap: counted, and failing on order */
#include <limits.h>
#include <pthread.h>
#include <string.h>

#include <sqlite3.h>

#include "base/mem.h"
#include "base/sqlite_int.h"

/* SQLite asks for the size of its blocks: it is kept before them. */
#define HEAD_BYTES MU_MEM_ALIGN

static void *heap_alloc(int n)
{
    char *p = n > 0 ? mu_alloc((size_t)n + HEAD_BYTES) : NULL;
    if (!p)
        return NULL;
    memcpy(p, &n, sizeof n);
    return p + HEAD_BYTES;
}

static void heap_free(void *p)
{
    if (p)
        mu_free((char *)p - HEAD_BYTES);
}

static int heap_size(void *p)
{
    int n = 0;
    if (p)
        memcpy(&n, (char *)p - HEAD_BYTES, sizeof n);
    return n;
}

static void *heap_realloc(void *p, int n)
{
    char *q = mu_realloc((char *)p - HEAD_BYTES, (size_t)n + HEAD_BYTES);
    if (!q)
        return NULL;
    memcpy(q, &n, sizeof n);
    return q + HEAD_BYTES;
}

static int heap_round(int n)
{
    return n > INT_MAX - 8 ? n : (n + 7) / 8 * 8;
}

static int heap_init(void *arg)
{
    (void)arg;
    return SQLITE_OK;
}

static void heap_shutdown(void *arg)
{
    (void)arg;
}

static void init_once(void)
{
    static sqlite3_mem_methods heap = {heap_alloc, heap_free, heap_realloc,  heap_size,
                                       heap_round, heap_init, heap_shutdown, NULL};
    sqlite3_config(SQLITE_CONFIG_MALLOC, &heap); /* refused when the program has used SQLite before us: its own heap */
    sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
    sqlite3_initialize();
}

void mu_sqlite_init(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, init_once);
}
