/*
 * Lets every trapped call through, and does nothing else: the least that a seccomp user notification can cost.
 *
 *     letthrough SOCKET
 *
 * The listener of the filter comes over the inherited local socket SOCKET, with one byte; one byte goes back when it is
 * there. Then two system calls for each notification, until killed: no counting, no rules, no other descriptors.
 */
#include <errno.h>
#include <linux/seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

static void die(const char *what)
{
	perror(what);
	exit(EXIT_FAILURE);
}

static int take_listener(int from)
{
	char byte;
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(sizeof(int))];
	} control;
	struct iovec data = {&byte, 1};
	struct msghdr message = {.msg_iov = &data, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
	int listener;

	if (recvmsg(from, &message, 0) != 1 || message.msg_controllen < sizeof control.header)
		die("recvmsg");
	memcpy(&listener, CMSG_DATA(&control.header), sizeof listener);
	if (write(from, "", 1) != 1)
		die("write");
	return listener;
}

/* As the kit does: caller and supervisor take turns, so neither needs another processor. Linux 6.6; without it, slower. */
static void wake_on_same_processor(int listener)
{
	unsigned long synchronous = 1; /* SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP, by _IOW('!', 4, __u64) */

	ioctl(listener, 0x40082104, synchronous);
}

int main(int count, char **arguments)
{
	struct seccomp_notif call;
	struct seccomp_notif_resp answer = {.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE};
	int listener;

	if (count != 2)
		die("letthrough SOCKET");
	listener = take_listener(atoi(arguments[1]));
	wake_on_same_processor(listener);
	for (;;) {
		memset(&call, 0, sizeof call); /* the kernel insists */
		if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &call) < 0) {
			if (errno == EINTR || errno == ENOENT)
				continue; /* its caller has gone */
			die("receive");
		}
		answer.id = call.id;
		if (ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &answer) < 0 && errno != ENOENT)
			die("send");
	}
}
