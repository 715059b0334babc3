/* The course text's threaded server ("Multi-thread TCP Echo Server"), with its defects kept.
 * Added: the headers, main, socket, bind and listen (the text prints no code for them; it shows no SO_REUSEADDR), the
 * arguments of accept, BUFF_SIZE 1024, the braces that close the two error branches and the loops, and the declaration
 * of client_handler before main. The handler returns no value, as printed.
 * Written otherwise: underscores that the printing lost. */
#include <arpa/inet.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define BUFF_SIZE 1024

void *client_handler(void *arg);

int main(int argc, char **argv)
{
    pthread_t tid;
    int listenfd, connfd;
    struct sockaddr_in serverAddr;
    //Step 1: Construct socket
    listenfd = socket(AF_INET, SOCK_STREAM, 0);
    //Step 2: Bind address to socket
    memset(&serverAddr, 0, sizeof(serverAddr));
    serverAddr.sin_family = AF_INET;
    serverAddr.sin_port = htons(argc > 1 ? atoi(argv[1]) : 7007);
    if (bind(listenfd, (struct sockaddr *) &serverAddr, sizeof(serverAddr)) < 0) {
        perror("Error: ");
        return 1;
    }
    //Step 3: Listen request from client
    listen(listenfd, SOMAXCONN);
    //Step 4: Communicate with client
    while (1) {
        connfd = accept(listenfd, NULL, NULL);
        pthread_create(&tid, NULL, &client_handler,
                       (void *) connfd);
    }
    close(listenfd);
    return 0;
}

void *client_handler(void *arg)
{
    int clientfd;
    int sendBytes, rcvBytes;
    char buff[BUFF_SIZE];
    pthread_detach(pthread_self());
    clientfd = (int) arg;
    while (1) {
        rcvBytes = recv(clientfd, buff, BUFF_SIZE, 0);
        if (rcvBytes < 0) {
            perror("\nError: ");
            break;
        }
        sendBytes = send(clientfd, buff, rcvBytes, 0);
        if (sendBytes < 0) {
            printf("\nError:");
            break;
        }
    }
    close(clientfd);
}
