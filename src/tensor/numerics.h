/* numerics.h - the version of the bits
 *
 * One number for all that decides the bits of an answer: operators, the order of sums, what model and engine make of
 * them. It stands in the audit block and in the journal's keys, so answers of two versions are never mixed. Raise it in
 * the commit that moves a bit; tests/bits.h finds the one that forgot. */
#ifndef MU_TENSOR_NUMERICS_H
#define MU_TENSOR_NUMERICS_H

#define MU_NUMERICS_VERSION 3

#endif
