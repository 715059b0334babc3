/* Wrong: shutdown in the place of close: the client sees EOF, and the server loses a descriptor. */
#define CLOSE(fd, outcome) ((void)(outcome), shutdown(fd, SHUT_RDWR))
#include "thread_base.h"
