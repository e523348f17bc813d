/* tensor_test.h - what the operator tests share: devices of every level, matrices, random rows
 *
 * A test computes with the reference on one thread, holds that against plain double arithmetic, and then wants the
 * same bits from every level, any number of threads and any number of rows at once. */
#ifndef TENSOR_TEST_H
#define TENSOR_TEST_H

#include "tensor/ops.h"
#include "xt.h"

#define THREADS_MAX 4

/* Opened once and kept until the program ends. The reference with one thread is tt_ref(). */
struct mu_device *tt_device(const char *level, int n_threads);
struct mu_device *tt_ref(void);

/* Call fn for every available level with 1 to 4 threads (ref: 1 and 4); levels this CPU lacks are noted. */
void tt_each_device(void (*fn)(struct mu_device *d, void *arg), void *arg);

/* n values in [-scale, scale) with a few zeros and a denormal among them; freed by tt_free_all() at the next call of
 * it. */
float *tt_random(uint64_t *seed, int64_t n, float scale);
void *tt_alloc(size_t bytes); /* zeroed */
void tt_free_all(void);

struct mu_matrix tt_matrix(enum mu_wformat f, int64_t n_out, int64_t n_in, int64_t tile_k, const float *w,
                           const float *bias);

void tt_reserve(struct mu_device *d, size_t bytes);

/* Many small calls on many threads are slow where cores are few: some comparisons do without 2 and 3 threads. */
bool tt_is_fewest_or_most(const struct mu_device *d);

/* Fails the test naming the first of n floats whose bits differ. */
void tt_same_bits(const char *what, const struct mu_device *d, const float *got, const float *want, int64_t n);

#endif
