/* Wrong: a fixed number of workers (POOL, 2 when not given). The next client waits until one has left. */
#ifndef POOL
#define POOL 2
#endif
#include <semaphore.h>
static sem_t free_workers;
#define PREPARE() sem_init(&free_workers, 0, POOL)
#define BEFORE_ACCEPT() while (sem_wait(&free_workers) < 0)
#define ON_ACCEPT_ERROR() (sem_post(&free_workers), survive_accept_error())
#define THREAD_ENDS() sem_post(&free_workers)
#include "thread_base.h"
