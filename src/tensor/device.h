/* device.h - where tensors live and ops run: memory, streams and one op table
 *
 * The CPU device runs ops at once on its thread pool; a CUDA device (cuda/, a module of its own) will queue them on a
 * real stream. Pointers handed to ops are the device's; on the CPU they are plain memory. A kind is named by
 * cli and tests only; everybody else receives a struct mu_device, or opens the default one. */
#ifndef MU_TENSOR_DEVICE_H
#define MU_TENSOR_DEVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <muster/err.h>

struct mu_ops;
struct mu_pool;
struct mu_device;

/* Memory and transfers of a kind of device. Callbacks may block; none is NULL but adopt and map_in. */
struct mu_device_ops {
    const char *name; /* "cpu", "cuda" */
    int (*alloc)(struct mu_device *d, void **out, size_t bytes, const char *what,
                 struct mu_err *e); /* zeroed, 64-byte aligned */
    /* The same for a block that is about to be written in full: where memory comes at its first touch, it comes to the
     * thread that writes it, when it does. */
    int (*alloc_untouched)(struct mu_device *d, void **out, size_t bytes, const char *what, struct mu_err *e);
    void (*free)(struct mu_device *d, void *p);
    /* What lies in these bytes of a block is not needed any more. The system gets their memory where it can, and the
     * block stays: read again they hold what they held or zeros, written again they have memory again. */
    void (*give_back)(struct mu_device *d, void *p, size_t bytes);
    /* Ops will often read these bytes of host memory, which somebody else owns: the i-th of n equal parts of them is
     * brought into this process, as large pages where the system has them. Processes that share memory nobody has
     * touched yet take a part each, and all of it once it is written. NULL: this kind of device reads memory of its own
     * only, so nothing that ranks share. */
    void (*adopt)(struct mu_device *d, void *host, size_t bytes, int i, int n);
    /* Ops will often read these bytes of a mapped file: brought into this process by its threads, now. NULL where adopt
     * is. */
    void (*map_in)(struct mu_device *d, const void *host, size_t bytes);
    int (*upload)(struct mu_device *d, void *dst, const void *src_host, size_t bytes, struct mu_err *e);
    int (*download)(struct mu_device *d, void *dst_host, const void *src, size_t bytes, struct mu_err *e);
    int (*synchronize)(struct mu_device *d, struct mu_err *e); /* everything queued is done */
    void (*close)(struct mu_device *d);
};

struct mu_device {
    const struct mu_device_ops *dev;
    const struct mu_ops *ops;
    struct mu_pool *pool; /* host threads for packing and, on the CPU, for the ops */
    void *work;           /* scratch of the running op, reserved once by mu_device_reserve_work() */
    size_t work_bytes;
    void *state; /* the backend's own */
};

struct mu_cpu_opts {
    const char *level; /* "auto", "ref", "avx2", "avx512": the best available, or one forced */
    int n_threads;     /* 0: the cores allowed */
    bool pin;
};

int mu_device_open_cpu(struct mu_device **out, const struct mu_cpu_opts *o, struct mu_err *e);

/* The device to run on when nobody chose one: today always the CPU. level NULL: "auto"; n_threads 0: the cores
 * allowed. */
int mu_device_open_default(struct mu_device **out, const char *level, int n_threads, struct mu_err *e);
void mu_device_close(struct mu_device *d); /* NULL is fine */

/* Scratch for the largest op to come; called once when the memory bill is paid. */
int mu_device_reserve_work(struct mu_device *d, size_t bytes, struct mu_err *e);

/* Levels of this build, best first ("ref" last), NULL-terminated. level->missing() says what this CPU lacks. */
const struct mu_ops *const *mu_cpu_levels(void);

#endif
