/* SPDX-License-Identifier: Apache-2.0
 *
 * Who is compared does a block of the same in turns, and the median of the blocks' ratios counts: whatever else the machine
 * does, it does to all three. */
#ifndef BENCH_TURNS_H
#define BENCH_TURNS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What is measured, what it is measured against, and that once more: the second against the first is the control, and
 * a ratio can be trusted as far as the control's is near 1. */
enum { OURS, TWIN, CONTROL, SUBJECTS };

/* Only figures whose id begins so are measured. */
extern const char *wanted;
bool is_wanted(const char *id);

/* nanoseconds of CLOCK_MONOTONIC */
uint64_t now(void);

/* Does a block of operations and says how long one took. */
typedef double (*block)(void *subject);

/* Everyone in turn, each order as often as any other; prints the row. */
void interleave(const char *id, void *const subjects[SUBJECTS], block block, int turns);

/* `id ours_ns c_ns ratio control`; no control if it is not above zero. */
void print_row(const char *id, double ours, double twin, double ratio, double control);

double quantile(double *values, size_t count, double part);
double median(double *values, size_t count);

/* The last one that this program may use; what it starts inherits it. */
void stay_on_one_cpu(void);

#endif
