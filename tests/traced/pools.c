/*
 * Threads that wait in line for clients. LINE: 1 a queue with a mutex and a condition; 2 semaphores and a mutex; 3 a
 * stack; 4 each in its own place, which is given to an idle one; 5 who waits looks again every 20 ms; 6 all are woken
 * each time; 7 a ring, places of which are taken by compare and swap; 8 as 1, two workers beside three threads that wait
 * for something else; 9 who waits looks again after 10 s; 10 who comes when nobody is idle is turned away. Wrong: 11
 * nobody locks; 12 looks once when it has waited; 13 looks before it locks; 14 who puts does not lock; 15 one place for
 * all; 16 wakes somebody only when the queue was empty; 17 a stack of nodes, and who takes one does not lock; 18 the
 * same, and it ends when it notices; 19 who puts counts when it has unlocked. And 21: each serves one client, and makes
 * its successor.
 */
#include "../../reference/mutants/c/client_queue.h"

#include <sched.h>
#include <semaphore.h>
#include <time.h>

static sem_t waiting;
static pthread_cond_t something_else = PTHREAD_COND_INITIALIZER;

#if LINE == 1 || LINE == 8
#define PUT(client) put(client)
#define TAKE() take()

#elif LINE == 2 || LINE == 11
static int take_one(void)
{
	while (sem_wait(&waiting) < 0)
		continue;
	if (LINE == 2)
		lock_queue();
	int client = remove_first();
	if (LINE == 2)
		unlock_queue();
	return client;
}

static void put_one(int client)
{
	if (LINE == 2)
		lock_queue();
	add(client);
	if (LINE == 2)
		unlock_queue();
	sem_post(&waiting);
}
#define PUT(client) put_one(client)
#define TAKE() take_one()

#elif LINE == 3
static int take_last(void)
{
	lock_queue();
	while (queue.count == 0)
		pthread_cond_wait(&queue.not_empty, &queue.mutex);
	queue.count = queue.count - 1;
	int client = queue.clients[(queue.first + queue.count) % PLACES];
	unlock_queue();
	return client;
}
#define PUT(client) put(client)
#define TAKE() take_last()

#elif LINE == 4
static struct place {
	sem_t told;
	int client;
	struct place *next;
} *idle;
static pthread_cond_t somebody_idle = PTHREAD_COND_INITIALIZER;

static int take_own(void)
{
	static __thread struct place own;
	static __thread int made;
	if (!made++)
		sem_init(&own.told, 0, 0);
	lock_queue();
	own.next = idle;
	idle = &own;
	pthread_cond_signal(&somebody_idle);
	unlock_queue();
	while (sem_wait(&own.told) < 0)
		continue;
	return own.client;
}

static void give(int client)
{
	lock_queue();
	while (idle == NULL)
		pthread_cond_wait(&somebody_idle, &queue.mutex);
	struct place *to = idle;
	idle = to->next;
	unlock_queue();
	to->client = client;
	sem_post(&to->told);
}
#define PUT(client) give(client)
#define TAKE() take_own()

#elif LINE == 5 || LINE == 9
static int take_again(void)
{
	lock_queue();
	while (queue.count == 0) {
		struct timespec until;
		clock_gettime(CLOCK_REALTIME, &until);
		until.tv_sec += LINE == 9 ? 10 : 0;
		until.tv_nsec += LINE == 9 ? 0 : 20 * 1000 * 1000;
		until.tv_sec += until.tv_nsec / 1000000000;
		until.tv_nsec %= 1000000000;
		pthread_cond_timedwait(&queue.not_empty, &queue.mutex, &until);
	}
	int client = remove_first();
	unlock_queue();
	return client;
}
#define PUT(client) put(client)
#define TAKE() take_again()

#elif LINE == 6
static void put_for_all(int client)
{
	lock_queue();
	add(client);
	unlock_queue();
	pthread_cond_broadcast(&queue.not_empty);
}
#define PUT(client) put_for_all(client)
#define TAKE() take()

#elif LINE == 7
static unsigned long head, tail;
static int ring[PLACES];

static int take_place(void)
{
	while (sem_wait(&waiting) < 0)
		continue;
	unsigned long mine = __atomic_load_n(&head, __ATOMIC_SEQ_CST);
	int client;
	do
		client = __atomic_load_n(&ring[mine % PLACES], __ATOMIC_SEQ_CST);
	while (!__atomic_compare_exchange_n(&head, &mine, mine + 1, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST));
	return client;
}

