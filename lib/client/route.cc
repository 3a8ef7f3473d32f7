#include "client/route.h"
