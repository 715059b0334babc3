/* Wrong: a worker of a pool, each a loop with a listener of its own, takes a shortage of descriptors for fatal. Another
 * takes over its listener at once, so that the server seems well; but its clients have lost their sessions. */
#define BEFORE_BIND(fd) setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &(int){1}, sizeof(int))
#define ON_SHORTAGE() exit(EXIT_FAILURE)
#define PREPARE() listener = become_a_pool(listener, nonblocking(open_listener(argc, argv)))
static int nonblocking(int fd);
static int become_a_pool(int one, int other);
#include "events_base.h"
#include "reuseport_pool.h"

static int nonblocking(int fd)
{
    fcntl(fd, F_SETFL, O_NONBLOCK);
    return fd;
}
