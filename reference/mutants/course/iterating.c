/* The course text's echo server ("Review TCP Echo Server"), with its defects kept. Added: the headers, main, the
 * declarations, socket, bind and listen (the text names these steps and prints no code for them; it shows no
 * SO_REUSEADDR), BUFF_SIZE 1024, the brace before "else", and "struct" before sockaddr. Written otherwise: close for
 * closesocket, BUFF_SIZE for BUFF SIZE, perror("Error: ") for perror("Error: ",). */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define BUFF_SIZE 1024

int main(int argc, char **argv)
{
    int listenfd, connfd;
    int rcvBytes, sendBytes;
    char buff[BUFF_SIZE];
    struct sockaddr_in serverAddr, clientAddr;
    socklen_t clientAddrLen = sizeof(clientAddr);

    listenfd = socket(AF_INET, SOCK_STREAM, 0);
    memset(&serverAddr, 0, sizeof(serverAddr));
    serverAddr.sin_family = AF_INET;
    serverAddr.sin_port = htons(argc > 1 ? atoi(argv[1]) : 7007);
    if (bind(listenfd, (struct sockaddr *) &serverAddr, sizeof(serverAddr)) < 0) {
        perror("Error: ");
        return 1;
    }
    listen(listenfd, SOMAXCONN);

    while (1) {
        //accept request
        connfd = accept(listenfd, (struct sockaddr *) &clientAddr,
                        &clientAddrLen);
        //receive message from client
        rcvBytes = recv(connfd, buff, BUFF_SIZE, 0);
        if (rcvBytes < 0) {
            perror("Error :");
        }
        else {
            buff[rcvBytes] = '\0';
            printf("Receive from client: %s\n", buff);
            //Echo to client
            sendBytes = send(connfd, buff, strlen(buff), 0);
            if (sendBytes < 0)
                perror("Error: ");
        }
        close(connfd);
    } //end while
}
