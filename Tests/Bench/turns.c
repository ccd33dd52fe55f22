/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "turns.h"

#include "client.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

const char *wanted = "";

bool is_wanted(const char *id) { return strncmp(id, wanted, strlen(wanted)) == 0; }

uint64_t now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

static int compare(const void *left, const void *right) {
    double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

double quantile(double *values, size_t count, double part) {
    qsort(values, count, sizeof *values, compare);
    return values[(size_t)((double)(count - 1) * part)];
}

double median(double *values, size_t count) { return quantile(values, count, 0.5); }

void print_row(const char *id, double ours, double twin, double ratio, double control) {
    printf("%s\t%.0f\t%.0f\t%.3f\t", id, ours, twin, ratio);
    if (control > 0) printf("%.3f\n", control);
    else printf("-\n");
    fflush(stdout);
}

void interleave(const char *id, void *const subjects[SUBJECTS], block block, int turns) {
    static const int orders[6][SUBJECTS] = {{0, 1, 2}, {2, 1, 0}, {1, 2, 0}, {0, 2, 1}, {2, 0, 1}, {1, 0, 2}};
    if (!is_wanted(id)) return;
    double times[SUBJECTS][turns], ratios[turns], controls[turns];
    for (int i = 0; i < SUBJECTS; i++) block(subjects[i]);  // warm
    for (int turn = 0; turn < turns; turn++) {
        for (int i = 0; i < SUBJECTS; i++) {
            int who = orders[turn % 6][i];
            times[who][turn] = block(subjects[who]);
        }
        ratios[turn] = times[OURS][turn] / times[TWIN][turn];
        controls[turn] = times[CONTROL][turn] / times[TWIN][turn];
    }
    size_t count = (size_t)turns;
    print_row(id, median(times[OURS], count), median(times[TWIN], count), median(ratios, count),
              median(controls, count));
}

void stay_on_one_cpu(void) {
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) != 0) fail("affinity");
    int cpu = CPU_SETSIZE - 1;
    while (cpu > 0 && !CPU_ISSET(cpu, &set)) cpu--;
    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    if (sched_setaffinity(0, sizeof set, &set) != 0) fail("affinity");
}
