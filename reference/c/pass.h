/*
 * A descriptor passed from one process to another, over a pair of local sockets.
 *
 * Course text, section "fork()" (descriptors open before the fork are shared: these are opened after it); UNP 15.7;
 * man unix(7), cmsg(3). The kernel makes, in the table of the receiver, a new descriptor for the same connection. It
 * travels beside a message of one byte, because a message without content may be taken for the end.
 */
#ifndef PASS_H
#define PASS_H

#include "echo.h"

#include <string.h>

struct parcel {
	char byte;
	struct iovec content;
	union { char room[CMSG_SPACE(sizeof(int))]; struct cmsghdr alignment; } beside;
	struct msghdr message;
};

static inline struct msghdr *wrap(struct parcel *parcel)
{
	memset(parcel, 0, sizeof *parcel);
	parcel->content = (struct iovec){ &parcel->byte, 1 };
	parcel->message.msg_iov = &parcel->content;
	parcel->message.msg_iovlen = 1;
	parcel->message.msg_control = parcel->beside.room;
	parcel->message.msg_controllen = sizeof parcel->beside.room;
	return &parcel->message;
}

static inline bool pass(int channel, int descriptor)
{
	struct parcel parcel;
	struct msghdr *message = wrap(&parcel);
	struct cmsghdr *header = CMSG_FIRSTHDR(message);
	header->cmsg_level = SOL_SOCKET;
	header->cmsg_type = SCM_RIGHTS;
	header->cmsg_len = CMSG_LEN(sizeof descriptor);
	memcpy(CMSG_DATA(header), &descriptor, sizeof descriptor);
	ssize_t sent;
	while ((sent = sendmsg(channel, message, MSG_NOSIGNAL)) < 0 && errno == EINTR)
		;
	return sent == 1;
}

/* False when the other end has gone. -1 in place of a descriptor: it was lost, for this process can have no more. */
static inline bool receive(int channel, int *descriptor)
{
	struct parcel parcel;
	struct msghdr *message = wrap(&parcel);
	ssize_t received;
	while ((received = recvmsg(channel, message, 0)) < 0 && errno == EINTR)
		;
	struct cmsghdr *header = received == 1 ? CMSG_FIRSTHDR(message) : NULL;
	*descriptor = -1;
	if (header != NULL && header->cmsg_type == SCM_RIGHTS)
		memcpy(descriptor, CMSG_DATA(header), sizeof *descriptor);
	return received == 1;
}

#endif
