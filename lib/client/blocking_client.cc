#include "client/blocking_client.h"
