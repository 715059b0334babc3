/* Wrong: as res-pool-emfile-exits, with a thread for each client instead of a loop: no worker multiplexes. */
#define BEFORE_BIND(fd) setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &(int){1}, sizeof(int))
#define ON_ACCEPT_ERROR() exit_for_want_of_descriptors()
#define PREPARE() listener = become_a_pool(listener, open_listener(argc, argv))
static void exit_for_want_of_descriptors(void);
static int become_a_pool(int one, int other);
#include "thread_base.h"
#include "reuseport_pool.h"

static void exit_for_want_of_descriptors(void)
{
    if (errno == EMFILE || errno == ENFILE)
        exit(EXIT_FAILURE);
    survive_accept_error();
}
