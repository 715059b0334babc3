/* A pool of two processes, each with a listener of its own on the same port; a third replaces those that end. */
#include <sys/prctl.h>
#include <sys/wait.h>

/* Returns in the workers only. */
static int become_a_pool(int one, int other)
{
    int listeners[] = {one, other};
    pid_t server = getpid(), workers[] = {0, 0};
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