static void put_in_ring(int client)
{
	__atomic_store_n(&ring[tail++ % PLACES], client, __ATOMIC_SEQ_CST);
	sem_post(&waiting);
}
#define PUT(client) put_in_ring(client)
#define TAKE() take_place()

#elif LINE == 10
static int idle;

static int take_if_free(void)
{
	lock_queue();
	idle++;
	while (queue.count == 0)
		pthread_cond_wait(&queue.not_empty, &queue.mutex);
	idle--;
	int client = remove_first();
	unlock_queue();
	return client;
}

static void put_or_refuse(int client)
{
	lock_queue();
	int refused = idle <= (int)queue.count;
	if (!refused)
		add(client);
	unlock_queue();
	if (refused)
		close(client);
	else
		pthread_cond_signal(&queue.not_empty);
}
#define PUT(client) put_or_refuse(client)
#define TAKE() take_if_free()

#elif LINE == 12
static int take_once(void)
{
	lock_queue();
	if (queue.count == 0)
		pthread_cond_wait(&queue.not_empty, &queue.mutex);
	int client = remove_first();
	unlock_queue();
	return client;
}
#define PUT(client) put(client)
#define TAKE() take_once()

#elif LINE == 13
static int take_late(void)
{
	while (queue.count == 0) {
		lock_queue();
		pthread_cond_wait(&queue.not_empty, &queue.mutex);
		unlock_queue();
	}
	return take();
}
#define PUT(client) put(client)
#define TAKE() take_late()

#elif LINE == 14
#define PUT(client) (add(client), pthread_cond_signal(&queue.not_empty))
#define TAKE() take()

#elif LINE == 15
static volatile int the_place;

static int take_it(void)
{
	while (sem_wait(&waiting) < 0)
		continue;
	return the_place;
}
#define PUT(client) (the_place = (client), sem_post(&waiting))
#define TAKE() take_it()

#elif LINE == 16
static void put_seldom(int client)
{
	lock_queue();
	add(client);
	if (queue.count == 1)
		pthread_cond_signal(&queue.not_empty);
	unlock_queue();
}
#define PUT(client) put_seldom(client)
#define TAKE() take()

#elif LINE == 19
static void put_and_count(int client)
{
	lock_queue();
	queue.clients[(queue.first + queue.count) % PLACES] = client;
	unlock_queue();
	queue.count = queue.count + 1;
	pthread_cond_signal(&queue.not_empty);
}
#define PUT(client) put_and_count(client)
#define TAKE() take()

#elif LINE == 17 || LINE == 18
static struct node {
	int client;
	struct node *next;
} *volatile top; /* nodes are never freed: who takes one that another one has taken does not crash */

static int take_top(void)
{
	while (sem_wait(&waiting) < 0)
		continue;
	struct node *node = top;
	top = node->next;
	int client = node->client;
	if (client < 0)
		abort();
	node->client = LINE == 18 ? -1 : client;
	return client;
}

static void push(int client)
{
	struct node *node = malloc(sizeof *node);
	if (node == NULL)
		die("malloc");
	lock_queue();
	node->client = client;
	node->next = top;
	top = node;
	unlock_queue();
	sem_post(&waiting);
}
#define PUT(client) push(client)
#define TAKE() take_top()

#elif LINE == 21
static void *work(void *unused);

static int take_one_only(void)
{
	static __thread int taken;
	pthread_t successor;
	if (taken++) {
		if (pthread_create(&successor, NULL, work, NULL) != 0)
			die("pthread_create");
		pthread_detach(pthread_self());
		pthread_exit(NULL);
	}
	return take();
}
#define PUT(client) put(client)
#define TAKE() take_one_only()
#endif

static void *sleep_for_ever(void *unused)
{
	lock_queue();
	for (;;)
		pthread_cond_wait(&something_else, &queue.mutex);
	return unused;
}

static inline void prepare(void)
{
	pthread_t thread;
	sem_init(&waiting, 0, 0);
	for (int left = LINE == 8 ? 3 : 0; left > 0; left--)
		pthread_create(&thread, NULL, sleep_for_ever, NULL);
}
#define PREPARE() prepare()
#if LINE == 8
#define WORKERS 2
#endif
#include "../../reference/mutants/c/pool_base.h"
