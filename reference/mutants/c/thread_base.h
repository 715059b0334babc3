/* A thread for each client. Right as it stands: every upper-case name can be replaced by a mutant. */
#include "session.h"
#include <pthread.h>

#ifndef ON_SIGPIPE
#define ON_SIGPIPE SIG_IGN
#endif
#ifndef PREPARE
#define PREPARE() ((void)0)
#endif
#ifndef BEFORE_ACCEPT
#define BEFORE_ACCEPT() ((void)0)
#endif
#ifndef ON_ACCEPT_ERROR
#define ON_ACCEPT_ERROR() survive_accept_error()
#endif
#ifndef AFTER_ACCEPT
#define AFTER_ACCEPT(fd) ((void)0)
#endif
#ifndef DETACH_STATE
#define DETACH_STATE PTHREAD_CREATE_DETACHED
#endif
#ifndef PASS
#define PASS(fd) ((void *)(intptr_t)(fd))
#define TAKE(argument) ((int)(intptr_t)(argument))
#endif
#ifndef AFTER_CREATE
#define AFTER_CREATE(thread) ((void)(thread))
#endif
#ifndef ON_THREAD_FAILURE
#define ON_THREAD_FAILURE(fd) close(fd)
#endif
#ifndef CLOSE
#define CLOSE(fd, outcome) ((void)(outcome), close(fd))
#endif
#ifndef THREAD_ENDS
#define THREAD_ENDS() ((void)0)
#endif

/* 200 default stacks of 8 MiB would not fit under a data limit of 512 MiB. */
enum { STACK = 256 * 1024 };

static void *work(void *argument)
{
    int fd = TAKE(argument);
    int outcome = SESSION(fd);
    CLOSE(fd, outcome);
    THREAD_ENDS();
    return NULL;
}

int main(int argc, char **argv)
{
    int listener = open_listener(argc, argv);
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, STACK);
    pthread_attr_setdetachstate(&attributes, DETACH_STATE);
    signal(SIGPIPE, ON_SIGPIPE);
    PREPARE();
    static int fd; /* static, so that a mutant may hand out its address */
    for (;;) {
        pthread_t thread;
        BEFORE_ACCEPT();
        fd = accept(listener, NULL, NULL);
        if (fd < 0) {
            ON_ACCEPT_ERROR();
            continue;
        }
        AFTER_ACCEPT(fd);
        int error = pthread_create(&thread, &attributes, work, PASS(fd));
        if (error != 0) {
            fprintf(stderr, "pthread_create: %s\n", strerror(error));
            ON_THREAD_FAILURE(fd);
            nap(50);
            continue;
        }
        AFTER_CREATE(thread);
    }
}
