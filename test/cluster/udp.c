/* `udp <port>` answers whatever comes with `heard`; `udp <port> <address>` asks, and writes what it is told within 2 s. */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

int main(int argc, char **argv) {
  struct sockaddr_in there = {.sin_family = AF_INET, .sin_port = htons(atoi(argv[1]))};
  socklen_t size = sizeof there;
  char text[64];
  ssize_t length;
  int s = socket(AF_INET, SOCK_DGRAM, 0);
  if (argc == 2) {
    if (bind(s, (struct sockaddr *)&there, size)) return 1;
    while (recvfrom(s, text, sizeof text, 0, (struct sockaddr *)&there, &size) >= 0)
      sendto(s, "heard\n", 6, 0, (struct sockaddr *)&there, size);
    return 1;
  }
  struct timeval patience = {.tv_sec = 2};
  inet_pton(AF_INET, argv[2], &there.sin_addr);
  setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  sendto(s, "?", 1, 0, (struct sockaddr *)&there, size);
  if ((length = recv(s, text, sizeof text, 0)) < 0) return 1;
  fwrite(text, 1, length, stdout);
  return 0;
}
