/* Wrong: room for five pending connections. A burst waits for the clients' retries. */
#define BACKLOG 5
#include "thread_base.h"
