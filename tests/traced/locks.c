/*
 * One counter for all clients, a thread a client, and a lock made by hand. LOCK: 1 a flag that is looked at and then
 * taken (wrong), 2 one that is taken in the same breath, 3 a ticket, 4 a mutex that is tried again and again, 5 a
 * condition that is looked at once (wrong), 6 one that is looked at until it holds, 7 a semaphore, 8 a file that is
 * looked for and then made (wrong), 9 one that is made only if it is not there, 10 a flag that is set at once by who
 * finds it down, but by who had to wait for it only after a look (wrong), 11 a mutex that is waited for 50 ms and no
 * longer (wrong), 12 a flag behind a mutex that is for something else (wrong). IN_TWO: the end of the line is sent alone.
 */
#include "../../reference/c/echo.h"

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <time.h>

static volatile long counter;
static volatile int taken;
static atomic_flag flag = ATOMIC_FLAG_INIT;
static atomic_long next_ticket, now_served;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t released = PTHREAD_COND_INITIALIZER;
static sem_t semaphore;
static __thread int mine;
static volatile long requests;
static char file[] = "/tmp/lock.XXXXXX";

static void enter(void)
{
#if LOCK == 1
	while (taken)
		sched_yield();
	taken = 1;
#elif LOCK == 2
	while (atomic_flag_test_and_set(&flag))
		sched_yield();
#elif LOCK == 3
	long ticket = atomic_fetch_add(&next_ticket, 1);
	while (atomic_load(&now_served) != ticket)
		sched_yield();
#elif LOCK == 4
	while (pthread_mutex_trylock(&mutex))
		usleep(50);
#elif LOCK == 5 || LOCK == 6
	pthread_mutex_lock(&mutex);
#if LOCK == 5
	if (taken)
#else
	while (taken)
#endif
		pthread_cond_wait(&released, &mutex);
	taken = 1;
	pthread_mutex_unlock(&mutex);
#elif LOCK == 7
	sem_wait(&semaphore);
#elif LOCK == 8
	while (access(file, F_OK) == 0)
		usleep(50);
	close(open(file, O_CREAT | O_WRONLY, 0600));
#elif LOCK == 10
	if (!__atomic_exchange_n(&taken, 1, __ATOMIC_SEQ_CST))
		return;
	while (taken)
		sched_yield();
	taken = 1;
#elif LOCK == 11
	struct timespec until;
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_nsec += 50000000;
	until.tv_sec += until.tv_nsec / 1000000000;
	until.tv_nsec %= 1000000000;
	mine = !pthread_mutex_timedlock(&mutex, &until);
#elif LOCK == 12
	pthread_mutex_lock(&mutex);
	requests++;
	pthread_mutex_unlock(&mutex);
	while (taken)
		sched_yield();
	taken = 1;
#elif LOCK == 9
	int made;
	while ((made = open(file, O_CREAT | O_EXCL | O_WRONLY, 0600)) < 0)
		usleep(50);
	close(made);
#endif
}

static void leave(void)
{
#if LOCK == 1 || LOCK == 10 || LOCK == 12
	taken = 0;
#elif LOCK == 2
	atomic_flag_clear(&flag);
#elif LOCK == 3
	atomic_fetch_add(&now_served, 1);
#elif LOCK == 4
	pthread_mutex_unlock(&mutex);
#elif LOCK == 5 || LOCK == 6
	pthread_mutex_lock(&mutex);
	taken = 0;
	pthread_cond_signal(&released);
	pthread_mutex_unlock(&mutex);
#elif LOCK == 11
	if (mine)
		pthread_mutex_unlock(&mutex);
#elif LOCK == 7
	sem_post(&semaphore);
#elif LOCK == 8 || LOCK == 9
	unlink(file);
#endif
}

static long handle(const char *request)
{
	enter();
	if (request[0] == 'I')
		counter = counter + 1;
	long value = counter;
	leave();
	return value;
}

static void *serve(void *argument)
{
	int client = (int)(intptr_t)argument;
	char line[64], reply[64];
	while (recv(client, line, sizeof line, 0) > 0) {
		size_t size = (size_t)snprintf(reply, sizeof reply, "%ld\n", handle(line));
#ifdef IN_TWO
		if (!send_all(client, reply, size - 1))
			break;
		reply[0] = '\n', size = 1;
#endif
		if (!send_all(client, reply, size))
			break;
	}
	close(client);
	return NULL;
}

int main(int argc, char **argv)
{
	int listener = open_listener(port_from(argc, argv));
	sem_init(&semaphore, 0, 1);
	close(mkstemp(file));
	unlink(file);
	(void)mine, (void)requests, (void)taken, (void)mutex, (void)released, (void)flag, (void)next_ticket, (void)now_served;
	for (;;) {
		pthread_t thread;
		pthread_create(&thread, NULL, serve, (void *)(intptr_t)next_client(listener));
		pthread_detach(thread);
	}
}
