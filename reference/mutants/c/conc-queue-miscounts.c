/* Wrong: those who take lock, and who puts does not. When both count at the same time, a client is not counted. */
#include "client_queue.h"
#define PUT(client) (add(client), pthread_cond_signal(&queue.not_empty))
#include "pool_base.h"
