#include "client/retransmission.h"
