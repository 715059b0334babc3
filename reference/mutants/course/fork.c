/* The course text's forking server ("Forking server", "void sig chld(int signo)"), with its defects kept. Added: the
 * headers, main, socket, bind and listen (the text prints no code for them; it shows no SO_REUSEADDR), the arguments
 * of accept, and the brace after exit(0). The text prints no doit(): here it is the session of its "Review TCP Echo
 * Server", one receive and one send. Written otherwise: the quotation mark that closes "child %d terminated";
 * underscores that the printing lost. */
#include <arpa/inet.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define BUFF_SIZE 1024

void sig_chld(int signo)
{
    pid_t pid;
    int stat;
    pid = waitpid(-1, &stat, WNOHANG);
    printf("child %d terminated", pid);
}

void doit(int connfd)
{
    int rcvBytes, sendBytes;
    char buff[BUFF_SIZE];

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
}

int main(int argc, char **argv)
{
    pid_t pid;
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
    // wait for a child process to stop
    signal(SIGCHLD, sig_chld);
    //Step 4: Communicate with client
    while (1) {
        connfd = accept(listenfd, NULL, NULL);
        if ((pid = fork()) == 0) { // process in child
            close(listenfd); // child closes listening socket
            doit(connfd); // process the request
            close(connfd); // done with this client
            exit(0); // child terminates
        }
        close(connfd); // parent closes connected socket
    }
}
