/*
 * A pool of processes, with a lock around accept: one child waits for a client, the others wait for their turn.
 *
 * Course text, sections "One child per client" and "Use fork()"; UNP 30.7. New against prefork.c: the lock. On some
 * systems accept by several processes at once failed (UNP 30.7), or woke all of them. Linux needs no lock; it stays the
 * pattern for whatever only one process may do at a time, such as select and accept together.
 * The price: two more system calls for each client.
 *
 * It is a record lock, and not a mutex in shared memory (UNP 30.8), because the kernel takes it back from a child that
 * dies: with a plain mutex nobody would ever accept again (REAP-5). The file that it is on has no name and no content.
 * The lock belongs to a process, so all children can use the same descriptor.
 */
#define _GNU_SOURCE 1 /* memfd_create */
#include "pool.h"

#include <fcntl.h>
#include <sys/mman.h>

static int lock_file;

static void lock(short type)
{
	struct flock whole = { .l_type = type, .l_whence = SEEK_SET };
	while (fcntl(lock_file, F_SETLKW, &whole) < 0)
		if (errno != EINTR)
			die("fcntl"); /* this child only; the parent starts another */
}

static void work(int listener)
{
	for (;;) {
		lock(F_WRLCK);
		int client = next_client(listener);
		lock(F_UNLCK); /* before the session, or there would be one client at a time */
		echo(client);
		close(client);
	}
}

int main(int argc, char **argv)
{
	int listener = open_listener(port_from(argc, argv));
	lock_file = memfd_create("accept lock", MFD_CLOEXEC);
	if (lock_file < 0)
		die("memfd_create");
	keep_workers(pool_size_from(argc, argv), work, listener);
}
