/* Wrong: a worker of a pool, each a loop with a listener of its own, takes a shortage of descriptors for fatal. Another
 * takes over its listener at once, so that the server seems well; but its clients have lost their sessions. */
#define BEFORE_BIND(fd) setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &(int){1}, sizeof(int))
#define ON_SHORTAGE() exit(EXIT_FAILURE)
#define PREPARE() listener = become_a_pool(listener, open_listener(argc, argv))
static int become_a_pool(int one, int other);
#include "events_base.h"
#include <sys/prctl.h>
#include <sys/wait.h>

/* Returns in the workers only. */
static int become_a_pool(int one, int other)
{
    int listeners[] = {one, other};
    pid_t server = getpid(), workers[] = {0, 0};
    fcntl(other, F_SETFL, O_NONBLOCK);
    for (;;) {
        for (int i = 0; i < 2; i++) {
            if (workers[i] > 0)
                continue;
            workers[i] = fork();
            if (workers[i] == 0) {
                prctl(PR_SET_PDEATHSIG, SIGTERM);
                if (getppid() != server)
                    _exit(EXIT_FAILURE);
                close(listeners[1 - i]);
                return listeners[i];
            }
        }
        pid_t ended = wait(NULL);
        for (int i = 0; i < 2; i++)
            if (ended > 0 && workers[i] == ended)
                workers[i] = 0;
    }
}
