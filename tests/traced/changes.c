/*
 * One counter for all clients, a thread a client. KEPT: 1 in places that are compared and used again (wrong), 2 with a
 * count of the changes beside the place; 3 with a copy for GET that is made after the unlock (wrong), 4 before it, 5
 * after it and only if it is newer (wrong); 6 with a copy that is declared void before the change (wrong), 7 at the
 * change; 8 in two parts, where GET looks once whether they are quiet (wrong), 9 before and after; 10 compared and
 * swapped, 11 added to by the processor. PAD: one instruction more between looking and comparing.
 */
#include "../../reference/mutants/c/counter.h"

#include <sched.h>

#if KEPT <= 2
static struct {
	long number;
	unsigned next;
} places[512];
static unsigned long latest; /* a place, and above it how often it has changed */
static unsigned unused, used = 1;

static unsigned taken(void)
{
	lock();
	unsigned one = unused != 0 ? unused : used++;
	unused = places[one].next;
	unlock();
	return one;
}

static void give_back(unsigned one)
{
	lock();
	places[one].next = unused;
	unused = one;
	unlock();
}

static long by_place(void)
{
	unsigned mine = taken();
	unsigned long before = __atomic_load_n(&latest, __ATOMIC_SEQ_CST), after;
	long value;
	do {
		places[mine].number = value = places[before & 511].number + 1;
#ifdef PAD
		__asm__ volatile("nop");
#endif
		after = mine + (KEPT == 2 ? (before | 511) + 1 : 0);
	} while (!__atomic_compare_exchange_n(&latest, &before, after, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST));
	if ((before & 511) != 0)
		give_back(before & 511);
	return value;
}

#elif KEPT <= 7
static volatile long copy;
static volatile int valid;
#elif KEPT <= 9
static volatile unsigned long changes; /* odd: one is under way */
static volatile long tens, ones;
#endif

static long incremented(void)
{
#if KEPT <= 2
	return by_place();
#elif KEPT <= 5
	lock();
	long value = state->number = state->number + 1;
	if (KEPT == 4)
		copy = value;
	unlock();
	if (KEPT == 3 || (KEPT == 5 && value > copy))
		copy = value;
	(void)valid;
	return value;
#elif KEPT <= 7
	if (KEPT == 6)
		valid = 0;
	lock();
	if (KEPT == 7)
		valid = 0;
	long value = state->number = state->number + 1;
	unlock();
	return value;
#elif KEPT <= 9
	lock();
	changes = changes + 1;
	ones = (ones + 1) % 10;
	if (ones == 0)
		tens = tens + 1;
	long value = tens * 10 + ones;
	changes = changes + 1;
	unlock();
	return value;
#elif KEPT == 10
	long before = __atomic_load_n(&state->number, __ATOMIC_SEQ_CST);
	while (!__atomic_compare_exchange_n(&state->number, &before, before + 1, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
		;
	return before + 1;
#else
	return __atomic_add_fetch(&state->number, 1, __ATOMIC_SEQ_CST);
#endif
}

static long seen(void)
{
#if KEPT <= 2
	for (;;) { /* while it is read, the place may be used again */
		unsigned long before = __atomic_load_n(&latest, __ATOMIC_SEQ_CST);
		long value = places[before & 511].number;
		if (KEPT == 1 || __atomic_load_n(&latest, __ATOMIC_SEQ_CST) == before)
			return value;
	}
#elif KEPT <= 5
	return copy;
#elif KEPT <= 7
	if (valid)
		return copy;
	lock();
	long value = copy = state->number;
	valid = 1;
	unlock();
	return value;
#elif KEPT <= 9
	for (;;) {
		unsigned long before = changes;
		long value = tens * 10;
		value += ones;
		if (before % 2 == 0 && (KEPT == 8 || changes == before))
			return value;
		sched_yield();
	}
#else
	return __atomic_load_n(&state->number, __ATOMIC_SEQ_CST);
#endif
}
#define INCREMENT() incremented()
#define CURRENT() seen()
#include "../../reference/mutants/c/counter_session.h"
#include "../../reference/mutants/c/thread_base.h"
