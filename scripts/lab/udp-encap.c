/* Holds UDP port 4500 with UDP_ENCAP_ESPINUDP on IPv4 and IPv6, as an IKE daemon would (RFC 3948): only then does the
 * kernel take ESP out of UDP. Sleeps for ever. */
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#define UDP_ENCAP 100
#define UDP_ENCAP_ESPINUDP 2

static int hold(int family, const struct sockaddr *address, socklen_t length) {
  int one = 1, type = UDP_ENCAP_ESPINUDP, fd = socket(family, SOCK_DGRAM, 0);
  if (family == AF_INET6) setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof one);
  if (fd < 0 || bind(fd, address, length) || setsockopt(fd, IPPROTO_UDP, UDP_ENCAP, &type, sizeof type)) {
    perror(family == AF_INET ? "udp-encap, IPv4" : "udp-encap, IPv6");
    return -1;
  }
  return fd;
}

int main(void) {
  struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(4500)};
  struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(4500)};
  if (hold(AF_INET, (struct sockaddr *)&v4, sizeof v4) < 0 || hold(AF_INET6, (struct sockaddr *)&v6, sizeof v6) < 0) return 1;
  for (;;) pause();
}
