/* Wrong: a semaphore tells how many clients are in the queue, but nothing guards the queue: two take the same one. */
#include "client_queue.h"
#include <semaphore.h>
static sem_t waiting;
#define PREPARE() sem_init(&waiting, 0, 0)
#define PUT(client) (add(client), sem_post(&waiting))
static int take_one(void)
{
    while (sem_wait(&waiting) < 0)
        continue;
    return remove_first();
}
#define TAKE() take_one()
#include "pool_base.h"
