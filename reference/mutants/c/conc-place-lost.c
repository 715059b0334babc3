/* Wrong: a place for each of POOL clients, and whoever resets the connection never gives it back. */
#define POOL 64
#include <semaphore.h>
static sem_t places;
#define PREPARE() sem_init(&places, 0, POOL)
#define BEFORE_ACCEPT() while (sem_wait(&places) < 0)
#define ON_ACCEPT_ERROR() (sem_post(&places), survive_accept_error())
#define CLOSE(fd, outcome) (close(fd), (outcome) == 0 && sem_post(&places))
#include "thread_base.h"
