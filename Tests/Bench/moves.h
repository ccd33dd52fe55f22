/* SPDX-License-Identifier: Apache-2.0
 *
 * What a move costs by how many have the buffer, and how many of them are inside an access. */
#ifndef BENCH_MOVES_H
#define BENCH_MOVES_H

/* Row 7: a thousand importers against ten, of one daemon, which `command` starts. There is no twin in C: it moves nothing. */
void measure_moves(char *const command[]);

#endif
