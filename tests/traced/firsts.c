/*
 * A counter whose lock, or whose number, is made by the first request. MADE: 1 once, by the C library; 2 looked at, then
 * locked, then looked at again; 3 made by each who finds none, and put in place by one of them; 4 locked, and not looked
 * at again (wrong); 5 in memory that processes share, by each who finds it unmade (wrong); 6 the same, made by one; 7 read
 * from a file by each who finds none (wrong); 8 the same, and by one alone; 9 a lot of work is done first.
 */
#include "../../reference/mutants/c/counter.h"

#if MADE <= 3
static pthread_mutex_t *made;

static pthread_mutex_t *new_one(void)
{
	pthread_mutex_t *mutex = malloc(sizeof *mutex);
	if (mutex == NULL)
		die("malloc");
	pthread_mutex_init(mutex, NULL);
	return mutex;
}

#if MADE == 1
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void make(void)
{
	made = new_one();
}
#endif

static pthread_mutex_t *the_lock(void)
{
#if MADE == 1
	pthread_once(&once, make);
#elif MADE == 2
	if (__atomic_load_n(&made, __ATOMIC_ACQUIRE) == NULL) {
		lock();
		if (made == NULL)
			__atomic_store_n(&made, new_one(), __ATOMIC_RELEASE);
		unlock();
	}
#else
	if (__atomic_load_n(&made, __ATOMIC_ACQUIRE) == NULL) {
		pthread_mutex_t *mine = new_one(), *none = NULL;
		if (!__atomic_compare_exchange_n(&made, &none, mine, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
			free(mine);
	}
#endif
	return __atomic_load_n(&made, __ATOMIC_ACQUIRE);
}

static long changed(long more)
{
	pthread_mutex_t *own = the_lock();
	pthread_mutex_lock(own);
	long value = state->number = state->number + more;
	pthread_mutex_unlock(own);
	return value;
}

#elif MADE >= 7
static volatile int begun;

static void begin(void)
{
	char text[64];
	FILE *file = fopen("/dev/null", "r");
	if (file == NULL)
		die("fopen");
	state->number = fgets(text, sizeof text, file) == NULL ? 0 : atol(text);
	fclose(file);
	for (volatile int left = MADE == 9 ? 20 * 1000 : 0; left > 0; left = left - 1)
		continue;
	begun = 1;
}

static long changed(long more)
{
	if (MADE == 7 && !begun)
		begin();
	lock();
	if (!begun)
		begin();
	long value = state->number = state->number + more;
	unlock();
	return value;
}

#elif MADE == 4
static volatile int begun;

static long changed(long more)
{
	if (!begun) {
		lock();
		state->number = 0;
		begun = 1;
		unlock();
	}
	lock();
	long value = state->number = state->number + more;
	unlock();
	return value;
}

#else
static long changed(long more)
{
	unsigned *step = (unsigned *)(state + 1), none = 0; /* 0 unmade, 1 in the making, 2 made */
	if (__atomic_load_n(step, __ATOMIC_SEQ_CST) != 2) {
		if (MADE == 5 || __atomic_compare_exchange_n(step, &none, 1, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)) {
			state->number = 7;
			__atomic_store_n(step, 2, __ATOMIC_SEQ_CST);
		}
		while (__atomic_load_n(step, __ATOMIC_SEQ_CST) != 2)
			usleep(500);
	}
	lock();
	long value = state->number = state->number + more;
	unlock();
	return value;
}
#endif
#define INCREMENT() changed(1)
#define CURRENT() changed(0)
#include "../../reference/mutants/c/counter_session.h"
#if MADE <= 4 || MADE >= 7
#include "../../reference/mutants/c/thread_base.h"
#else
#include "../../reference/mutants/c/fork_base.h"
#endif
