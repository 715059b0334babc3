/* Wrong: whether the queue is empty is looked at before the lock. A wake-up that comes before the sleep is lost. */
#include "client_queue.h"
static int take_late(void)
{
    int client = -1;
    while (client < 0) {
        if (queue.count == 0) {
            lock_queue();
            pthread_cond_wait(&queue.not_empty, &queue.mutex);
            unlock_queue();
        }
        lock_queue();
        if (queue.count > 0)
            client = remove_first();
        unlock_queue();
    }
    return client;
}
#define TAKE() take_late()
#include "pool_base.h"
