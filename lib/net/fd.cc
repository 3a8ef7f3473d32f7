// UniqueFd: closing.
#include "net/fd.h"

#include <unistd.h>

namespace turnkit::net {

void UniqueFd::reset() {
  if (fd_ >= 0) ::close(std::exchange(fd_, -1));
}

}  // namespace turnkit::net
