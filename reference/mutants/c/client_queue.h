/* Clients that have been accepted, and threads that wait for them. Right as it stands. */
#ifndef CLIENT_QUEUE_H
#define CLIENT_QUEUE_H

#include "common.h"
#include <pthread.h>

enum { PLACES = 256 };

static struct {
    pthread_mutex_t mutex;
    pthread_cond_t not_empty;
    volatile int clients[PLACES];
    volatile unsigned first, count; /* volatile: a load and a store for each use, also without a lock */
} queue = {.mutex = PTHREAD_MUTEX_INITIALIZER, .not_empty = PTHREAD_COND_INITIALIZER};

static inline void lock_queue(void)
{
    pthread_mutex_lock(&queue.mutex);
}

static inline void unlock_queue(void)
{
    pthread_mutex_unlock(&queue.mutex);
}

static inline void add(int client)
{
    queue.clients[(queue.first + queue.count) % PLACES] = client;
    queue.count = queue.count + 1;
}

static inline int remove_first(void)
{
    int client = queue.clients[queue.first % PLACES];
    queue.first = queue.first + 1;
    queue.count = queue.count - 1;
    return client;
}

static inline void put(int client)
{
    lock_queue();
    add(client);
    pthread_cond_signal(&queue.not_empty);
    unlock_queue();
}

static inline int take(void)
{
    lock_queue();
    while (queue.count == 0)
        pthread_cond_wait(&queue.not_empty, &queue.mutex);
    int client = remove_first();
    unlock_queue();
    return client;
}

#endif
