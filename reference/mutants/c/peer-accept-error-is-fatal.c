/* Wrong: every error of accept is fatal, an aborted connection and a lack of descriptors too. */
#define ON_ACCEPT_ERROR() die("accept")
#include "thread_base.h"
