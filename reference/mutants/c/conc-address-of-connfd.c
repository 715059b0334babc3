/* Wrong: the thread gets the address of the accepting thread's variable. It reads it 20 ms after its birth, so that the
 * next accept wins the race every time when clients come in a row. */
#define PASS(fd) (&(fd))
#define TAKE(argument) (nap(20), *(int *)(argument))
#include "thread_base.h"
