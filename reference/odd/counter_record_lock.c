/*
 * A counter for all clients: a child per client, and a record lock on a file that has no name.
 *
 * UNP vol. 2, 9; fcntl(2), "Advisory record locking". The kernel takes the lock away from a process that ends, however
 * it ends: whoever dies inside leaves it to the next, without a robust mutex. Not for threads: the process owns it.
 */
#include "../c/counter_fork.h"

#include <fcntl.h>

static long *number;
static int file;

static void set_lock(short type)
{
	struct flock all = {.l_type = type, .l_whence = SEEK_SET}; /* from the first byte, as far as there will be any */
	while (fcntl(file, F_SETLKW, &all) < 0)
		if (errno != EINTR)
			die("fcntl");
}

static long increment(void)
{
	set_lock(F_WRLCK);
	long value = ++*number;
	set_lock(F_UNLCK);
	return value;
}

static long current(void)
{
	set_lock(F_RDLCK);
	long value = *number;
	set_lock(F_UNLCK);
	return value;
}

int main(int argc, char **argv)
{
	FILE *unnamed = tmpfile();
	if (unnamed == NULL)
		die("tmpfile");
	file = fileno(unnamed);
	number = shared_memory(sizeof *number);
	serve_in_children(argc, argv);
}
