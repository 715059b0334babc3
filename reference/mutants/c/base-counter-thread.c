/* The counter in threads, without a defect. */
#include "counter_session.h"
#include "thread_base.h"
