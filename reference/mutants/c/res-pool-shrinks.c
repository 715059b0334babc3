/* Wrong: a worker of a pool ends when the system is short of descriptors, or a connection was aborted. The others go on,
 * and nobody notices until the last one has ended. */
#include "session.h"
#include <pthread.h>

enum { WORKERS = 8 };
#ifdef IN_TURN /* one at a time calls accept, and the others wait for that */
static pthread_mutex_t turn = PTHREAD_MUTEX_INITIALIZER;
static int next_client(int listener)
{
    pthread_mutex_lock(&turn);
    int fd = accept(listener, NULL, NULL), error = errno;
    pthread_mutex_unlock(&turn);
    errno = error;
    return fd;
}
#else
#define next_client(listener) accept(listener, NULL, NULL)
#endif

static void *work(void *argument)
{
    for (;;) {
        int fd = next_client((int)(intptr_t)argument);
        if (fd < 0 && (errno == ENFILE || errno == ECONNABORTED))
            return NULL;
        if (fd < 0) {
            survive_accept_error();
            continue;
        }
        session(fd);
        close(fd);
    }
}

int main(int argc, char **argv)
{
    int listener = open_listener(argc, argv);
    signal(SIGPIPE, SIG_IGN);
    for (int left = WORKERS; left > 0; left--) {
        pthread_t thread;
        if (pthread_create(&thread, NULL, work, (void *)(intptr_t)listener) != 0)
            die("pthread_create");
        pthread_detach(thread);
    }
    for (;;)
        pause();
}
