/* Wrong: what a worker has read it keeps where all workers do. One who comes late puts an older number there. */
#include "counter.h"
static volatile long answer_to_all;
static long by_way_of_all(void)
{
    answer_to_all = current();
    return answer_to_all;
}
#define CURRENT() by_way_of_all()
#include "counter_session.h"
#include "thread_base.h"
