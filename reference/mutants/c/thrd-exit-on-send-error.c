/* Wrong: a handler that cannot send calls exit(), which ends all threads. */
#define ON_SEND_ERROR(fd) die("send")
#include "thread_base.h"
