/* SPDX-License-Identifier: Apache-2.0
 *
 * Two processes that pass buffers with no registry between: those of `dmabuf-bench`, and the same in C. */
#ifndef BENCH_PASSING_H
#define BENCH_PASSING_H

#include <stddef.h>

/* Rows 1 (share to first byte) and 6 (a batch of descriptors); `bench` is the path of dmabuf-bench. */
void measure_passing(const char *bench);

/* So many blocks of 100 operations by one pair of processes, those in C if `bench` is NULL; no size for a batch. */
void pass_blocks(const char *bench, size_t size, int blocks);

#endif
