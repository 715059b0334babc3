/* Wrong on a system where calls are interrupted: EINTR from receive ends the session. It catches no signal. */
#include "common.h"
#define RECEIVE(fd, buffer, size) recv(fd, buffer, size, 0)
#include "thread_base.h"
