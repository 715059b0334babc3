/* Wrong: whether the number has changed is told by where it stands, and places are used again: two increments hide. */
#include "counter.h"
static struct place {
    long number;
    struct place *next;
} places[2048], *latest = places, *unused;
static int used = 1;
static struct place *fresh(void)
{
    lock();
    struct place *one = unused;
    if (one != NULL)
        unused = one->next;
    else
        one = &places[used++];
    unlock();
    return one;
}
static void give_back(struct place *one)
{
    lock();
    one->next = unused;
    unused = one;
    unlock();
}
static long compared_and_swapped(void)
{
    struct place *mine = fresh(), *before = __atomic_load_n(&latest, __ATOMIC_SEQ_CST);
    long value;
    do {
        mine->number = value = before->number + 1;
    } while (!__atomic_compare_exchange_n(&latest, &before, mine, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST));
    give_back(before);
    return value;
}
#define INCREMENT() compared_and_swapped()
#define CURRENT() (__atomic_load_n(&latest, __ATOMIC_SEQ_CST)->number)
#include "counter_session.h"
#include "thread_base.h"
