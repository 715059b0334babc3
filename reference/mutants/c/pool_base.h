/*
 * A pool of eight threads that take clients out of a queue, into which the main thread puts them. Right as it stands:
 * every upper-case name can be replaced by a mutant.
 */
#include "client_queue.h"
#include "session.h"

#ifndef WORKERS
#define WORKERS 8
#endif

#ifndef PUT
#define PUT(client) put(client)
#endif
#ifndef TAKE
#define TAKE() take()
#endif
#ifndef PREPARE
#define PREPARE() ((void)0)
#endif

static void *work(void *unused)
{
    (void)unused;
    for (;;) {
        int client = TAKE();
        session(client);
        close(client);
    }
    return NULL;
}

int main(int argc, char **argv)
{
    int listener = open_listener(argc, argv);
    catch_signal(SIGPIPE, SIG_IGN);
    PREPARE();
    for (int left = WORKERS; left > 0; left--) {
        pthread_t thread;
        if (pthread_create(&thread, NULL, work, NULL) != 0)
            die("pthread_create");
    }
    for (;;) {
        int client = accept(listener, NULL, NULL);
        if (client < 0)
            survive_accept_error();
        else
            PUT(client);
    }
}
