#include "client/long_term.h"
