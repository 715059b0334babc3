/* The number that all clients of a counter share, with its lock: in memory that children share too. */
#ifndef COUNTER_H
#define COUNTER_H

#include "common.h"
#include <pthread.h>
#include <sys/mman.h>

#ifndef SHARING
#define SHARING MAP_SHARED /* MAP_PRIVATE gives each child a copy of its own */
#endif
#ifndef ROBUSTNESS
#define ROBUSTNESS PTHREAD_MUTEX_ROBUST /* STALLED: the lock of a dead owner stays locked */
#endif

static struct state {
    pthread_mutex_t mutex, second; /* the second is for mutants that have two */
    volatile long number;          /* volatile: a load and a store for each use, also without a lock */
} *state;

static inline void make_state(void)
{
    pthread_mutexattr_t attributes;
    state = mmap(NULL, sizeof *state, PROT_READ | PROT_WRITE, SHARING | MAP_ANONYMOUS, -1, 0);
    if (state == MAP_FAILED)
        die("mmap");
    pthread_mutexattr_init(&attributes);
    pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
    pthread_mutexattr_setrobust(&attributes, ROBUSTNESS);
    if (pthread_mutex_init(&state->mutex, &attributes) != 0 || pthread_mutex_init(&state->second, &attributes) != 0)
        die("pthread_mutex_init");
}
#define PREPARE() make_state()

static inline void lock(void)
{
    if (pthread_mutex_lock(&state->mutex) == EOWNERDEAD)
        pthread_mutex_consistent(&state->mutex); /* one word: nothing can be half done */
}

static inline void unlock(void)
{
    pthread_mutex_unlock(&state->mutex);
}

static inline long increment(void)
{
    lock();
    long value = state->number = state->number + 1;
    unlock();
    return value;
}

static inline long current(void)
{
    lock();
    long value = state->number;
    unlock();
    return value;
}

#endif
